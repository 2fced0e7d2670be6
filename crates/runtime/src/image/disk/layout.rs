//! Where the store keeps what, and how a file gets there whole.
//!
//! ```text
//! <root>/index.json              which images there are, and what they are called
//! <root>/configs/<hex>           an image's configuration, unparsed
//! <root>/layers/<24 hex>/fs      a layer; beside it layer.json, which says what it is
//! <root>/layers/empty/fs         the one layer of images that have none
//! <root>/tmp/<random>/           a process's unfinished work, gone with it
//! <root>/lock                    held while the index changes
//! ```
//!
//! Everything but `tmp` appears by rename, whole and synced, layers and configurations before the index that names
//! them. So the index never names what is not there, whenever the process is killed or the power fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::error::{FileError, at};
use crate::image::digest::Digest;

/// Digits of a chain id in a layer's path. overlayfs takes its lower directories in one page of options (4 KiB)
/// where the kernel is older than 6.5; 28 bytes each, relative to `layers`, leave room for 140. 96 bits do not
/// collide by chance, and `layer.json` holds the whole id, so that a contrived collision is an error.
const LAYER_NAME_LENGTH: usize = 24;
const EMPTY_LAYER: &str = "empty";

/// The store's paths.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

/// What `layer.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayerRecord {
    pub(super) chain_id: Digest,
    pub(super) diff_id: Digest,
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

impl Layout {
    /// Makes the directories that are missing.
    pub(super) fn create(root: PathBuf) -> Result<Layout, FileError> {
        let layout = Layout { root };
        for directory in [layout.layers(), layout.configs(), layout.tmp(), layout.empty_layer()] {
            fs::create_dir_all(&directory).map_err(at("create", &directory))?;
        }
        // Layers hold set-user-id programs, and images may be private.
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::chmod(&layout.root, mode).map_err(|error| at("restrict", &layout.root)(error.into()))?;
        Ok(layout)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn configs(&self) -> PathBuf {
        self.root.join("configs")
    }

    pub(super) fn config(&self, id: &Digest) -> PathBuf {
        self.configs().join(id.hex())
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The directory of a layer; its content is in [`fs_of`].
    pub(super) fn layer(&self, chain_id: &Digest) -> PathBuf {
        self.layers().join(layer_name(chain_id))
    }

    /// What overlayfs stacks for an image without layers.
    pub(super) fn empty_layer(&self) -> PathBuf {
        fs_of(&self.layers().join(EMPTY_LAYER))
    }

    /// The layer's record, if the layer is there.
    pub(super) fn layer_record(&self, chain_id: &Digest) -> Result<Option<LayerRecord>, FileError> {
        let directory = self.layer(chain_id);
        let record = read_record(&directory)?;
        match record {
            Some(record) if record.chain_id != *chain_id => {
                let reason = format!("holds layer {}, not {chain_id}", record.chain_id);
                Err(at("read", &directory)(io::Error::new(io::ErrorKind::InvalidData, reason)))
            }
            other => Ok(other),
        }
    }

    /// Holds the store's lock until dropped. Blocks; its holders do little.
    pub(super) fn lock(&self) -> Result<File, FileError> {
        let path = self.root.join("lock");
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(at("open", &path))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| at("lock", &path)(error.into()))?;
        Ok(file)
    }

    /// The layers' directories, except the empty one.
    pub(super) fn layer_directories(&self) -> Result<Vec<PathBuf>, FileError> {
        let mut all = list(&self.layers())?;
        all.retain(|path| path.file_name().is_none_or(|name| name != EMPTY_LAYER));
        Ok(all)
    }
}

/// A layer's name on disk.
pub(super) fn layer_name(chain_id: &Digest) -> &str {
    &chain_id.hex()[..LAYER_NAME_LENGTH]
}

/// A layer's content, in its directory.
pub(super) fn fs_of(layer: &Path) -> PathBuf {
    layer.join("fs")
}

/// A directory's entries, as paths.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = fs::read_dir(directory).map_err(at("list", directory))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>();
    paths.map_err(at("list", directory))
}

/// The record of the layer in this directory; `None` without a layer.
pub(super) fn read_record(directory: &Path) -> Result<Option<LayerRecord>, FileError> {
    let path = record_path(directory);
    match fs::read(&path) {
        Ok(content) => {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            Ok(Some(serde_json::from_slice(&content).map_err(invalid).map_err(at("parse", &path))?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("read", &path)(error)),
    }
}

/// Writes the record of a layer that is not published yet.
pub(super) fn write_record(directory: &Path, record: &LayerRecord) -> Result<(), FileError> {
    let path = record_path(directory);
    let content = serde_json::to_vec(record).expect("a record of strings and numbers is JSON");
    fs::write(&path, content).map_err(at("write", &path))
}

fn record_path(directory: &Path) -> PathBuf {
    directory.join("layer.json")
}

/// Puts a file in place, whole and on disk. `scratch` must be on the same file system.
pub(super) fn write_whole(path: &Path, content: &[u8], scratch: &Path) -> Result<(), FileError> {
    let mut file = tempfile::NamedTempFile::new_in(scratch).map_err(at("create a file in", scratch))?;
    file.write_all(content).map_err(at("write", path))?;
    file.as_file().sync_all().map_err(at("sync", path))?;
    file.persist(path).map_err(|error| at("rename to", path)(error.error))?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Makes renames into a directory last.
pub(super) fn sync_directory(directory: &Path) -> Result<(), FileError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(at("sync", directory))
}
