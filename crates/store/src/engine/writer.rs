//! The one writer: takes all waiting transactions, decides them in order, and makes them durable together.
//!
//! Invariants: nothing is published before it is durable, and nobody is answered before what the answer tells of is
//! published (a conflict may show an earlier transaction of the same group). After a failed write nothing is written
//! any more: what the disk has is unknown, and a later sync that succeeds would not prove it.

use super::Options;
use super::frame;
use super::history::Batch;
use super::log::Log;
use super::queue::{Queue, Reply, Request, answer};
use super::record;
use super::shared::{Shared, Upkeep};
use super::tree::Tree;
use super::upkeep::Snapshots;
use crate::{Event, Outcome, Revision, StoreError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An idle store looks for history that has grown old no oftener than this.
const AGING_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// The write buffer is given back when one large group has made it larger than this.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) shared: Arc<Shared>,
    pub(super) options: Options,
    pub(super) log: Log,
    pub(super) tree: Tree,
    pub(super) revision: u64,
    pub(super) snapshots: Snapshots,
    pub(super) buffer: Vec<u8>,
}

/// Lets no committer wait for a writer that is gone, even if it panicked.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fail("its writer ended");
    }
}

impl Writer {
    /// Runs until the queue is closed or a write fails.
    pub(super) fn run(mut self) {
        let ending = Ending(self.queue.clone());
        let mut upkeep = self.shared.age(&self.options);
        loop {
            let removed = self.snapshots.reap();
            self.log.removed(&removed);
            self.shared.counters.log_bytes.store(self.log.bytes(), Ordering::Relaxed);
            self.snapshots.consider(&upkeep, self.tree.bytes(), self.log.closed(), &self.options);

            let work = self.queue.take(upkeep.until_old.map(|wait| wait.max(AGING_INTERVAL_MIN)));
            let looked_around = work.requests.is_empty();
            match self.commit(work.requests) {
                Ok(Some(after)) => upkeep = after,
                Ok(None) if looked_around => upkeep = self.shared.age(&self.options),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "the store takes no more writes");
                    self.queue.fail(&format!("a write failed: {error}"));
                    break;
                }
            }
            if work.last {
                break;
            }
        }
        self.snapshots.finish();
        drop(ending);
    }

    /// `Ok(None)`: there was nothing to write.
    fn commit(&mut self, requests: Vec<Request>) -> Result<Option<Upkeep>, StoreError> {
        let first = self.revision + 1;
        let mut events = Vec::new();
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            let (reply, outcome) = self.decide(request, &mut events);
            outcomes.push((reply, outcome));
        }
        let written = if events.is_empty() { Ok(None) } else { self.write(first, events).map(Some) };
        for (reply, outcome) in outcomes {
            answer(reply, written.as_ref().map(|_| outcome).map_err(again));
        }
        written
    }

    fn decide(&mut self, Request { txn, reply, .. }: Request, events: &mut Vec<Event>) -> (Reply, Outcome) {
        if let Some(states) = self.tree.conflict(&txn) {
            return (reply, Outcome::Conflict(states));
        }
        let before = events.len();
        self.tree.apply(Revision(self.revision + 1), txn.ops, events);
        if events.len() > before {
            self.revision += 1;
        }
        (reply, Outcome::Committed(Revision(self.revision)))
    }

    fn write(&mut self, first: u64, events: Vec<Event>) -> Result<Upkeep, StoreError> {
        let offset = self.log.offset(first)?;
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        for transaction in events.chunk_by(|a, b| a.revision == b.revision) {
            record::put_transaction(&mut self.buffer, transaction);
        }
        let count = self.revision + 1 - first;
        // The queue hands out at most so many transactions as it has slots.
        let count = u32::try_from(count).expect("a group is bounded by the queue");
        frame::end(&mut self.buffer, start, offset, first, count);
        self.log.append(&self.buffer)?;

        let log_bytes = self.buffer.len() as u64;
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        let counters = &self.shared.counters;
        counters.commits.fetch_add(u64::from(count), Ordering::Relaxed);
        counters.syncs.fetch_add(1, Ordering::Relaxed);
        counters.log_bytes_written.fetch_add(log_bytes, Ordering::Relaxed);
        let batch = Batch::new(events, self.options.clock.now(), log_bytes);
        Ok(self.shared.publish(self.tree.clone(), batch, &self.options))
    }
}

/// The same error for everyone in the group: an `io::Error` cannot be cloned.
fn again(error: &StoreError) -> StoreError {
    let kind = match error {
        StoreError::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    StoreError::Io { attempted: "commit".to_owned(), source: io::Error::new(kind, error.to_string()) }
}
