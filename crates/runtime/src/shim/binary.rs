//! The shim's program, carried inside this one.
//!
//! It is written to the data directory under the hash of its content: shims of an earlier build keep theirs.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const PROGRAM: &[u8] = include_bytes!(env!("SHIM_PROGRAM"));

/// The program, ready to be started.
#[derive(Debug)]
pub(crate) struct Binary {
    /// On a read-only mount of its own, so that nothing in a container can write to it.
    sealed: OwnedFd,
}

impl Binary {
    /// Writes the program below `directory`, unless it is there, and opens it.
    pub(crate) fn install(directory: &Path) -> std::io::Result<Binary> {
        let digest = Sha256::digest(PROGRAM);
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = directory.join(format!("sampan-shim-{name}"));
        if !std::fs::read(&path).is_ok_and(|content| content == PROGRAM) {
            std::fs::create_dir_all(directory)?;
            write_whole(&path)?;
        }
        Ok(Binary { sealed: kernel::sealed::open(&path).map_err(std::io::Error::other)? })
    }

    /// What to execute.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.sealed.as_raw_fd()))
    }
}

/// Under another name first: nobody ever sees half a program, and one that runs is not written to.
fn write_whole(path: &Path) -> std::io::Result<()> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o500).open(&draft)?;
    file.write_all(PROGRAM)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&draft, path)
}
