//! Processes: clones, namespaces, identity, signals, time.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{c_string, check, check_long};

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SECUREBITS_KEEP_CAPS: libc::c_ulong = 1;

/// `struct clone_args`, up to and with `cgroup`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of a clone one is on.
pub(crate) enum Side {
    Parent(i32),
    Child,
}

/// Copies this process into new namespaces (`flags`) and, where given, straight into a v2 cgroup.
pub(crate) fn clone(flags: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let arguments = CloneArguments {
        flags: flags as u64 | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 },
        // A sibling has the signal that its parent chose for this process.
        exit_signal: if flags & libc::CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 },
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..CloneArguments::default()
    };
    // SAFETY: without CLONE_VM this is a fork: the child has a copy of everything, and as there is only this thread,
    // no lock can be held in it by another.
    match check_long(unsafe { libc::syscall(libc::SYS_clone3, &arguments, size_of::<CloneArguments>()) })? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid as i32)),
    }
}

/// Ends this process at once.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: no pointers.
    unsafe { libc::_exit(code) }
}

/// Leaves namespaces for fresh ones.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Enters a namespace; of process namespaces, only children to come do.
pub(crate) fn enter(namespace: BorrowedFd<'_>, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setns(namespace.as_raw_fd(), kind) }).map(drop)
}

/// Begins a session without a terminal.
pub(crate) fn new_session() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Names the host in this UTS namespace.
pub(crate) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: the kernel reads the length given.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Sets the mode bits that new files do not get.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: no pointers; this call cannot fail.
    unsafe { libc::umask(mask) };
}

/// Signals a child that has not been reaped, so that its id is still its own.
pub(crate) fn signal_child(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Reaps one ended child, if any, as (pid, exit code); a signal's number counts from 128.
pub(crate) fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the kernel writes the status.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) };
    let code = if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
    (pid > 0).then_some((pid, code))
}

/// Whether this process has children, ended or not.
pub(crate) fn has_children() -> bool {
    // SAFETY: WNOWAIT leaves them as they are; a null pointer is allowed.
    let answer = unsafe {
        libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL)
    };
    answer == 0
}

/// Lets the kernel reap the children of this process.
pub(crate) fn ignore_children() -> io::Result<()> {
    // SAFETY: ignoring runs no code of ours.
    match unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Waits for any signal that is let through. For the inert process.
pub(crate) fn pause() {
    // SAFETY: no pointers; it always returns an interruption.
    unsafe { libc::pause() };
}

fn child_signals() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the first call initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        set.assume_init()
    }
}

/// Turns the ends of children into reads of the descriptor returned.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    let set = child_signals();
    // SAFETY: the set is initialised.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) })?;
    // SAFETY: the set is initialised; the new descriptor is ours alone.
    let fd = check(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Ignores what a terminal or a session's end would send, and broken pipes, which writes report.
pub(crate) fn ignore_signals() {
    for signal in [libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: ignoring runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives a new program the signals as any program expects them: none blocked, none ignored.
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in 1..libc::SIGRTMAX() {
        // SAFETY: back to the default; SIGKILL and SIGSTOP refuse, which changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the first call initialises the set that the second reads.
    check(unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut())
    })
    .map(drop)
}

fn prctl(what: libc::c_int, value: libc::c_ulong, more: libc::c_ulong) -> io::Result<libc::c_int> {
    // SAFETY: only called with options that take integers.
    check(unsafe { libc::prctl(what, value, more, 0 as libc::c_ulong, 0 as libc::c_ulong) })
}

/// Becomes the parent of orphans below this process.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(drop)
}

/// Keeps others, root in a container too, from looking into this process through `/proc`.
pub(crate) fn hide_memory() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
}

/// Names this process for `ps`, up to 15 bytes.
pub(crate) fn set_name(name: &std::ffi::CStr) -> io::Result<()> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong, 0).map(drop)
}

/// No program run from now on gains privileges.
pub(crate) fn set_no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Permitted capabilities survive the change to another user.
pub(crate) fn keep_capabilities() -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, SECUREBITS_KEEP_CAPS, 0).map(drop)
}

/// Gives one capability up for good. `Ok(false)` when the kernel knows no such number.
pub(crate) fn drop_bounding(capability: u32) -> io::Result<bool> {
    match prctl(libc::PR_CAPBSET_DROP, capability.into(), 0) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets a capability pass to programs of users other than root.
pub(crate) fn raise_ambient(capability: u32) -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, capability.into()).map(drop)
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Sets the three sets of this process.
pub(crate) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |mask: u64, shift: u32| (mask >> shift) as u32;
    let data: [[u32; 3]; 2] = [0, 32].map(|at| [half(effective, at), half(permitted, at), half(inheritable, at)]);
    // SAFETY: header and two data structures, as version 3 wants, live through the call.
    check_long(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// Becomes a user with exactly these groups.
pub(crate) fn set_identity(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the kernel reads as many groups as given.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// `struct sock_fprog`.
#[repr(C)]
struct FilterProgram {
    length: u16,
    filter: *const u64,
}

/// Adds a filter to this process and all that come from it. `filter` holds `struct sock_filter`s, 8 bytes each.
pub(crate) fn add_seccomp_filter(filter: &[u8]) -> io::Result<()> {
    // Copied for their alignment.
    let instructions: Vec<u64> =
        filter.chunks_exact(8).map(|bytes| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| bytes[at]))).collect();
    let length = u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = FilterProgram { length, filter: instructions.as_ptr() };
    // SAFETY: the program and its instructions live through the call; the kernel verifies them.
    check_long(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) }).map(drop)
}

/// Gives this process a keyring of its own, so that it has none of the node's keys.
pub(crate) fn new_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    let name: *const libc::c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring.
    check_long(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name) }).map(drop)
}

/// Changes the working directory.
pub(crate) fn change_directory(path: &str) -> io::Result<()> {
    let path = c_string(path)?;
    // SAFETY: a valid C string.
    check(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

/// Becomes another program; returns only to say why not.
pub(crate) fn execute(path: &str, args: &[CString], env: &[CString]) -> io::Error {
    let list = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let path = match c_string(path) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let (args, env) = (list(args), list(env));
    // SAFETY: the path and both null-terminated lists live through the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// The time of day: seconds since 1970 and nanoseconds.
pub(crate) fn now() -> (i64, i64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure; the clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    (time.tv_sec, time.tv_nsec)
}

/// The time of day in nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    let (seconds, nanoseconds) = now();
    seconds * 1_000_000_000 + nanoseconds
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: no pointers; the new descriptor is ours alone.
    let socket =
        unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?) };
    // SAFETY: all-zero is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request lives through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) }).map(drop)
}
