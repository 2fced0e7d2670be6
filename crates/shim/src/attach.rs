//! Somebody who watches a container's output beside its log.
//!
//! A watcher that does not keep up holds the container's output back, as with other runtimes: nothing is skipped.
//! One that goes away is forgotten.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::sys;

/// A descriptor that gets a copy of one stream.
pub(crate) struct Watcher {
    pub(crate) number: u32,
    /// 0 for standard output, 1 for standard error.
    pub(crate) stream: usize,
    pub(crate) fd: OwnedFd,
    /// What it has not taken yet: at most one read of the stream, or what was left in the pipe when the container ended.
    pending: Vec<u8>,
}

/// What became of a write to a watcher.
#[derive(PartialEq, Eq)]
pub(crate) enum Taken {
    /// Everything.
    All,
    /// Not everything: wait until it takes more.
    Part,
    /// It is gone.
    Gone,
}

impl Watcher {
    pub(crate) fn new(number: u32, stream: usize, fd: OwnedFd) -> io::Result<Watcher> {
        sys::set_nonblocking(fd.as_fd())?;
        Ok(Watcher { number, stream, fd, pending: Vec::new() })
    }

    /// Whether something waits to be taken.
    pub(crate) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives it bytes of the stream.
    pub(crate) fn give(&mut self, bytes: &[u8]) -> Taken {
        self.pending.extend_from_slice(bytes);
        self.go_on()
    }

    /// Gives it what is pending.
    pub(crate) fn go_on(&mut self) -> Taken {
        let mut done = 0;
        let taken = loop {
            if done == self.pending.len() {
                break Taken::All;
            }
            match sys::write(self.fd.as_fd(), &self.pending[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Taken::Part,
                Err(_) => break Taken::Gone,
            }
        };
        self.pending.drain(..done);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        taken
    }
}
