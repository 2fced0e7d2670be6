//! The embedded container runtime: CRI without a second daemon.
//!
//! Invariants: a pod's containers belong to its shim, not to this process, which may end at any moment and finds
//! them again; what is acknowledged is on disk first; every container's end is told exactly once to whoever listens.

mod container;
mod descriptor;
mod embedded;
mod events;
mod files;
pub mod image;
mod network;
mod record;
mod recover;
mod sandbox;
mod seccomp;
mod service;
mod shim;
mod streaming;
mod table;

pub use embedded::{Embedded, OpenError, Options};
pub use network::{HostPort, Network, NetworkError, PodNetwork};

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

/// Serves the runtime to other programs, such as `crictl`, on a socket at `path` until `stop` resolves.
pub async fn serve_cri(runtime: Embedded, path: &Path, stop: impl Future<Output = ()>) -> std::io::Result<()> {
    cri::serve(Arc::new(runtime), path, stop).await
}
