//! Owner, mode, times and extended attributes of what a layer holds.
//!
//! Order matters: changing the owner clears set-user-id bits and file capabilities, and everything changes times.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::tar::Entry;

/// The kernel's own notes about a stack of layers; a layer that brought them could show files of other images.
const OVERLAY_PREFIXES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Sets everything on an open file or directory, except a directory's times.
pub(super) fn set_on_file(file: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
    rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    for (name, value) in permitted(entry) {
        tolerate_unsupported(rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    Ok(())
}

/// Sets everything on what must not be opened: a link, a device, a pipe.
pub(super) fn set_on_node(parent: BorrowedFd<'_>, name: &Path, entry: &Entry, is_link: bool) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    for (attribute, value) in permitted(entry) {
        let path = through(parent, name);
        tolerate_unsupported(rustix::fs::lsetxattr(path, attribute, value, XattrFlags::empty()))?;
    }
    if !is_link {
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    }
    rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Access and modification time, both the entry's.
pub(super) fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.modified_seconds, tv_nsec: entry.modified_nanoseconds };
    Timestamps { last_access: time, last_modification: time }
}

/// A path that goes through an open directory, for calls that take no directory. Its last component is not followed
/// by the calls used here.
pub(super) fn through(parent: impl AsFd, name: &Path) -> PathBuf {
    Path::new("/proc/self/fd").join(parent.as_fd().as_raw_fd().to_string()).join(name)
}

fn permitted(entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
    entry
        .xattrs
        .iter()
        .filter(|(name, _)| !OVERLAY_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
}

/// A file system that keeps no such attribute gets the file without it, as with containerd.
fn tolerate_unsupported(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}
