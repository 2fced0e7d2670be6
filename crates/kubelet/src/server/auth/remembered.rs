//! Answers that are good for a while, so many at most.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

pub(super) struct Remembered<K, V> {
    entries: Mutex<HashMap<K, (V, Instant)>>,
    max: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Remembered<K, V> {
    pub(super) fn new(max: usize) -> Remembered<K, V> {
        Remembered { entries: Mutex::default(), max }
    }

    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.entries.lock();
        entries.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    /// When there are too many, those that are no longer good go, and then those that are good the shortest.
    pub(super) fn put(&self, key: K, value: V, lifetime: Duration, now: Instant) {
        let mut entries = self.entries.lock();
        if entries.len() >= self.max {
            entries.retain(|_, (_, until)| now < *until);
        }
        if entries.len() >= self.max {
            let oldest = entries.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        entries.insert(key, (value, now + lifetime));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time_and_number() {
        let second = Duration::from_secs(1);
        let (remembered, now) = (Remembered::new(2), Instant::now());
        remembered.put("a", 1, second, now);
        remembered.put("b", 2, 3 * second, now);
        assert_eq!((remembered.get(&"a", now), remembered.get(&"a", now + second)), (Some(1), None));
        remembered.put("c", 3, 2 * second, now);
        assert_eq!((remembered.get(&"a", now), remembered.get(&"b", now)), (None, Some(2)), "the shortest goes");
        remembered.put("d", 4, second, now + 2 * second);
        let late = now + 2 * second;
        let known = ["b", "c", "d"].map(|key| remembered.get(&key, late));
        assert_eq!(known, [Some(2), None, Some(4)], "what is over goes first");
    }
}
