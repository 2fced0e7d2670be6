//! Answers of other servers, kept for as long as they hold, by the hash of the question.
//!
//! Bound: `max` answers; at the bound those that have ended are forgotten, and everything where none has.

use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::time::Instant;

type Hash = [u8; 32];

pub(crate) struct Expiring<V> {
    entries: Mutex<HashMap<Hash, (Instant, V)>>,
    max: usize,
}

fn hash(question: &[u8]) -> Hash {
    let digest = ring::digest::digest(&ring::digest::SHA256, question);
    let mut hash = Hash::default();
    hash.copy_from_slice(digest.as_ref());
    hash
}

impl<V: Clone> Expiring<V> {
    pub(crate) fn new(max: usize) -> Expiring<V> {
        Expiring { entries: Mutex::default(), max }
    }

    pub(crate) fn get(&self, question: &[u8], now: Instant) -> Option<V> {
        let entries = self.entries.lock();
        let (until, answer) = entries.get(&hash(question))?;
        (now < *until).then(|| answer.clone())
    }

    pub(crate) fn put(&self, question: &[u8], answer: V, until: Instant, now: Instant) {
        let mut entries = self.entries.lock();
        if entries.len() >= self.max {
            entries.retain(|_, (until, _)| now < *until);
        }
        if entries.len() >= self.max {
            entries.clear();
        }
        entries.insert(hash(question), (until, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn forgets_what_ended_first_and_stays_bounded() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let known = Expiring::new(2);
        known.put(b"short", 1, start + second, start);
        known.put(b"long", 2, start + 10 * second, start);
        assert_eq!((known.get(b"short", start), known.get(b"none", start)), (Some(1), None));
        assert_eq!(known.get(b"short", start + second), None, "it ended");
        known.put(b"other", 3, start + 10 * second, start + second);
        assert_eq!(known.get(b"long", start + second), Some(2), "what still holds stays");
        known.put(b"fourth", 4, start + 10 * second, start + second);
        assert_eq!(known.get(b"long", start + second), None, "full of what holds: everything is forgotten");
        assert_eq!(known.get(b"fourth", start + second), Some(4));
    }
}
