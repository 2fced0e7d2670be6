//! The node's certificates: asked for with a token the first time, renewed before they expire.
//!
//! Invariants: a key never leaves the node; what is on disk is replaced whole or not at all; a renewal that fails
//! keeps the old certificate and is tried again.

mod identity;
mod request;
mod rotation;

pub use identity::Identity;
pub(crate) use request::Purpose;
pub use request::{BOOTSTRAP_TIMEOUT, Bootstrap, bootstrap};
pub(crate) use rotation::{Kept, first, keep};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("reading or writing {path}: {source}")]
    File { path: std::path::PathBuf, source: std::io::Error },
    #[error("{what}: {reason}")]
    Malformed { what: &'static str, reason: String },
    #[error("making a certificate request: {0}")]
    Request(#[from] rcgen::Error),
    #[error("asking for a certificate: {0}")]
    Api(#[from] api::Status),
    #[error("the certificate request {name} was refused: {reason}")]
    Refused { name: String, reason: String },
    #[error("the certificate request {name} was not signed within {seconds} s")]
    TimedOut { name: String, seconds: u64 },
    #[error("setting up the client: {0}")]
    Client(#[from] client::ConfigError),
}
