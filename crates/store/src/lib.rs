//! The revisioned store: every write gets the next revision, every read and watch can name one.
//!
//! Invariants:
//! - A commit that was acknowledged survives `kill -9` and power loss.
//! - Revisions never go backwards, across restarts too; the embedded engine's are dense per commit.
//! - A watch from revision R delivers every event after R exactly once, in revision order, or says `Compacted`.
//! - Values are opaque bytes, shared, never copied: the store and its readers hold the same allocation.

mod engine;
mod etcd;
mod files;
mod unreadable;

pub use engine::{Clock, Embedded, MonotonicClock, Options, Stats, write_copy};
pub use etcd::{Claim, Etcd, EtcdOptions, EtcdRestore, EtcdRestoring, EtcdTls, check_sizes};
pub use unreadable::{unreadable, unreadable_reason};

use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// A point in the store's history. 0 is "before anything"; the first commit is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A key, such as `/pods/default/web-0`. Order is byte order.
pub type Key = Arc<str>;

/// One key's value and history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Key,
    pub value: Bytes,
    /// The commit that created this incarnation of the key.
    pub created: Revision,
    /// The commit that wrote this value.
    pub modified: Revision,
}

/// What a transaction demands of a key before it may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    /// The key's `modified` revision is exactly this one.
    At(Revision),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The store keeps this very allocation: a value that is a slice of a larger buffer keeps the whole buffer.
    Put { key: Key, value: Bytes },
    /// Of an absent key: changes nothing, is no event.
    Delete { key: Key },
}

/// A compare-and-swap: all checks hold and all operations happen at one revision, or nothing does.
/// Of several operations on one key the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    pub checks: Vec<(Key, Expect)>,
    pub ops: Vec<Op>,
}

impl Txn {
    /// Creates a key that must not exist.
    pub fn create(key: Key, value: Bytes) -> Txn {
        Txn { checks: vec![(key.clone(), Expect::Absent)], ops: vec![Op::Put { key, value }] }
    }
    /// Replaces a value that must still be the one of `at`.
    pub fn update(key: Key, at: Revision, value: Bytes) -> Txn {
        Txn { checks: vec![(key.clone(), Expect::At(at))], ops: vec![Op::Put { key, value }] }
    }
    /// Deletes a value that must still be the one of `at`.
    pub fn delete(key: Key, at: Revision) -> Txn {
        Txn { checks: vec![(key.clone(), Expect::At(at))], ops: vec![Op::Delete { key }] }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable at this revision. A transaction that changed nothing takes none and gets the newest.
    Committed(Revision),
    /// A check failed; the checked keys' current states, in the order of `Txn::checks`.
    Conflict(Vec<Option<KeyValue>>),
}

/// One page of a range.
#[derive(Clone, Debug)]
pub struct Range {
    pub items: Vec<KeyValue>,
    /// Whether keys remain after the last item.
    pub more: bool,
    /// The revision that the whole page is consistent with.
    pub revision: Revision,
}

/// One key's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub revision: Revision,
    pub key: Key,
    /// `None`: deleted.
    pub value: Option<Bytes>,
    /// The state before, absent for a creation.
    pub previous: Option<KeyValue>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The revision asked for is older than what is kept.
    #[error("revision {asked} has been compacted; the oldest kept is {oldest}")]
    Compacted { asked: Revision, oldest: Revision },
    /// The revision asked for has not happened yet.
    #[error("revision {asked} is in the future; the current one is {current}")]
    Future { asked: Revision, current: Revision },
    /// The store cannot take this write now or ever; what the caller sent is not stored.
    #[error("the store is closed: {reason}")]
    Closed { reason: String },
    /// This write is larger than the store takes; it is not stored.
    #[error("the write is too large: {reason}")]
    TooLarge { reason: String },
    /// The value cannot be put into the form in which it is to be kept; it is not stored.
    #[error("{attempted}: {reason}")]
    Unsealed { attempted: String, reason: String },
    /// From `commit`: it was not acknowledged, but may turn out to be there: in the embedded engine after a restart, in
    /// etcd when the answer was lost and says so.
    #[error("{attempted}: {source}")]
    Io { attempted: String, source: std::io::Error },
    #[error("{attempted}: {reason}")]
    Corrupt { attempted: String, reason: String },
}

/// Events in revision order, several commits at a time under load.
/// The stream's buffer is bounded by the shared event log: a reader that falls off its end gets `Compacted`.
#[async_trait]
pub trait Watch: Send {
    /// The next non-empty batch. All events of one revision come in the same batch. Waits for as long as there is
    /// nothing; loses nothing when it is cancelled.
    async fn next(&mut self) -> Result<Vec<Event>, StoreError>;
}

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The newest revision that is durable.
    async fn revision(&self) -> Result<Revision, StoreError>;
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError>;
    /// Keys with `prefix`, in order, after `after` (exclusive), at most `limit` (0: all), as they were at `at`
    /// (`None`: now).
    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError>;
    /// Returns when the transaction is durable, or was refused. Waits while too many others do. When the caller goes
    /// away before the answer, the transaction may still happen.
    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError>;
    /// Every event on keys with `prefix` after revision `after`, which must have happened.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError>;
    /// Forgets history before `revision`: ranges and watches from there answer `Compacted`. What is forgotten already
    /// is no error.
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;
    /// Whether `key` has a value in a form that would not be written today: writing it again, unchanged, is not idle.
    async fn is_stale(&self, _key: &str) -> Result<bool, StoreError> {
        Ok(false)
    }
}
