//! Turns a layer's blob into a directory that overlayfs can stack.
//!
//! Bytes flow once: source, hash of the blob, decompression, hash of the tar (its diff id), disk; the compressed
//! blob is never kept. The caller gives a fresh directory and must throw it away on any error: only a return of `Ok`
//! says that both digests hold. Blocking: call it where blocking is allowed.

mod attributes;
mod decompress;
pub(crate) mod path;
pub(crate) mod tar;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) use decompress::{decompress, is_compressed};
pub(crate) use tree::inherit_directories;

use super::digest::{Digest, Hashed};
use tree::Tree;

/// What one layer may cost. A registry names a blob's compressed size only, so these bound a decompression bomb.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of its uncompressed tar.
    pub layer_bytes_max: u64,
    /// Its files, directories, links and whiteouts.
    pub layer_entries_max: u64,
}

impl Default for Limits {
    /// Far above what images hold: the largest published ones (machine learning) have layers of about 20 GiB, and a
    /// distribution's whole root has some 500,000 files.
    fn default() -> Self {
        Limits { layer_bytes_max: 64 << 30, layer_entries_max: 4_000_000 }
    }
}

/// What a layer must turn out to be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The blob's digest and size, where a manifest names them.
    pub(crate) blob: Option<(Digest, u64)>,
    /// Digest of the uncompressed tar, from the image's configuration.
    pub(crate) diff_id: Digest,
}

/// A layer on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Bytes that its files take, in whole blocks.
    pub(crate) bytes: u64,
    /// Files, directories, links and devices.
    pub(crate) inodes: u64,
    /// Directories that had no entry of their own, parents first. They look like the layers below once
    /// [`inherit_directories`] has run.
    pub(crate) implied: BTreeSet<PathBuf>,
}

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The source ended or failed, or is no tar.
    #[error("read layer {layer}: {source}")]
    Read { layer: Digest, source: io::Error },
    /// The system refused to make something.
    #[error("unpack {path:?} of layer {layer}: {source}")]
    Write { layer: Digest, path: String, source: io::Error },
    /// An entry that no honest layer has.
    #[error("invalid entry {path:?} in layer {layer}: {reason}")]
    Entry { layer: Digest, path: String, reason: String },
    /// It is not what its name says.
    #[error("unexpected {what} digest {got}, expected {expected}")]
    Digest { what: &'static str, got: Digest, expected: Digest },
    /// It is longer or shorter than its manifest says.
    #[error("unexpected layer size {got}, expected {expected}, in blob {blob}")]
    Size { blob: Digest, got: u64, expected: u64 },
}

/// Unpacks a layer into the fresh directory `into`.
pub(crate) fn unpack(
    source: impl Read,
    expected: &Expected,
    into: &Path,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let layer = expected.blob.as_ref().map_or(&expected.diff_id, |(digest, _)| digest);
    let read_error = |source| UnpackError::Read { layer: layer.clone(), source };
    // One byte more than named is let through, so that a longer blob is told from a read error.
    let blob_bytes_max = expected.blob.as_ref().map_or(u64::MAX, |(_, size)| size.saturating_add(1));
    let mut blob = Hashed::new(source, blob_bytes_max);
    let outcome = unpack_tar(&mut blob, layer, into, limits);
    if let Err(UnpackError::Write { .. }) = outcome {
        return outcome.map(|(unpacked, _)| unpacked);
    }
    // The blob is read and checked even when it is no tar: that it is not what it says explains everything else.
    let drained = blob.drain();
    if let Some((digest, size)) = &expected.blob {
        let (got, got_size) = blob.finish();
        let overlong = drained.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::FileTooLarge);
        if overlong || (drained.is_ok() && got_size != *size) {
            return Err(UnpackError::Size { blob: digest.clone(), got: got_size, expected: *size });
        }
        if drained.is_ok() && got != *digest {
            return Err(UnpackError::Digest { what: "layer", got, expected: digest.clone() });
        }
    }
    let (unpacked, diff_id) = outcome?;
    drained.map_err(read_error)?;
    if diff_id != expected.diff_id {
        return Err(UnpackError::Digest {
            what: "uncompressed layer",
            got: diff_id,
            expected: expected.diff_id.clone(),
        });
    }
    Ok(unpacked)
}

fn unpack_tar(
    blob: &mut dyn Read,
    layer: &Digest,
    into: &Path,
    limits: Limits,
) -> Result<(Unpacked, Digest), UnpackError> {
    let read_error = |source| UnpackError::Read { layer: layer.clone(), source };
    let plain = decompress(blob).map_err(read_error)?;
    let mut archive = tar::Archive::new(Hashed::new(plain, limits.layer_bytes_max));
    let mut tree = Tree::open(into, layer)?;
    let mut entries = 0;
    while let Some(entry) = archive.next_entry().map_err(read_error)? {
        entries += 1;
        if entries > limits.layer_entries_max {
            let reason = format!("more than {} entries", limits.layer_entries_max);
            return Err(UnpackError::Entry { layer: layer.clone(), path: entry.path_lossy(), reason });
        }
        tree.apply(&entry, &mut archive)?;
    }
    let unpacked = tree.finish()?;
    let mut hashed = archive.into_inner();
    hashed.drain().map_err(read_error)?;
    Ok((unpacked, hashed.finish().0))
}
