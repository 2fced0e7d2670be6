//! Numbers for the names of chains and sets: a value keeps its number while it is in use, and no number comes twice.

use std::collections::HashMap;
use std::hash::Hash;

pub(crate) struct Numbers<T> {
    of: HashMap<T, u64>,
    last: u64,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Numbers { of: HashMap::new(), last: 0 }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    pub(crate) fn of(&mut self, value: &T) -> u64 {
        if let Some(number) = self.of.get(value) {
            return *number;
        }
        self.last += 1;
        self.of.insert(value.clone(), self.last);
        self.last
    }

    /// Forgets the values whose numbers `used` does not have.
    pub(crate) fn retain(&mut self, used: impl Fn(u64) -> bool) {
        self.of.retain(|_, number| used(*number));
    }
}
