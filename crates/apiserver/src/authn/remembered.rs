//! Results of costly checks whose outcome can never change, by the hash of what was checked.
//!
//! Bound: `max` entries; at the bound everything is forgotten, which costs one check each again.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

type Hash = [u8; 32];

pub(crate) struct Remembered<V> {
    entries: Mutex<HashMap<Hash, Arc<V>>>,
    max: usize,
}

impl<V> Remembered<V> {
    pub(crate) fn new(max: usize) -> Remembered<V> {
        Remembered { entries: Mutex::default(), max }
    }

    /// The result for `input`, computed if it is not remembered. Errors are not remembered: whoever sends garbage
    /// pays for it himself and pushes nobody else out.
    pub(crate) fn get_or_try<E>(&self, input: &[u8], check: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let digest = ring::digest::digest(&ring::digest::SHA256, input);
        let mut hash = Hash::default();
        hash.copy_from_slice(digest.as_ref());
        if let Some(known) = self.entries.lock().get(&hash) {
            return Ok(known.clone());
        }
        let fresh = Arc::new(check()?);
        let mut entries = self.entries.lock();
        if entries.len() >= self.max {
            entries.clear();
        }
        entries.insert(hash, fresh.clone());
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_successes_only_and_stays_bounded() {
        let remembered = Remembered::new(2);
        assert_eq!(remembered.get_or_try(b"a", || Err::<u32, _>("no")), Err("no"));
        assert_eq!(*remembered.get_or_try(b"a", || Ok::<_, &str>(1)).unwrap(), 1);
        assert_eq!(*remembered.get_or_try(b"a", || Ok::<_, &str>(2)).unwrap(), 1, "the first result stays");
        for input in [b"b", b"c", b"d"] {
            remembered.get_or_try(input, || Ok::<_, &str>(0)).unwrap();
            assert!(remembered.entries.lock().len() <= 2);
        }
    }
}
