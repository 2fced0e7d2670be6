//! Mounts. Trees are cloned, changed while nobody sees them, and moved into place (Linux 5.12).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{c_string, check, check_long};

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const MOUNT_ATTR_RDONLY: u64 = 1;

/// `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Mounts a file system. `target` is usually [`super::path_of`] a descriptor.
pub(crate) fn mount(source: &str, target: &str, fs_type: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let (source, target) = (c_string(source)?, c_string(target)?);
    let (fs_type, data) = (c_string(fs_type)?, c_string(data)?);
    // SAFETY: four valid C strings; the kernel copies `data` up to its end or a page.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), fs_type.as_ptr(), flags, data.as_ptr().cast()) })
        .map(drop)
}

/// Makes all mounts from the root on receive from their peers, but not send.
pub(crate) fn make_all_slave() -> io::Result<()> {
    mount("", "/", "", libc::MS_REC | libc::MS_SLAVE, "")
}

/// A copy of the mount at `path`, with all below it when `recursive`, that nobody sees yet.
pub(crate) fn clone_tree(path: &str, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    open_tree(libc::AT_FDCWD, &path, recursive, 0)
}

/// [`clone_tree`] of what a descriptor is of.
pub(crate) fn clone_tree_at(fd: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    open_tree(fd.as_raw_fd(), c"", recursive, libc::AT_EMPTY_PATH as libc::c_uint)
}

fn open_tree(fd: i32, path: &std::ffi::CStr, recursive: bool, flags: libc::c_uint) -> io::Result<OwnedFd> {
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | recursive | flags;
    // SAFETY: a valid C string; the new descriptor is ours alone.
    let tree = check_long(unsafe { libc::syscall(libc::SYS_open_tree, fd, path.as_ptr(), flags) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(tree as i32) })
}

/// Sets how mounts below a mount spread, for it and all below it: `MS_PRIVATE`, `MS_SLAVE` or `MS_SHARED`.
pub(crate) fn set_propagation(tree: BorrowedFd<'_>, propagation: u64) -> io::Result<()> {
    set_attributes(tree, MountAttributes { propagation, ..MountAttributes::default() }, true)
}

/// Makes a mount read-only.
pub(crate) fn set_read_only(tree: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    set_attributes(tree, MountAttributes { set: MOUNT_ATTR_RDONLY, ..MountAttributes::default() }, recursive)
}

fn set_attributes(tree: BorrowedFd<'_>, attributes: MountAttributes, recursive: bool) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | if recursive { AT_RECURSIVE } else { 0 };
    let size = size_of::<MountAttributes>();
    // SAFETY: an empty C string and a structure of the size given live through the call.
    check_long(unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), c"".as_ptr(), flags, &attributes, size)
    })
    .map(drop)
}

/// Puts a cloned tree where `target` is, by descriptor on both sides: no path is resolved again.
pub(crate) fn move_tree(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let empty = c"".as_ptr();
    // SAFETY: empty C strings.
    check_long(unsafe {
        libc::syscall(libc::SYS_move_mount, tree.as_raw_fd(), empty, target.as_raw_fd(), empty, flags)
    })
    .map(drop)
}

/// Makes `root` the root of this mount namespace and drops all that was there.
pub(crate) fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fchdir(root.as_raw_fd()) })?;
    // The old root lands on top of the new one, which needs no directory for it; see pivot_root(2).
    // SAFETY: two valid C strings.
    check_long(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    // SAFETY: a valid C string.
    check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) })?;
    // SAFETY: a valid C string.
    check(unsafe { libc::chdir(c"/".as_ptr()) }).map(drop)
}
