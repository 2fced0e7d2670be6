//! The queue between committers and the writer: bounded in transactions and bytes, drained whole.
//!
//! Invariants: a committer waits (is not refused) while the queue is full. After `close` nothing is accepted, and
//! whoever still waits is told the reason.

use crate::{Outcome, StoreError, Txn};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// 4,096 transactions of up to 4 KiB, or as many bytes in fewer.
const SLOTS: usize = 4096;
const SLOT_BYTES: usize = 4 << 10;
/// What a transaction may take: half of the queue, so that two of the largest still flow.
pub(super) const TXN_BYTES_MAX: usize = SLOTS / 2 * SLOT_BYTES;
/// One group commit: enough to spread the cost of a sync, small enough for a short write.
const BATCH_SLOTS: usize = 1024;

pub(super) type Reply = oneshot::Sender<Result<Outcome, StoreError>>;

pub(super) struct Request {
    pub(super) txn: Txn,
    pub(super) reply: Reply,
    slots: u32,
}

pub(super) struct Queue {
    pending: Mutex<Pending>,
    work: Condvar,
    room: Semaphore,
    /// Set with `Pending::closed`, to be seen without the lock by a snapshot in progress.
    pub(super) stop: AtomicBool,
}

#[derive(Default)]
struct Pending {
    requests: VecDeque<Request>,
    woken: bool,
    closed: Option<String>,
}

/// What the writer finds when it looks.
pub(super) struct Work {
    /// Empty when it was woken for something else, or the time was over.
    pub(super) requests: Vec<Request>,
    /// Nothing will come after this.
    pub(super) last: bool,
}

fn closed(reason: &str) -> StoreError {
    StoreError::Closed { reason: reason.to_owned() }
}

/// A committer may have been cancelled, which is its right; its transaction stands all the same.
pub(super) fn answer(reply: Reply, result: Result<Outcome, StoreError>) {
    if reply.send(result).is_err() {
        tracing::trace!("a committer went away before its transaction was done");
    }
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            pending: Mutex::default(),
            work: Condvar::new(),
            room: Semaphore::new(SLOTS),
            stop: AtomicBool::new(false),
        }
    }

    /// Waits for room, then for the outcome.
    pub(super) async fn submit(&self, txn: Txn, bytes: usize) -> Result<Outcome, StoreError> {
        let slots = u32::try_from(1 + bytes / SLOT_BYTES).unwrap_or(u32::MAX);
        let Ok(room) = self.room.acquire_many(slots).await else {
            return Err(closed(&self.reason()));
        };
        let (reply, outcome) = oneshot::channel();
        {
            let mut pending = self.pending.lock();
            if let Some(reason) = &pending.closed {
                return Err(closed(reason));
            }
            pending.requests.push_back(Request { txn, reply, slots });
        }
        // Given back by the writer, when it takes the request.
        room.forget();
        self.work.notify_one();
        outcome.await.unwrap_or_else(|_| Err(closed(&self.reason())))
    }

    pub(super) fn writable(&self) -> Result<(), StoreError> {
        self.pending.lock().closed.as_deref().map_or(Ok(()), |reason| Err(closed(reason)))
    }

    fn reason(&self) -> String {
        self.pending.lock().closed.clone().unwrap_or_else(|| "its writer ended".to_owned())
    }

    /// Makes the writer look around, with or without transactions.
    pub(super) fn wake(&self) {
        self.pending.lock().woken = true;
        self.work.notify_one();
    }

    /// Waits for transactions, a wake-up, the end, or `patience` to be over.
    pub(super) fn take(&self, patience: Option<Duration>) -> Work {
        let mut pending = self.pending.lock();
        while pending.requests.is_empty() && !pending.woken && pending.closed.is_none() {
            match patience {
                None => self.work.wait(&mut pending),
                Some(patience) if self.work.wait_for(&mut pending, patience).timed_out() => break,
                Some(_) => {}
            }
        }
        pending.woken = false;
        let (mut count, mut slots) = (0, 0);
        for request in &pending.requests {
            if count > 0 && slots + request.slots as usize > BATCH_SLOTS {
                break;
            }
            slots += request.slots as usize;
            count += 1;
        }
        let requests: Vec<Request> = pending.requests.drain(..count).collect();
        let last = pending.closed.is_some() && pending.requests.is_empty();
        drop(pending);
        self.room.add_permits(slots);
        Work { requests, last }
    }

    /// Accepts nothing more; what waits already is still the writer's to do.
    pub(super) fn close(&self, reason: &str) {
        self.stop.store(true, Ordering::Relaxed);
        self.pending.lock().closed.get_or_insert_with(|| reason.to_owned());
        self.room.close();
        self.work.notify_one();
    }

    /// Closes, and refuses what waits already: nothing may be written any more.
    pub(super) fn fail(&self, reason: &str) {
        self.close(reason);
        let refused = std::mem::take(&mut self.pending.lock().requests);
        for request in refused {
            answer(request.reply, Err(closed(reason)));
        }
    }
}
