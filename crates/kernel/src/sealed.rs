//! A program that nobody can write to through its own process.
//!
//! `/proc/PID/exe` of a process inside a container opens the host's file. Run from a read-only mount that is attached
//! nowhere, it cannot be opened for writing, whoever tries (compare CVE-2019-5736).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Error, Result};

/// `MOUNT_ATTR_RDONLY`.
const READ_ONLY: u64 = 1;

/// `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Opens the file at `path` on a read-only mount of its own. Run it as `/proc/self/fd/N`.
#[allow(unsafe_code)]
pub fn open(path: &Path) -> Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::file("open", path)(io::ErrorKind::InvalidInput.into()))?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: a valid C string; the kernel returns a new descriptor, which is ours alone.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
    if tree < 0 {
        return Err(Error::file("clone the mount of", path)(io::Error::last_os_error()));
    }
    // SAFETY: as above.
    let tree = unsafe { OwnedFd::from_raw_fd(tree as i32) };
    let attributes = Attributes { set: READ_ONLY, clear: 0, propagation: 0, user_namespace: 0 };
    let (fd, size) = (tree.as_raw_fd(), size_of::<Attributes>());
    // SAFETY: an empty C string and a structure of the size given live through the call.
    let answer =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), libc::AT_EMPTY_PATH, &attributes, size) };
    if answer < 0 {
        return Err(Error::file("make read-only", path)(io::Error::last_os_error()));
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_runs_and_cannot_be_written() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        std::fs::copy("/bin/true", &file).unwrap();
        let sealed = open(&file).unwrap();
        let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
        assert!(std::process::Command::new(&path).status().unwrap().success());
        let error = std::fs::File::options().write(true).open(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    }
}
