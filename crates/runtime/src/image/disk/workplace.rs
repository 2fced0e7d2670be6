//! A process's own corner of the store, for what is not finished.
//!
//! The directory is locked as long as its owner lives, however it ends; who opens the store removes those whose
//! owners are gone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;
use tempfile::TempDir;

use super::error::{FileError, at};
use super::layout::{Layout, list};

/// The directory, removed when dropped.
#[derive(Debug)]
pub(super) struct Workplace {
    directory: TempDir,
    /// Its lock. Closed on exec, so that no child holds it.
    _held: File,
    next: AtomicU64,
}

impl Workplace {
    /// Removes what the dead left, and moves in.
    pub(super) fn open(layout: &Layout) -> Result<Workplace, FileError> {
        // Nobody else may be between making a directory and locking it.
        let _lock = layout.lock()?;
        for path in list(&layout.tmp())? {
            if let Some(_held) = try_lock(&path)? {
                remove(&path)?;
            }
        }
        let tmp = layout.tmp();
        let directory = tempfile::Builder::new().prefix("").tempdir_in(&tmp).map_err(at("create", &tmp))?;
        let busy = || at("lock", directory.path())(rustix::io::Errno::WOULDBLOCK.into());
        let held = try_lock(directory.path())?.ok_or_else(busy)?;
        Ok(Workplace { directory, _held: held, next: AtomicU64::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A path that nothing has yet.
    pub(super) fn fresh(&self) -> PathBuf {
        self.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    let opened = File::open(path).map_err(at("open", path))?;
    match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(opened)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(at("lock", path)(error.into())),
    }
}

/// Removes a file or a tree.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    let is_directory = path.symlink_metadata().map_err(at("look at", path))?.is_dir();
    let removed = if is_directory { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(at("remove", path))
}
