//! What was worked out lately, by what it is about. Bound: `LATELY_MAX` entries; the least lately used is forgotten.

use std::collections::HashMap;

const LATELY_MAX: usize = 32;

pub(crate) struct Lately<T> {
    turn: u64,
    known: HashMap<u128, (u64, T)>,
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Lately { turn: 0, known: HashMap::new() }
    }
}

impl<T> Lately<T> {
    /// Takes it out, to be put back after use.
    pub(crate) fn take(&mut self, about: u128) -> Option<T> {
        self.known.remove(&about).map(|(_, value)| value)
    }

    pub(crate) fn put(&mut self, about: u128, value: T) {
        self.turn += 1;
        if self.known.len() >= LATELY_MAX
            && !self.known.contains_key(&about)
            && let Some(oldest) = self.known.iter().min_by_key(|(_, (used, _))| *used).map(|(about, _)| *about)
        {
            self.known.remove(&oldest);
        }
        self.known.insert(about, (self.turn, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_lately_used_is_forgotten() {
        let mut lately = Lately::default();
        for about in 0..=LATELY_MAX as u128 {
            lately.put(about, about);
            let first = lately.take(0).unwrap();
            lately.put(0, first);
        }
        assert_eq!((lately.take(0), lately.take(1), lately.take(2)), (Some(0), None, Some(2)));
    }
}
