//! Descriptors: pipes, copies, flags, directories below a root.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{c_string, check, check_long};

/// A pipe as (reader, writer), both closed on exec and blocking.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors, which are ours alone.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: as above.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Makes reads and writes return at once. The flag belongs to the open file, so to whoever shares it.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Reads what there is.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most the buffer's length.
    check_long(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) as libc::c_long })
        .map(|count| count as usize)
}

/// Writes what fits.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads at most the slice's length.
    check_long(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) as libc::c_long })
        .map(|count| count as usize)
}

/// Puts `fd` in the place of one of the standard streams, there to stay over exec.
pub(crate) fn replace_standard(fd: BorrowedFd<'_>, stream: i32) -> io::Result<()> {
    if fd.as_raw_fd() == stream {
        // SAFETY: no pointers; dup2 onto itself would leave close-on-exec set.
        return check(unsafe { libc::fcntl(stream, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: no pointers; the standard streams are owned by nobody.
    check(unsafe { libc::dup2(fd.as_raw_fd(), stream) }).map(drop)
}

/// A standard stream of this process.
pub(crate) fn standard(stream: i32) -> BorrowedFd<'static> {
    // SAFETY: the shim keeps 0, 1 and 2 open all its life.
    unsafe { BorrowedFd::borrow_raw(stream) }
}

/// Lets every descriptor from 3 on be closed at exec, whoever opened it.
pub(crate) fn close_others_on_exec() -> io::Result<()> {
    // SAFETY: no pointers.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: no pointers; callers go on without any of these descriptors.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Opens a path as a mere reference, close-on-exec.
pub(crate) fn open_path(path: &str) -> io::Result<OwnedFd> {
    open(path, libc::O_PATH)
}

/// Opens a path, close-on-exec.
pub(crate) fn open(path: &str, flags: libc::c_int) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    // SAFETY: a valid C string; the new descriptor is ours alone.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o640) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// Opens `path` as if `root` were the root directory: neither `..` nor a symbolic link leads out.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &str, flags: libc::c_int) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    let how =
        OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    loop {
        // SAFETY: path and `how` live through the call; the size is that of `how`.
        let answer = check_long(unsafe {
            libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &how, size_of::<OpenHow>())
        });
        match answer {
            // SAFETY: the kernel has just returned this descriptor to us alone.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
            // Somebody renamed something on the way; the kernel asks to try again.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a directory in `parent`.
pub(crate) fn make_directory(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: a valid C string.
    check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), 0o755) }).map(drop)
}

/// Makes an empty file in `parent`.
pub(crate) fn make_file(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: a valid C string.
    check(unsafe { libc::mknodat(parent.as_raw_fd(), name.as_ptr(), libc::S_IFREG | 0o644, 0) }).map(drop)
}

/// Makes a device node in `parent`, owned as said.
pub(crate) fn make_device(
    parent: BorrowedFd<'_>,
    name: &str,
    mode: u32,
    device: (u32, u32),
    owner: (u32, u32),
) -> io::Result<()> {
    let name = c_string(name)?;
    let device = libc::makedev(device.0, device.1);
    // SAFETY: a valid C string.
    check(unsafe { libc::mknodat(parent.as_raw_fd(), name.as_ptr(), mode, device) })?;
    // SAFETY: a valid C string.
    check(unsafe { libc::fchownat(parent.as_raw_fd(), name.as_ptr(), owner.0, owner.1, libc::AT_SYMLINK_NOFOLLOW) })
        .map(drop)
}

/// Makes a symbolic link in `parent`.
pub(crate) fn make_link(target: &CStr, parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: two valid C strings.
    check(unsafe { libc::symlinkat(target.as_ptr(), parent.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// Where the symbolic link `name` in `parent` points.
pub(crate) fn read_link(parent: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    let name = c_string(name)?;
    let mut buffer = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most the buffer's length.
    let count = check_long(unsafe {
        libc::readlinkat(parent.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) as libc::c_long
    })?;
    String::from_utf8(buffer[..count as usize].to_vec()).map_err(|_| io::Error::from_raw_os_error(libc::EILSEQ))
}

/// What a descriptor is of: mode and device.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> io::Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::uninit();
    // SAFETY: the kernel fills the structure.
    check(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: filled above.
    Ok(unsafe { stat.assume_init() })
}

/// Whether a descriptor is of a directory.
pub(crate) fn is_directory(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(stat(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Gives what a descriptor is of to a user.
pub(crate) fn change_owner(fd: BorrowedFd<'_>, uid: u32) -> io::Result<()> {
    // SAFETY: no pointers; a group of -1 stays as it is.
    check(unsafe { libc::fchown(fd.as_raw_fd(), uid, u32::MAX) }).map(drop)
}

/// A path by which the kernel finds what a descriptor is of.
pub(crate) fn path_of(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
