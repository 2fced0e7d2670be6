//! How far the cache has followed the store, and who waits for it to get further.
//!
//! Invariants: a revision is reached when every event up to it stands in caches and logs; waiters wake in order.
//! Bound: one entry per waiting request.

use api::Status;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use store::Revision;
use tokio::sync::{Notify, oneshot};

#[derive(Default)]
pub(crate) struct Progress {
    applied: AtomicU64,
    failed: OnceLock<String>,
    /// Wakes who waits for nothing but that.
    end: Notify,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    next: u64,
    /// By the revision waited for and the order of arrival.
    by_revision: BTreeMap<(u64, u64), oneshot::Sender<()>>,
}

/// Takes a waiter out when whoever waited gives up.
struct Waiting<'a> {
    progress: &'a Progress,
    key: (u64, u64),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.progress.waiters.lock().by_revision.remove(&self.key);
    }
}

impl Progress {
    pub(crate) fn applied(&self) -> Revision {
        Revision(self.applied.load(Ordering::Acquire))
    }

    pub(crate) fn advance(&self, revision: Revision) {
        let mut waiters = self.waiters.lock();
        self.applied.fetch_max(revision.0, Ordering::AcqRel);
        let later = waiters.by_revision.split_off(&(revision.0 + 1, 0));
        let reached = std::mem::replace(&mut waiters.by_revision, later);
        drop(waiters);
        for sender in reached.into_values() {
            if sender.send(()).is_err() {
                tracing::trace!(%revision, "who waited for it has given up");
            }
        }
    }

    /// The store is lost: everyone who waits or will wait is told why.
    pub(crate) fn fail(&self, reason: String) {
        if self.failed.set(reason).is_ok() {
            self.waiters.lock().by_revision.clear();
            self.end.notify_waiters();
        }
    }

    /// Returns when the store is lost; why.
    pub(crate) async fn failure(&self) -> String {
        loop {
            // Begun before the look, so that a failure is in the one or wakes the other.
            let end = self.end.notified();
            if let Some(reason) = self.failed.get() {
                return reason.clone();
            }
            end.await;
        }
    }

    pub(crate) fn health(&self) -> Result<(), Status> {
        match self.failed.get() {
            Some(reason) => Err(Status::unavailable(format!("the store cannot be followed: {reason}"))),
            None => Ok(()),
        }
    }

    /// Returns when `revision` has been applied.
    pub(crate) async fn reached(&self, revision: Revision) -> Result<(), Status> {
        if self.applied() >= revision {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        let waiting = {
            let mut waiters = self.waiters.lock();
            self.health()?;
            if self.applied() >= revision {
                return Ok(());
            }
            let key = (revision.0, waiters.next);
            waiters.next += 1;
            waiters.by_revision.insert(key, sender);
            Waiting { progress: self, key }
        };
        let told = receiver.await;
        drop(waiting);
        match told {
            Ok(()) => Ok(()),
            Err(_) => self.health().and_then(|()| Err(Status::unavailable("the store is no longer followed"))),
        }
    }
}
