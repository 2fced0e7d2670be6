//! What the registry takes from the world: the time and randomness. Tests hand in their own.

use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

pub trait Surroundings: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    /// Fills `bytes` with randomness good enough for uids.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's own clock and generator.
pub struct System;

impl System {
    pub fn shared() -> Arc<dyn Surroundings> {
        Arc::new(System)
    }
}

impl Surroundings for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

/// The time as the API writes it: whole seconds.
pub(crate) fn second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).expect("a timestamp's own second is in range")
}

/// A new object's uid.
pub(crate) fn uid(surroundings: &dyn Surroundings) -> String {
    let mut bytes = [0; 16];
    surroundings.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The letters that generated names end in: no vowels and nothing that reads as another, so no words arise.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The five random letters that end a generated name.
pub(crate) fn suffix(surroundings: &dyn Surroundings) -> String {
    let mut bytes = [0; 5];
    surroundings.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(SUFFIX_LETTERS[usize::from(*byte) % SUFFIX_LETTERS.len()])).collect()
}
