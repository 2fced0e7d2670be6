//! What happened since the floor: the one bounded memory that watches, reads of old revisions and restarts live on.
//!
//! Invariants: every event after `floor` is here, in revision order; none at or before it is promised. All events of a
//! revision, and all revisions of a group commit, are in one batch. `bytes` counts what only history keeps alive:
//! superseded values (each is exactly one event's `previous`) and the events' own memory.

use super::Options;
use crate::Event;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One group commit.
pub(super) struct Batch {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Never empty, ordered by revision.
    pub(super) events: Vec<Event>,
    at: Duration,
    bytes: u64,
    log_bytes: u64,
}

impl Batch {
    /// A batch that became visible at `at` and takes `log_bytes` of the log.
    pub(super) fn new(events: Vec<Event>, at: Duration, log_bytes: u64) -> Batch {
        let first = events.first().map_or(0, |event| event.revision.0);
        let last = events.last().map_or(0, |event| event.revision.0);
        let superseded = |event: &Event| event.previous.as_ref().map_or(0, |previous| previous.value.len());
        let bytes = events.iter().map(|event| superseded(event) + size_of::<Event>()).sum::<usize>() as u64;
        Batch { first, last, events, at, bytes, log_bytes }
    }

    /// The events after `revision`.
    pub(super) fn after(&self, revision: u64) -> &[Event] {
        &self.events[self.events.partition_point(|event| event.revision.0 <= revision)..]
    }
}

#[derive(Default)]
pub(super) struct History {
    batches: VecDeque<Arc<Batch>>,
    floor: u64,
    events: usize,
    bytes: u64,
    /// Log bytes of forgotten batches that no snapshot has replaced yet.
    reclaimable: u64,
}

impl History {
    pub(super) fn starting_at(floor: u64) -> History {
        History { floor, ..History::default() }
    }

    /// The oldest revision that can be read or watched from.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn events(&self) -> usize {
        self.events
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn reclaimable(&self) -> u64 {
        self.reclaimable
    }

    /// A snapshot has replaced so much of the forgotten log.
    pub(super) fn reclaimed(&mut self, log_bytes: u64) {
        self.reclaimable = self.reclaimable.saturating_sub(log_bytes);
    }

    pub(super) fn push(&mut self, batch: Arc<Batch>) {
        self.events += batch.events.len();
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
    }

    /// Keeps to the bounds. The caller drops what comes back, outside of its lock: freeing values takes time.
    #[must_use]
    pub(super) fn trim(&mut self, options: &Options, now: Duration) -> Vec<Arc<Batch>> {
        let mut forgotten = Vec::new();
        while let Some(oldest) = self.batches.front() {
            let full = self.events > options.history_events_max || self.bytes > options.history_bytes_max;
            if !full && !self.is_old(oldest, options, now) {
                break;
            }
            forgotten.extend(self.pop());
        }
        forgotten
    }

    fn is_old(&self, batch: &Batch, options: &Options, now: Duration) -> bool {
        self.events - batch.events.len() >= options.history_events_min
            && now.saturating_sub(batch.at) > options.history_age_max
    }

    /// How long until age alone makes the oldest batch go; `None`: it will not.
    pub(super) fn until_old(&self, options: &Options, now: Duration) -> Option<Duration> {
        let oldest = self.batches.front()?;
        let spare = self.events - oldest.events.len() >= options.history_events_min;
        spare.then(|| (oldest.at + options.history_age_max).saturating_sub(now))
    }

    /// Forgets everything at and before `revision`, except for the rest of the batch that it is in.
    #[must_use]
    pub(super) fn forget(&mut self, revision: u64) -> Vec<Arc<Batch>> {
        let mut forgotten = Vec::new();
        while self.batches.front().is_some_and(|oldest| oldest.last <= revision) {
            forgotten.extend(self.pop());
        }
        self.floor = self.floor.max(revision);
        forgotten
    }

    fn pop(&mut self) -> Option<Arc<Batch>> {
        let oldest = self.batches.pop_front()?;
        self.events -= oldest.events.len();
        self.bytes -= oldest.bytes;
        self.reclaimable += oldest.log_bytes;
        self.floor = self.floor.max(oldest.last);
        Some(oldest)
    }

    /// The batches that have events after `revision`, oldest first.
    pub(super) fn after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Arc<Batch>> {
        self.batches.range(self.batches.partition_point(|batch| batch.last <= revision)..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyValue, Revision};
    use bytes::Bytes;

    fn batch(revisions: std::ops::RangeInclusive<u64>, superseded: usize, at_seconds: u64) -> Arc<Batch> {
        let previous = |revision| KeyValue {
            key: "k".into(),
            value: Bytes::from(vec![0; superseded]),
            created: Revision(revision),
            modified: Revision(revision),
        };
        let event = |r| Event { revision: Revision(r), key: "k".into(), value: None, previous: Some(previous(r)) };
        Arc::new(Batch::new(revisions.map(event).collect(), Duration::from_secs(at_seconds), 10))
    }

    fn check(options: Options, now_seconds: u64, floor: u64, reclaimable: u64) {
        let mut history = History::default();
        for (at, revisions) in [(0, 1..=2), (10, 3..=3), (20, 4..=9)] {
            history.push(batch(revisions, 1000, at));
        }
        drop(history.trim(&options, Duration::from_secs(now_seconds)));
        assert_eq!((history.floor(), history.reclaimable()), (floor, reclaimable));
        assert_eq!(history.after(floor).next().map(|batch| batch.first), (floor < 9).then_some(floor + 1));
    }

    #[test]
    fn forgets_whole_batches_by_count_bytes_or_age() {
        let wide = Options { history_age_max: Duration::from_secs(60), history_events_min: 0, ..Options::default() };
        check(wide.clone(), 20, 0, 0);
        check(Options { history_events_max: 8, ..wide.clone() }, 20, 2, 10);
        check(Options { history_events_max: 6, ..wide.clone() }, 20, 3, 20);
        check(Options { history_bytes_max: 5000, ..wide.clone() }, 20, 9, 30);
        check(wide.clone(), 61, 2, 10);
        check(wide.clone(), 1000, 9, 30);
        check(Options { history_events_min: 6, ..wide }, 1000, 3, 20);
    }

    #[test]
    fn a_floor_inside_a_batch_keeps_the_rest_of_it() {
        let mut history = History::default();
        history.push(batch(1..=5, 0, 0));
        assert!(history.forget(3).is_empty());
        let rest: Vec<_> = history.after(3).flat_map(|b| b.after(3)).map(|e| e.revision.0).collect();
        assert_eq!((history.floor(), rest), (3, vec![4, 5]));
    }
}
