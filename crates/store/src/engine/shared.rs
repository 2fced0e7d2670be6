//! What the writer publishes and everyone reads: tree, history and revision, changed together.
//!
//! Invariants: what is here is durable. The lock is held for a lookup, a clone of a root or a swap, never for I/O, so
//! that no reader waits for the disk and the writer waits for no reader's work.

use super::Options;
use super::history::{Batch, History};
use super::tree::Tree;
use super::watch::Watchers;
use crate::{Event, KeyValue, Range, Revision, StoreError};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Trees of old revisions kept for lists in progress. Beside what history holds anyway, one costs at most the tree's
/// own nodes, about 100 bytes a key.
const PINS_MAX: usize = 8;
/// More than so many events are not taken back on an async thread: it would stop its other tasks for a millisecond.
pub(super) const UNDO_INLINE_MAX: usize = 2_000;

pub(super) struct Shared {
    state: RwLock<State>,
    pins: Mutex<VecDeque<(u64, Tree)>>,
    pub(super) watchers: Watchers,
    pub(super) counters: Counters,
    /// Why no event will ever come any more.
    closed: OnceLock<String>,
}

struct State {
    tree: Tree,
    revision: u64,
    history: History,
}

/// How to come to the tree of an old revision: a later tree, and what to take back from it.
pub(super) struct Rewind {
    base: u64,
    tree: Tree,
    target: u64,
    batches: Vec<Arc<Batch>>,
}

impl Rewind {
    /// How many events there are to take back, at most.
    pub(super) fn events(&self) -> usize {
        self.batches.iter().map(|batch| batch.events.len()).sum()
    }

    pub(super) fn target(&self) -> u64 {
        self.target
    }

    pub(super) fn run(mut self) -> Tree {
        for batch in self.batches.iter().rev() {
            let events = batch.after(self.target).iter().rev();
            events.filter(|event| event.revision.0 <= self.base).for_each(|event| self.tree.undo(event));
        }
        self.tree
    }
}

/// What the writer wants to know after it published.
pub(super) struct Upkeep {
    pub(super) floor: u64,
    pub(super) reclaimable: u64,
    pub(super) until_old: Option<Duration>,
}

/// What the engine did to the disk since it was opened.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) log_bytes_written: AtomicU64,
    pub(super) snapshots: AtomicU64,
    pub(super) snapshot_bytes_written: AtomicU64,
    pub(super) log_bytes: AtomicU64,
}

/// Figures of the engine, for its metrics and its bench. Counts begin when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub revision: Revision,
    /// The oldest revision that can be read or watched from.
    pub oldest: Revision,
    pub keys: usize,
    /// Keys and newest values.
    pub live_bytes: u64,
    pub history_events: usize,
    /// Memory that only history holds.
    pub history_bytes: u64,
    /// Transactions that changed something.
    pub commits: u64,
    /// Syncs of the log: `commits` divided by this is how well commits group.
    pub syncs: u64,
    pub log_bytes_written: u64,
    pub snapshots: u64,
    pub snapshot_bytes_written: u64,
    /// The log's size on disk now.
    pub log_bytes: u64,
}

impl Shared {
    pub(super) fn new(tree: Tree, revision: u64, history: History) -> Shared {
        Shared {
            state: RwLock::new(State { tree, revision, history }),
            pins: Mutex::default(),
            watchers: Watchers::default(),
            counters: Counters::default(),
            closed: OnceLock::new(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.state.read();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            revision: Revision(state.revision),
            oldest: Revision(state.history.floor()),
            keys: state.tree.len(),
            live_bytes: state.tree.bytes(),
            history_events: state.history.events(),
            history_bytes: state.history.bytes(),
            commits: count(&self.counters.commits),
            syncs: count(&self.counters.syncs),
            log_bytes_written: count(&self.counters.log_bytes_written),
            snapshots: count(&self.counters.snapshots),
            snapshot_bytes_written: count(&self.counters.snapshot_bytes_written),
            log_bytes: count(&self.counters.log_bytes),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.state.read().revision
    }

    pub(super) fn get(&self, key: &str) -> Option<KeyValue> {
        self.state.read().tree.get(key)
    }

    pub(super) fn newest(&self) -> (u64, Tree) {
        let state = self.state.read();
        (state.revision, state.tree.clone())
    }

    pub(super) fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Range {
        let (revision, tree) = self.newest();
        let (items, more) = tree.page(prefix, after, limit);
        if more {
            self.pin(revision, tree);
        }
        Range { items, more, revision: Revision(revision) }
    }

    /// Makes everything of a group commit visible at once and wakes who waits for it.
    pub(super) fn publish(&self, tree: Tree, batch: Batch, options: &Options) -> Upkeep {
        let batch = Arc::new(batch);
        let now = options.clock.now();
        let (upkeep, old_tree, forgotten) = {
            let mut state = self.state.write();
            state.revision = batch.last;
            let old_tree = std::mem::replace(&mut state.tree, tree);
            state.history.push(batch.clone());
            let forgotten = state.history.trim(options, now);
            (state.upkeep(options, now), old_tree, forgotten)
        };
        self.watchers.mark(&batch.events);
        drop(old_tree);
        self.unpin(forgotten, upkeep.floor);
        upkeep
    }

    /// Forgets what has grown old meanwhile.
    pub(super) fn age(&self, options: &Options) -> Upkeep {
        let now = options.clock.now();
        let (upkeep, forgotten) = {
            let mut state = self.state.write();
            let forgotten = state.history.trim(options, now);
            (state.upkeep(options, now), forgotten)
        };
        self.unpin(forgotten, upkeep.floor);
        upkeep
    }

    pub(super) fn compact(&self, revision: u64) -> Result<(), StoreError> {
        let forgotten = {
            let mut state = self.state.write();
            if revision > state.revision {
                return Err(future(revision, state.revision));
            }
            state.history.forget(revision)
        };
        self.unpin(forgotten, revision);
        Ok(())
    }

    pub(super) fn reclaimed(&self, log_bytes: u64) {
        self.state.write().history.reclaimed(log_bytes);
    }

    /// Frees what was forgotten, and the trees that only it could still be read from.
    fn unpin(&self, forgotten: Vec<Arc<Batch>>, floor: u64) {
        if !forgotten.is_empty() {
            drop(forgotten);
            self.pins.lock().retain(|(revision, _)| *revision >= floor);
        }
    }

    pub(super) fn pin(&self, revision: u64, tree: Tree) {
        let mut pins = self.pins.lock();
        if pins.iter().all(|(pinned, _)| *pinned != revision) {
            if pins.len() == PINS_MAX {
                pins.pop_front();
            }
            pins.push_back((revision, tree));
        }
    }

    /// The way to the tree of `target`.
    pub(super) fn rewind(&self, target: u64) -> Result<Rewind, StoreError> {
        let pinned = {
            let pins = self.pins.lock();
            pins.iter().filter(|(revision, _)| *revision >= target).min_by_key(|(revision, _)| *revision).cloned()
        };
        let state = self.state.read();
        state.readable(target)?;
        Ok(state.rewind(target, pinned))
    }

    /// The way to the oldest tree that history reaches.
    pub(super) fn rewind_to_floor(&self) -> Rewind {
        let state = self.state.read();
        state.rewind(state.history.floor(), None)
    }

    /// Whether a watch may begin after this revision, and if so whether it has something to read already.
    pub(super) fn watchable(&self, after: u64) -> Result<bool, StoreError> {
        let state = self.state.read();
        state.readable(after)?;
        Ok(after < state.revision)
    }

    /// Events with `prefix` after `cursor`, about `limit` of them, and the revision up to which that is all.
    pub(super) fn events(
        &self,
        prefix: &str,
        cursor: u64,
        limit: usize,
    ) -> Result<(Vec<Event>, u64, bool), StoreError> {
        let (batches, newest) = {
            let state = self.state.read();
            state.readable(cursor)?;
            // No batch is empty, so that `limit` of them are enough.
            (state.history.after(cursor).take(limit).cloned().collect::<Vec<_>>(), state.revision)
        };
        let mut events = Vec::new();
        let mut reached = if batches.len() < limit { newest } else { cursor };
        for batch in batches {
            events.extend(batch.after(cursor).iter().filter(|event| event.key.starts_with(prefix)).cloned());
            reached = reached.max(batch.last);
            if events.len() >= limit {
                reached = batch.last;
                break;
            }
        }
        Ok((events, reached, reached < newest))
    }

    pub(super) fn close(&self, reason: &str) {
        // The first reason is the one that counts.
        self.closed.get_or_init(|| reason.to_owned());
        self.watchers.wake_all();
    }

    pub(super) fn closed(&self) -> Option<StoreError> {
        self.closed.get().map(|reason| StoreError::Closed { reason: reason.clone() })
    }
}

impl State {
    fn rewind(&self, target: u64, from: Option<(u64, Tree)>) -> Rewind {
        let (base, tree) = from.unwrap_or_else(|| (self.revision, self.tree.clone()));
        let batches = self.history.after(target).take_while(|batch| batch.first <= base).cloned().collect();
        Rewind { base, tree, target, batches }
    }

    fn readable(&self, revision: u64) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(future(revision, self.revision));
        }
        if revision < self.history.floor() {
            let oldest = Revision(self.history.floor());
            return Err(StoreError::Compacted { asked: Revision(revision), oldest });
        }
        Ok(())
    }

    fn upkeep(&self, options: &Options, now: Duration) -> Upkeep {
        Upkeep {
            floor: self.history.floor(),
            reclaimable: self.history.reclaimable(),
            until_old: self.history.until_old(options, now),
        }
    }
}

fn future(asked: u64, current: u64) -> StoreError {
    StoreError::Future { asked: Revision(asked), current: Revision(current) }
}
