//! What can go wrong between a node and a registry.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::image::digest::Digest;
use crate::image::manifest::ManifestError;

/// A request that did not bring what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// No connection, or one that broke.
    #[error("failed to do request: {method} {url:?}: {reason}")]
    Unreachable { method: Method, url: String, reason: String, retry: bool },
    /// No answer in time.
    #[error("failed to do request: {method} {url:?}: no answer within {}", seconds(*after))]
    Silent { method: Method, url: String, after: Duration },
    /// A body that stopped.
    #[error("{what}: the registry sent nothing for {}", seconds(*after))]
    Stalled { what: String, after: Duration },
    /// A body that ended early or broke.
    #[error("{what}: the transfer broke off after {received} of {expected} bytes: {reason}")]
    Truncated { what: String, received: u64, expected: u64, reason: String },
    /// Neither content nor a known refusal.
    #[error("unexpected status from {method} request to {url}: {status}{detail}")]
    Status { method: Method, url: String, status: StatusCode, detail: String },
    /// There is no such manifest or blob.
    #[error("{url}: not found")]
    NotFound { url: String },
    /// These credentials do not do.
    #[error("pull access denied, repository does not exist or may require authorization: {0}")]
    Denied(String),
    /// It is not what its name says.
    #[error("unexpected {what} digest {got}, expected {expected}")]
    Digest { what: &'static str, got: Digest, expected: Digest },
    /// It is longer or shorter than was said.
    #[error("unexpected size {got} of {what}, expected {expected}")]
    Size { what: String, got: u64, expected: u64 },
    /// Larger than this side accepts.
    #[error("{what} is larger than {bytes_max} bytes")]
    TooLarge { what: String, bytes_max: u64 },
    /// A redirect that cannot or must not be followed.
    #[error("redirect from {url}: {reason}")]
    Redirect { url: String, reason: String },
    /// An answer that cannot be read.
    #[error("malformed answer from {url}: {reason}")]
    Malformed { url: String, reason: String },
    /// The authorities to trust cannot be read.
    #[error("read certificate authorities of {file}: {reason}")]
    Authorities { file: String, reason: String },
    /// A manifest that is of no use here.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Indexes in indexes.
    #[error("index {0} is nested too deeply")]
    IndexDepth(Digest),
    /// The receiving side went away; it knows why.
    #[error("the transfer was abandoned")]
    Abandoned,
}

impl RegistryError {
    /// Whether the same request may succeed a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            RegistryError::Unreachable { retry, .. } => *retry,
            RegistryError::Stalled { .. } | RegistryError::Truncated { .. } => true,
            RegistryError::Status { status, .. } => super::is_passing(*status),
            _ => false,
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// An error with what caused it: hyper's own text says only that something failed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
