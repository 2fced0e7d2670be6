//! Snapshots online: a thread of its own writes one, then removes the log that it replaces.
//!
//! Invariants: at most one runs at a time. It is taken at the history's floor, not at the newest revision: what lies
//! before the floor is exactly what a restart does not need event by event, so that one snapshot and the log after it
//! give back both the state and the history. A failure costs disk space, never data, and is tried again later.

use super::Options;
use super::log::{self, Segment};
use super::queue::Queue;
use super::shared::{Shared, Upkeep};
use super::snapshot;
use crate::StoreError;
use crate::files::{Files, attempted};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// Starts snapshots and hears of their end. Belongs to the writer.
pub(super) struct Snapshots {
    files: Arc<dyn Files>,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    newest: u64,
    running: Option<Running>,
    /// After a failure: so much of the log must be replaceable before the next attempt.
    retry_at: u64,
}

struct Running {
    thread: JoinHandle<()>,
    done: Receiver<Result<Done, StoreError>>,
    log_bytes: u64,
}

/// A finished snapshot; `revision` is `None` when it was given up for the end of the store.
struct Done {
    revision: Option<u64>,
    removed: Vec<u64>,
}

impl Snapshots {
    pub(super) fn new(files: Arc<dyn Files>, shared: Arc<Shared>, queue: Arc<Queue>, newest: u64) -> Snapshots {
        Snapshots { files, shared, queue, newest, running: None, retry_at: 0 }
    }

    /// Starts one if enough of the log is older than history.
    pub(super) fn consider(&mut self, upkeep: &Upkeep, live_bytes: u64, closed: &[Segment], options: &Options) {
        let enough = options.snapshot_log_bytes.max(live_bytes).max(self.retry_at);
        if self.running.is_some() || upkeep.reclaimable < enough || upkeep.floor <= self.newest {
            return;
        }
        self.retry_at = upkeep.reclaimable + options.snapshot_log_bytes;
        let (sender, done) = sync_channel(1);
        let job = Job {
            files: self.files.clone(),
            shared: self.shared.clone(),
            queue: self.queue.clone(),
            previous: self.newest,
            closed: closed.to_vec(),
        };
        let run = move || {
            if sender.send(job.run()).is_err() {
                tracing::debug!("the store ended before its snapshot did");
            }
            job.queue.wake();
        };
        match std::thread::Builder::new().name("store-snapshot".to_owned()).spawn(run) {
            Ok(thread) => self.running = Some(Running { thread, done, log_bytes: upkeep.reclaimable }),
            Err(error) => tracing::warn!(%error, "cannot start a thread for the store's snapshot; trying again later"),
        }
    }

    /// The first revisions of the segments that a snapshot has removed since the last call.
    pub(super) fn reap(&mut self) -> Vec<u64> {
        let Some(running) = self.running.take() else { return Vec::new() };
        match running.done.try_recv() {
            Err(TryRecvError::Empty) => {
                self.running = Some(running);
                Vec::new()
            }
            Ok(Ok(Done { revision, removed })) => {
                if let Some(revision) = revision {
                    self.newest = revision;
                    self.shared.reclaimed(running.log_bytes);
                }
                self.retry_at = 0;
                removed
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store's snapshot failed; the log keeps growing until one succeeds");
                Vec::new()
            }
            Err(TryRecvError::Disconnected) => {
                tracing::error!("the store's snapshot thread panicked; the log keeps growing until one succeeds");
                Vec::new()
            }
        }
    }

    /// Waits for the one that runs; the queue's `stop` makes it give up soon.
    pub(super) fn finish(&mut self) {
        if self.running.take().is_some_and(|running| running.thread.join().is_err()) {
            tracing::error!("the store's snapshot thread panicked");
        }
    }
}

struct Job {
    files: Arc<dyn Files>,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    previous: u64,
    closed: Vec<Segment>,
}

impl Job {
    fn run(&self) -> Result<Done, StoreError> {
        let rewind = self.shared.rewind_to_floor();
        let revision = rewind.target();
        let tree = rewind.run();
        let Some(len) = snapshot::write(&*self.files, revision, &tree, &self.queue.stop)? else {
            return Ok(Done { revision: None, removed: Vec::new() });
        };
        self.shared.counters.snapshots.fetch_add(1, Ordering::Relaxed);
        self.shared.counters.snapshot_bytes_written.fetch_add(len, Ordering::Relaxed);
        // Oldest first, so that a crash leaves no gap.
        let mut removed = Vec::new();
        for segment in self.closed.iter().filter(|segment| segment.last <= revision) {
            self.remove(&log::name(segment.first))?;
            removed.push(segment.first);
        }
        if self.previous > 0 {
            self.remove(&snapshot::name(self.previous))?;
        }
        Ok(Done { revision: Some(revision), removed })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.files.remove(name) {
            // An earlier attempt came this far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(attempted(format!("remove the superfluous {}/{name}", self.files.place()))),
        }
    }
}
