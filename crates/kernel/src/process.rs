//! Processes by pidfd, which no reuse of a process id can mislead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::{Error, Result};

/// A process, alive or not, that stays the same one.
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
    pid: i32,
}

impl Process {
    /// Opens the process that has `pid` now; `None` when there is none.
    pub fn open(pid: i32) -> Result<Option<Process>> {
        let Some(number) = Pid::from_raw(pid) else { return Ok(None) };
        match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Some(Process { pidfd, pid })),
            // EINVAL: the id is a thread's, not a process's.
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => Ok(None),
            Err(errno) => Err(Error::call("open a pidfd")(errno.into())),
        }
    }

    /// Its process id in this process's namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal. A process that has ended is no error.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(Error::call("signal a process")(errno.into())),
        }
    }

    /// Waits until the process has ended; answers whether it did within `timeout`. Blocks.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match rustix::event::poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::call("wait for a process")(errno.into())),
            }
        }
    }

    /// Takes an ended child off the process table. One that is not a child of this process is no error.
    pub fn reap(&self) -> Result<()> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(_) | Err(rustix::io::Errno::CHILD) => Ok(()),
            Err(errno) => Err(Error::call("reap a process")(errno.into())),
        }
    }
}

impl AsFd for Process {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_signalled_and_awaited() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::open(child.id() as i32).unwrap().unwrap();
        assert!(!process.wait(Duration::ZERO).unwrap());
        process.signal(Signal::TERM).unwrap();
        assert!(process.wait(Duration::from_secs(10)).unwrap());
        process.reap().unwrap();
        assert!(child.wait().is_err(), "it is reaped already");
        process.reap().unwrap();
        process.signal(Signal::TERM).unwrap();
        assert!(Process::open(i32::MAX).unwrap().is_none());
    }
}
