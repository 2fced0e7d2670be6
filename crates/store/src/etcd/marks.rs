//! Numbers that no other transaction of any process has.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Marks {
    /// Random, of this process's opening of the store.
    own: u128,
    count: AtomicU64,
}

impl Marks {
    pub(super) fn new() -> Marks {
        // Each `RandomState` has keys of its own from the system's randomness.
        let random = || u128::from(RandomState::new().hash_one(std::process::id()));
        Marks { own: random() << 64 | random(), count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        [&self.own.to_be_bytes()[..], &count.to_be_bytes()].concat()
    }
}
