//! The file layer: every byte that the engine reads or writes goes through here, so that tests can cut the power.
//!
//! Invariants that the engine relies on, and that the test layer keeps no better than a disk does:
//! - A write is durable after `sync` on its file, and only then; unsynced writes may survive in any part and order.
//! - A name (creation, rename, removal) is durable after `sync_names`, and only then.
//! - A rename is atomic.

use crate::StoreError;
use std::fs::{DirBuilder, File as StdFile, OpenOptions, TryLockError};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(crate) mod power_loss;

/// One directory of files.
pub(crate) trait Files: Send + Sync + 'static {
    /// Where the files are, for messages.
    fn place(&self) -> String;
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Creates an empty file, replacing one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file.
pub(crate) trait File: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Reads at most `buffer.len()` bytes; 0 is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at most `bytes.len()` bytes and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of `bytes`, however short the single writes are.
pub(crate) fn write_all_at(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Names what was attempted in an error.
pub(crate) fn attempted(what: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { attempted: what.into(), source }
}

/// A real directory, locked against other processes for as long as this lives.
pub(crate) struct Directory {
    path: PathBuf,
    handle: StdFile,
    // Held, never read: closing it gives the lock up.
    _lock: StdFile,
}

impl Directory {
    /// Opens the directory, creating it for this user only: the store holds secrets.
    pub(crate) fn open(path: &Path) -> Result<Directory, StoreError> {
        create_durably(path).map_err(attempted(format!("create the directory {}", path.display())))?;
        let handle = StdFile::open(path).map_err(attempted(format!("open the directory {}", path.display())))?;
        Ok(Directory { path: path.to_owned(), handle, _lock: lock(&path.join("lock"))? })
    }
}

/// Creates what is missing of `path`, and makes each new name durable in its parent.
fn create_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for created in missing {
        let parent = created.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        StdFile::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<StdFile, StoreError> {
    let what = || format!("lock {}", path.display());
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).to_owned();
    let mut file = options.open(path).map_err(attempted(what()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(attempted(what())(error)),
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(path).map_err(attempted(what()))?;
            let reason = format!("another process holds it (pid {})", holder.trim());
            return Err(attempted(what())(io::Error::new(io::ErrorKind::WouldBlock, reason)));
        }
    }
    // The pid is only for the message above: losing it costs nothing, so it is not synced.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(attempted(what()))?;
    Ok(file)
}

impl Files for Directory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is not text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.path.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl File for StdFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        StdFile::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: also writes the length when it changed, which is all of the metadata that reading needs.
        self.sync_data()
    }
}
