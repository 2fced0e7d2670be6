//! Descriptors with owners, as tokio waits for them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use tokio::io::unix::AsyncFd;

/// Tokio wants numbers where the rest of the world has descriptors with owners.
pub(crate) struct Numbered<T>(pub(crate) T);

impl<T: AsFd> AsRawFd for Numbered<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// For a type that keeps one descriptor open for as long as it lives.
pub(crate) fn waitable<T: AsFd>(owner: T) -> io::Result<AsyncFd<Numbered<T>>> {
    // Deprecated for types whose descriptor can change while it is registered.
    #[allow(deprecated)]
    AsyncFd::new(Numbered(owner))
}
