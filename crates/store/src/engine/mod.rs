//! The embedded engine: a durable log with snapshots under an in-memory persistent tree.
//!
//! ```text
//! commit → queue → writer ─ decide ─ append + fdatasync ─ publish ─→ answer
//!                              │                             │
//!                            log, snapshots              tree + history → get, range, watch
//! ```
//!
//! Invariants: see each part; together they give those of the crate.

mod frame;
mod history;
mod log;
mod options;
mod queue;
mod record;
mod recover;
mod shared;
mod snapshot;
mod tree;
mod upkeep;
mod watch;
mod writer;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod power_loss_tests;

pub use options::{Clock, MonotonicClock, Options};
pub use shared::Stats;

use crate::files::{Directory, Files, attempted};
use crate::{KeyValue, Op, Outcome, Range, Revision, Store, StoreError, Txn, Watch};
use async_trait::async_trait;
use queue::Queue;
use shared::{Shared, UNDO_INLINE_MAX};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use upkeep::Snapshots;
use writer::Writer;

/// The store on this machine's disk. Needs a tokio runtime to be used, not to be opened.
///
/// Dropping it writes what was accepted, ends its threads and gives the directory up; watches then end with `Closed`.
/// Explicit compaction lasts as long as the process: after a restart, history may reach further back again.
pub struct Embedded {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens or creates the store in `dir`; blocks while it recovers. One process at a time can have it open.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Embedded, StoreError> {
        Embedded::over(Arc::new(Directory::open(dir.as_ref())?), options)
    }

    fn over(files: Arc<dyn Files>, options: Options) -> Result<Embedded, StoreError> {
        let recovered = recover::recover(files.clone(), &options)?;
        let shared = Arc::new(Shared::new(recovered.tree.clone(), recovered.revision, recovered.history));
        let queue = Arc::new(Queue::new());
        let writer = Writer {
            queue: queue.clone(),
            shared: shared.clone(),
            options,
            log: recovered.log,
            tree: recovered.tree,
            revision: recovered.revision,
            snapshots: Snapshots::new(files, shared.clone(), queue.clone(), recovered.snapshot),
            buffer: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run());
        let writer = Some(thread.map_err(attempted("start the store's writer"))?);
        Ok(Embedded { shared, queue, writer })
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether writes are still taken; the error says why not.
    pub fn writable(&self) -> Result<(), StoreError> {
        self.queue.writable()
    }

    /// Writes the newest state into `dir`, which must hold no store yet, and returns its revision; blocks meanwhile.
    ///
    /// The directory is a store of its own, without history: to restore is to open it, or a copy of it.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<Revision, StoreError> {
        self.backup_ahead(dir, 0)
    }

    /// As `backup`, but the copy goes on `ahead` revisions later, as if so much had happened and were forgotten.
    ///
    /// A state brought back must not give out a revision again that somebody saw before: with more revisions than were
    /// given out since the backup, whoever watched then is told `Compacted`, and no old revision means a new value.
    pub fn backup_ahead(&self, dir: impl AsRef<Path>, ahead: u64) -> Result<Revision, StoreError> {
        let (revision, tree) = self.shared.newest();
        write_tree(dir.as_ref(), revision + ahead, &tree)?;
        Ok(Revision(revision + ahead))
    }

    async fn tree_at(&self, revision: u64) -> Result<tree::Tree, StoreError> {
        let rewind = self.shared.rewind(revision)?;
        let tree = if rewind.events() <= UNDO_INLINE_MAX {
            rewind.run()
        } else {
            let task = tokio::task::spawn_blocking(move || rewind.run()).await;
            task.map_err(|error| attempted(format!("read revision {revision}"))(io::Error::other(error)))?
        };
        Ok(tree)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue.close("it was shut down");
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the store's writer panicked");
        }
        self.shared.close("it was shut down");
    }
}

/// Writes a state from elsewhere into `dir`, which must hold no store yet, as if it had come about here; blocks
/// meanwhile. No item may be newer than `revision`.
pub fn write_copy(dir: impl AsRef<Path>, revision: Revision, items: Vec<KeyValue>) -> Result<(), StoreError> {
    let mut tree = tree::Tree::default();
    for item in items {
        tree.restore(item);
    }
    write_tree(dir.as_ref(), revision.0, &tree)
}

fn write_tree(dir: &Path, revision: u64, tree: &tree::Tree) -> Result<(), StoreError> {
    let files = Directory::open(dir)?;
    recover::check_empty(&files)?;
    // The log first: without the snapshot it is refused as incomplete, so that half a copy is never opened.
    log::create_segment(&files, revision + 1)?;
    if revision > 0 {
        snapshot::write(&files, revision, tree, &AtomicBool::new(false))?;
    }
    Ok(())
}

fn size(txn: &Txn) -> usize {
    let op = |op: &Op| match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
    };
    txn.ops.iter().map(op).sum::<usize>() + txn.checks.iter().map(|(key, _)| key.len()).sum::<usize>()
}

#[async_trait]
impl Store for Embedded {
    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(Revision(self.shared.revision()))
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        Ok(self.shared.get(key))
    }

    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        let Some(revision) = at else { return Ok(self.shared.page(prefix, after, limit)) };
        let tree = self.tree_at(revision.0).await?;
        let (items, more) = tree.page(prefix, after, limit);
        if more {
            self.shared.pin(revision.0, tree);
        }
        Ok(Range { items, more, revision })
    }

    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let size = size(&txn);
        if size > queue::TXN_BYTES_MAX {
            let reason = format!("it has {size} bytes, more than {}", queue::TXN_BYTES_MAX);
            return Err(attempted("commit a transaction")(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        }
        self.queue.submit(txn, size).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        Ok(Box::new(watch::Cursor::new(self.shared.clone(), prefix, after.0)?))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.shared.compact(revision.0)?;
        // Enough of the log may have become superfluous for a snapshot.
        self.queue.wake();
        Ok(())
    }
}
