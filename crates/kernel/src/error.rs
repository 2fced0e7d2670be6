//! The one error of this crate: what was tried, on what, and what the kernel said.

use std::io;
use std::path::{Path, PathBuf};

/// A failed system call or kernel file operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file or directory.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// The verb, such as `write`.
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A system call without a path.
    #[error("{action}: {source}")]
    Call {
        /// The verb, such as `unshare the network namespace`.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// `nft` refused a transaction; nothing of it was applied.
    #[error("nft: {0}")]
    Nft(String),
    /// A kernel file held something else than its documented format.
    #[error("{}: unexpected content {content:?}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it held, cut to 100 characters.
        content: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    }

    pub(crate) fn call(action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Call { action, source }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::File { source, .. } | Error::Call { source, .. } => source.raw_os_error(),
            Error::Nft(_) | Error::Format { .. } => None,
        }
    }

    /// The kernel's error kind, where there is one.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::File { source, .. } | Error::Call { source, .. } => Some(source.kind()),
            Error::Nft(_) | Error::Format { .. } => None,
        }
    }
}
