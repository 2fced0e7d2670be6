//! A node's logs that are no longer written: rotated ones, those of instances before the last restart, those of pods that
//! are gone.
//!
//! Invariants: a log file moves one way, from where it is live to where it waits (`ended`) to a segment, and is removed
//! only when its segment is durable: whoever looks in that order misses none. A segment's name says which file it was, so
//! that a step that is done again after a crash makes no second one. The archive's size and age are bounded; the oldest
//! goes first.

mod catalog;
mod intake;
mod keeper;

pub(crate) use catalog::Held;
pub(crate) use intake::{directories_in, logs_in, parts_in, rotations};

use crate::export::{Counts, Ledger};
use crate::identity::{Identity, Part};
use catalog::Catalog;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long logs are kept, and how much of them, where nobody says.
pub const AGE_MAX_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
pub const BYTES_MAX_DEFAULT: u64 = 1 << 30;
/// Of the disk: the default bound is not more than one part in so many.
const DISK_PART: u64 = 20;

/// Where a node's logs are, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The runtime's: a directory for each pod, in it one for each container.
    pub live: PathBuf,
    /// Of pods that are gone, until they are archived. On the same file system as `live`.
    pub ended: PathBuf,
    pub archive: PathBuf,
    pub age_max: Duration,
    /// `None`: the default, or a twentieth of the disk if that is less.
    pub bytes_max: Option<u64>,
}

/// The archive, and the thread that fills it. Dropping it ends the thread when its present file is done.
pub struct Archive {
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    bytes_max: u64,
    catalog: Mutex<Catalog>,
    loaded: Condvar,
    /// Where logs are exported: up to where that has come.
    exported: OnceLock<Arc<Ledger>>,
}

enum Order {
    Look,
    /// Answer when all that was there before is done.
    Settle(SyncSender<()>),
}

impl Archive {
    /// Opens the archive and goes on with what an earlier process left undone. What it holds is read by the thread.
    ///
    /// # Errors
    /// The directories cannot be made, or the thread not started.
    pub fn open(options: Options) -> io::Result<Archive> {
        for path in [&options.live, &options.ended, &options.archive] {
            std::fs::create_dir_all(path)?;
        }
        let bytes_max = match options.bytes_max {
            Some(bytes) => bytes,
            None => bytes_max_default(&options.archive)?,
        };
        let (catalog, loaded, exported) = (Mutex::default(), Condvar::new(), OnceLock::new());
        let shared = Arc::new(Shared { options, bytes_max, catalog, loaded, exported });
        let (orders, taken) = sync_channel(1);
        let own = shared.clone();
        std::thread::Builder::new().name("log-archive".into()).spawn(move || keeper::run(&own, &taken))?;
        Ok(Archive { shared, orders })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Tells the ledger of what goes before it was delivered; answers false where there is one already.
    pub(crate) fn export_to(&self, ledger: Arc<Ledger>) -> bool {
        self.shared.exported.set(ledger).is_ok()
    }

    /// How many lines have been exported, where any are.
    pub fn export_counts(&self) -> Option<Counts> {
        self.shared.exported.get().map(|ledger| ledger.counts())
    }

    /// Says that there are rotated logs, or that instances have ended.
    pub fn look(&self) {
        match self.orders.try_send(Order::Look) {
            // One that waits looks at everything.
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!("the log archive has ended; logs stay where they are")
            }
        }
    }

    /// Takes over the logs of a pod that is gone: `directory` is below `live`, and nobody writes there any more. When it
    /// returns, they are no longer there, and still found.
    ///
    /// # Errors
    /// Those of the file system; it can be tried again.
    pub fn take_over(&self, directory: &Path) -> io::Result<()> {
        let Some(name) = directory.file_name() else { return Ok(()) };
        intake::move_over(directory, &self.shared.options.ended.join(name))?;
        self.look();
        Ok(())
    }

    /// The number of an instance's next rotation: greater than any before, whatever was archived or removed since.
    ///
    /// # Errors
    /// The directories cannot be read or written.
    pub fn claim_rotation(&self, log: &Path) -> io::Result<u64> {
        let pod = log.parent().and_then(Path::parent).and_then(Path::file_name).unwrap_or_default();
        intake::claim_rotation(log, &self.shared.options.archive.join(pod), &self.shared.options.ended.join(pod))
    }

    /// Returns when all that waits is archived. Blocks.
    pub fn settle(&self) {
        let (done, answer) = sync_channel(1);
        if self.orders.send(Order::Settle(done)).is_err() || answer.recv().is_err() {
            tracing::error!("the log archive has ended");
        }
    }
}

impl Shared {
    fn segment_path(&self, pod: &str, part: &Part) -> PathBuf {
        self.options.archive.join(pod).join(part.segment_name())
    }

    /// The segments, by their pods' directories; waits until they have been read.
    pub(crate) fn held(&self, wanted: impl Fn(&Identity) -> bool) -> Vec<(Arc<Identity>, BTreeMap<Part, Held>)> {
        let mut catalog = self.catalog.lock();
        self.loaded.wait_while(&mut catalog, |catalog| !catalog.is_loaded());
        catalog.select(wanted)
    }

    /// The directories of pods that have segments.
    pub(crate) fn held_names(&self) -> Vec<String> {
        let mut catalog = self.catalog.lock();
        self.loaded.wait_while(&mut catalog, |catalog| !catalog.is_loaded());
        catalog.names()
    }

    pub(crate) fn path_of(&self, identity: &Identity, part: &Part) -> PathBuf {
        self.segment_path(&identity.directory(), part)
    }
}

fn bytes_max_default(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(BYTES_MAX_DEFAULT.min(disk.f_blocks.saturating_mul(disk.f_frsize) / DISK_PART))
}

/// As `Archive::claim_rotation`, where nothing is archived.
///
/// # Errors
/// The log's directory cannot be read or written.
pub fn claim_rotation(log: &Path) -> io::Result<u64> {
    intake::claim_rotation(log, Path::new(""), Path::new(""))
}

#[cfg(test)]
mod tests;
