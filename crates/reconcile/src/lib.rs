//! The controllers' harness: queue, back-off, triggers and read-your-writes, so that a controller is one `reconcile`.
//!
//! Invariants: a key is reconciled by one worker at a time; a key's reconcile never sees a cache older than its own
//! last writes; every queue is bounded by the live keys.

mod batch;
mod clock;
mod context;
mod controller;
pub mod events;
mod index;
mod metrics;
mod names;
pub mod owner;
mod queue;
pub mod taints;
mod unseen;

pub use batch::{IN_FLIGHT_MAX, in_batches};
pub use clock::Clock;
pub use context::Context;
pub use controller::{Controller, Feed, Gauge, Running, Setup, each, owned_by};
pub use events::{Recorder, Severity};
pub use exposition::Histogram;
pub use index::Index;
pub use metrics::{Metrics, write as write_metrics};
pub use queue::Queue;

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// What a controller reconciles: `namespace/name`, or `name` for cluster-scoped kinds.
pub type Key = Arc<str>;

/// What is to happen with a key after a reconcile that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Wait for the next change.
    #[default]
    Done,
    /// Reconcile again after so long, or at a change before that.
    After(Duration),
}

impl Action {
    pub fn after(delay: Duration) -> Action {
        Action::After(delay)
    }

    /// The earlier of two wishes.
    pub fn sooner(self, other: Action) -> Action {
        match (self, other) {
            (Action::After(one), Action::After(two)) => Action::After(one.min(two)),
            (Action::Done, wish) | (wish, Action::Done) => wish,
        }
    }
}

/// Why a reconcile failed; the key is retried with back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {status}")]
    Api { what: String, status: api::Status },
    #[error("{0}")]
    Invalid(String),
}

impl From<api::Status> for Error {
    fn from(status: api::Status) -> Error {
        Error::Api { what: "calling the API".to_owned(), status }
    }
}

impl Error {
    /// An API error with what was attempted.
    pub fn api(what: impl Into<String>) -> impl FnOnce(api::Status) -> Error {
        let what = what.into();
        move |status| Error::Api { what, status }
    }

    /// Whether another writer was faster, which is no news.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Api { status, .. } if status.reason == api::Reason::Conflict)
    }
}

/// One controller: makes the world match what a key's object asks for.
#[async_trait]
pub trait Reconcile: Send + Sync + 'static {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error>;
}

/// A key's namespace (empty for cluster-scoped kinds) and name.
pub fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

/// An object's key.
pub fn key_of<K: client::Cached>(object: &K) -> Key {
    object.key()
}
