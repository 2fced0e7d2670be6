//! Waiting for many descriptors at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// There is something to read, or the other side is gone.
pub(crate) const READABLE: u32 = libc::EPOLLIN as u32;
/// There is room to write, or the other side is gone.
pub(crate) const WRITABLE: u32 = libc::EPOLLOUT as u32;

/// Events taken at once; what is left comes with the next wait, as triggers are by level.
const BATCH: usize = 32;

/// A set of descriptors, each with the token that its events carry. Closing a descriptor removes it.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the new descriptor is ours alone.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Begins to watch.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: u32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Ends watching: the end of the other side would be told even when nothing is asked for.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Watches for something else.
    pub(crate) fn change(&self, fd: BorrowedFd<'_>, interest: u32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    fn control(&self, what: libc::c_int, fd: BorrowedFd<'_>, interest: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest, u64: token };
        // SAFETY: `event` lives through the call, and both descriptors are open.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd.as_raw_fd(), &mut event) }).map(drop)
    }

    /// Waits for events and answers their tokens; none when nothing came for so many milliseconds. -1 waits for ever.
    pub(crate) fn wait(&self, timeout_ms: i32) -> io::Result<Vec<u64>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        loop {
            // SAFETY: the kernel fills at most `BATCH` of the array's entries.
            match check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), BATCH as i32, timeout_ms) })
            {
                Ok(count) => return Ok(events[..count as usize].iter().map(|event| event.u64).collect()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
