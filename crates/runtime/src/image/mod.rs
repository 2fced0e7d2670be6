//! Images as the runtime needs them: found by name or id, as directories to stack.

mod archive;
mod digest;
mod disk;
mod distribution;
mod manifest;
mod reference;
mod unpack;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use oci_spec::image::ImageConfiguration;

pub use digest::{Digest, DigestError};
pub use disk::{DiskStore, Imported, InUse, Options};
pub use distribution::{RegistryOptions, Settings, Timing};
pub use reference::{Reference, ReferenceError, Target};
pub use unpack::Limits;

/// An image that is wholly in the store.
#[derive(Clone, Debug)]
pub struct Image {
    /// Digest of its configuration, such as `sha256:…`.
    pub id: String,
    /// What it is called: `docker.io/library/busybox:latest`.
    pub tags: Vec<String>,
    /// Its names by content: `docker.io/library/busybox@sha256:…`.
    pub digests: Vec<String>,
    /// Bytes that it takes on disk, layers shared with others included.
    pub size_bytes: u64,
    /// What to run in it, and how.
    pub config: ImageConfiguration,
    /// Its layers as read-only directories for overlayfs, **the topmost first**. Never empty.
    pub layers: Vec<PathBuf>,
    /// Whether it must not be collected.
    pub pinned: bool,
}

/// Who asks a registry for an image.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Name, with `password`.
    pub username: String,
    /// Password or access token.
    pub password: String,
    /// A registry's bearer token, instead of both.
    pub registry_token: String,
    /// A token to trade for one, instead of both.
    pub identity_token: String,
}

/// Secrets stay out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What the store takes on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// A directory on the file system that it is on.
    pub path: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Neither the store nor the registry has it.
    #[error("{0}: not found")]
    NotFound(String),
    /// The registry refuses these credentials.
    #[error("{0}")]
    Denied(String),
    /// It is no image name: upstream's words for why, such as `couldn't parse image name "A": invalid reference format…`.
    #[error("{0}")]
    InvalidName(String),
    /// Everything else: a registry that is away, lies about a digest, or a full disk.
    #[error("{0}")]
    Failed(String),
}

/// A store of images.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Makes the image present, and answers its id. Images of the same name are replaced.
    async fn pull(&self, reference: &str, credentials: Option<&Credentials>) -> Result<String, ImageError>;

    /// The image of this name, short names meaning `docker.io/library/…:latest`, digest or id.
    async fn resolve(&self, reference: &str) -> Result<Option<Arc<Image>>, ImageError>;

    /// Every image.
    async fn list(&self) -> Result<Vec<Arc<Image>>, ImageError>;

    /// Removes the image of this name, digest or id with all its names. Idempotent. Layers that a container still
    /// uses stay on disk until it is gone.
    async fn remove(&self, reference: &str) -> Result<(), ImageError>;

    /// What it all takes.
    async fn usage(&self) -> Result<Usage, ImageError>;
}
