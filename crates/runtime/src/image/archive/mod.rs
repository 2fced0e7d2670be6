//! Images in a file or directory: `docker save`'s archive and the OCI image layout, tar, tar.gz or unpacked.
//!
//! An archive is as untrusted as a registry: blobs with a digest are checked, documents are bounded, and paths in it
//! never lead out of it.

mod docker;
mod oci;
mod source;

use std::io::{self, Read};
use std::path::Path;

use super::digest::Digest;
use super::manifest::{CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX, ManifestError};
use super::reference::{Reference, ReferenceError};
use source::Source;

/// One image of an archive.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// What the archive calls it; may be empty.
    pub(crate) names: Vec<Reference>,
    /// Digest of the document that the names stand for, if the archive has one.
    pub(crate) manifest: Option<Digest>,
    /// The configuration, unparsed.
    pub(crate) config: Vec<u8>,
    /// Bottom first.
    pub(crate) layers: Vec<LayerFile>,
}

/// A layer's blob in the archive.
#[derive(Clone, Debug)]
pub(crate) struct LayerFile {
    path: String,
    /// Digest and size, where the archive states them.
    pub(crate) blob: Option<(Digest, u64)>,
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The file system failed, or the archive is cut.
    #[error("read {path}: {source}")]
    Read { path: String, source: io::Error },
    /// Something names a file that the archive has not.
    #[error("the archive has no {0}")]
    Missing(String),
    /// Neither of the two formats.
    #[error("neither a docker archive (manifest.json) nor an OCI layout (index.json)")]
    Unknown,
    /// A document that is not what it should be.
    #[error("malformed {path}: {source}")]
    Malformed { path: String, source: serde_json::Error },
    /// A document that is too large.
    #[error("{path} is larger than {bytes_max} bytes")]
    TooLarge { path: String, bytes_max: u64 },
    /// A blob that is not what its name says.
    #[error("unexpected digest {got} of {path}, expected {expected}")]
    Digest { path: String, got: Digest, expected: Digest },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// A manifest that is of no use here.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// An open archive.
pub(crate) struct Archive {
    source: Source,
}

impl Archive {
    /// Opens a file or directory. A compressed file is unpacked into an unnamed file in `scratch` first, of at most
    /// `bytes_max`: what it holds is read out of order.
    pub(crate) fn open(path: &Path, scratch: &Path, bytes_max: u64) -> Result<Archive, ArchiveError> {
        Ok(Archive { source: Source::open(path, scratch, bytes_max)? })
    }

    /// All images for this machine. Where an archive is both formats at once, as Docker's since 25 are, docker's part
    /// has the full names.
    pub(crate) fn images(&self) -> Result<Vec<Described>, ArchiveError> {
        if self.source.has(docker::MANIFEST) {
            return docker::images(self);
        }
        if self.source.has(oci::INDEX) {
            return oci::images(self);
        }
        Err(ArchiveError::Unknown)
    }

    /// A layer's bytes, as they are in the archive.
    pub(crate) fn layer(&self, layer: &LayerFile) -> Result<Box<dyn Read + Send>, ArchiveError> {
        self.source.read(&layer.path)
    }

    fn document(&self, path: &str) -> Result<Vec<u8>, ArchiveError> {
        let bytes_max = MANIFEST_BYTES_MAX.max(CONFIG_BYTES_MAX);
        let mut content = Vec::new();
        let read = self.source.read(path)?.take(bytes_max + 1).read_to_end(&mut content);
        read.map_err(|source| ArchiveError::Read { path: path.to_owned(), source })?;
        if content.len() as u64 > bytes_max {
            return Err(ArchiveError::TooLarge { path: path.to_owned(), bytes_max });
        }
        Ok(content)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ArchiveError> {
        let content = self.document(path)?;
        serde_json::from_slice(&content).map_err(|source| ArchiveError::Malformed { path: path.to_owned(), source })
    }
}
