//! Why an image did not get into the store, or out of it, in containerd's words where it has some.

use std::io;
use std::path::{Path, PathBuf};

use super::ImageError;
use crate::image::archive::ArchiveError;
use crate::image::distribution::RegistryError;
use crate::image::manifest::ManifestError;
use crate::image::reference::ReferenceError;
use crate::image::unpack::UnpackError;

/// What failed, and for which image.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// No image name.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// The registry did not say what the name stands for.
    #[error(
        "failed to pull and unpack image {reference:?}: failed to resolve reference {reference:?}: {}",
        resolving(reference, fault)
    )]
    Resolve { reference: String, fault: RegistryError },
    /// The image's parts did not arrive whole.
    #[error("failed to pull and unpack image {reference:?}: {fault}")]
    Pull { reference: String, fault: Fault },
    /// A file or directory is no archive, or a bad one.
    #[error("import {}: {fault}", path.display())]
    Import { path: PathBuf, fault: Fault },
    /// More than one image has an id that starts so.
    #[error("image id {0:?} is ambiguous: several images' ids start with it")]
    Ambiguous(String),
    /// A file of the store.
    #[error(transparent)]
    Files(#[from] FileError),
    #[error(transparent)]
    Background(#[from] Background),
}

/// What can be wrong with an image's parts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("failed to extract layer: {0}")]
    Unpack(#[from] UnpackError),
    #[error("malformed image config: {0}")]
    Config(String),
    #[error(transparent)]
    Files(#[from] FileError),
    /// Layers were removed as often as they were fetched.
    #[error("its layers were removed while it was fetched")]
    Raced,
    #[error(transparent)]
    Background(#[from] Background),
}

/// A task panicked, or was cancelled at shutdown.
#[derive(Debug, thiserror::Error)]
#[error("image store: a background task ended early: {0}")]
pub(super) struct Background(pub(super) tokio::task::JoinError);

/// An operation on the store's own files.
#[derive(Debug, thiserror::Error)]
#[error("image store: {action} {}: {source}", path.display())]
pub(super) struct FileError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Says what was tried on which file.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { action, path: path.to_owned(), source }
}

impl StoreError {
    /// The contract's error: its kind chooses the status that CRI answers with.
    pub(super) fn to_contract(&self) -> ImageError {
        let text = self.to_string();
        match self {
            StoreError::Name(_) => ImageError::InvalidName(text),
            StoreError::Resolve { fault: RegistryError::NotFound { .. }, .. } => {
                ImageError::NotFound(text.trim_end_matches(": not found").to_owned())
            }
            StoreError::Resolve { fault: RegistryError::Denied(_), .. }
            | StoreError::Pull { fault: Fault::Registry(RegistryError::Denied(_)), .. } => ImageError::Denied(text),
            _ => ImageError::Failed(text),
        }
    }
}

/// A missing image is named by its name, not by the address that answered 404.
fn resolving(reference: &str, fault: &RegistryError) -> String {
    match fault {
        RegistryError::NotFound { .. } => format!("{reference}: not found"),
        other => other.to_string(),
    }
}
