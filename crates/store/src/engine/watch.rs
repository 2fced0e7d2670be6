//! Watches: cursors into the shared history, woken only for keys that they are about.
//!
//! Invariants: a watch holds no events. Its `pending` mark is the first revision since it last looked that has a key
//! with its prefix, so that everything between its cursor and the mark may be skipped, and may be forgotten.

use super::shared::Shared;
use crate::{Event, StoreError, Watch};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// A batch is completed to whole group commits beyond this.
const BATCH_EVENTS: usize = 1_000;

/// Everyone who watches, by prefix.
#[derive(Default)]
pub(super) struct Watchers {
    by_prefix: Mutex<BTreeMap<Arc<str>, Vec<Arc<Signal>>>>,
}

#[derive(Default)]
struct Signal {
    /// 0: nothing since the watch last looked.
    pending: AtomicU64,
    wake: Notify,
}

impl Watchers {
    fn add(&self, prefix: &Arc<str>) -> Arc<Signal> {
        let signal = Arc::new(Signal::default());
        self.by_prefix.lock().entry(prefix.clone()).or_default().push(signal.clone());
        signal
    }

    fn remove(&self, prefix: &str, signal: &Arc<Signal>) {
        let mut by_prefix = self.by_prefix.lock();
        if let Some(signals) = by_prefix.get_mut(prefix) {
            signals.retain(|other| !Arc::ptr_eq(other, signal));
            if signals.is_empty() {
                by_prefix.remove(prefix);
            }
        }
    }

    /// Tells every watch that one of these events is for.
    pub(super) fn mark(&self, events: &[Event]) {
        for (prefix, signals) in &*self.by_prefix.lock() {
            let Some(first) = events.iter().find(|event| event.key.starts_with(&**prefix)) else { continue };
            for signal in signals {
                // An older mark stays: the watch has to read from there.
                if signal.pending.compare_exchange(0, first.revision.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    signal.wake.notify_one();
                }
            }
        }
    }

    pub(super) fn wake_all(&self) {
        self.by_prefix.lock().values().flatten().for_each(|signal| signal.wake.notify_one());
    }
}

pub(super) struct Cursor {
    shared: Arc<Shared>,
    prefix: Arc<str>,
    signal: Arc<Signal>,
    /// Everything up to here was delivered or is not for this watch.
    cursor: u64,
    /// Whether there may be events after `cursor` that no mark stands for.
    behind: bool,
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, prefix: &str, after: u64) -> Result<Cursor, StoreError> {
        let prefix: Arc<str> = prefix.into();
        // Registered before the state is read: a commit in between is seen twice, never missed.
        let signal = shared.watchers.add(&prefix);
        let mut watch = Cursor { shared, prefix, signal, cursor: after, behind: false };
        watch.behind = watch.shared.watchable(after)?;
        Ok(watch)
    }

    /// The next events, without waiting; empty: nothing new.
    fn poll(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            let pending = self.signal.pending.swap(0, Ordering::AcqRel);
            if !self.behind {
                if pending == 0 {
                    return Ok(Vec::new());
                }
                self.cursor = self.cursor.max(pending - 1);
            }
            // Until the read has succeeded, so that a watch that lags is told so again.
            self.behind = true;
            let (events, reached, behind) = self.shared.events(&self.prefix, self.cursor, BATCH_EVENTS)?;
            (self.cursor, self.behind) = (reached, behind);
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

#[async_trait]
impl Watch for Cursor {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            // Read before the events: what was published before the end is still delivered.
            let closed = self.shared.closed();
            let events = self.poll()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if let Some(closed) = closed {
                return Err(closed);
            }
            self.signal.wake.notified().await;
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.shared.watchers.remove(&self.prefix, &self.signal);
    }
}
