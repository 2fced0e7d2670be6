//! An image on its way in: layers unpacked into the workplace, then published together.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::image::ImageConfiguration;

use super::Inner;
use super::catalog::Entry;
use super::error::{Fault, FileError, at};
use super::layout::{LayerRecord, fs_of, sync_directory, write_record, write_whole};
use super::workplace::remove;
use crate::image::digest::{Digest, chain_ids};
use crate::image::manifest::ManifestError;
use crate::image::reference::Reference;
use crate::image::unpack::{Expected, Unpacked, inherit_directories, unpack};

/// What an image will be, as far as its configuration says.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) id: Digest,
    config: Vec<u8>,
    pub(super) diff_ids: Vec<Digest>,
    pub(super) chain: Vec<Digest>,
}

impl Plan {
    /// Reads a configuration whose digest has been checked, or is the image's id by definition.
    pub(super) fn new(config: Vec<u8>, layers: usize) -> Result<Plan, Fault> {
        let parsed = parse_config(&config).map_err(Fault::Config)?;
        let diff_ids = parsed.rootfs().diff_ids();
        if diff_ids.len() != layers {
            return Err(ManifestError::LayerCount { diff_ids: diff_ids.len(), layers }.into());
        }
        let diff_ids: Vec<Digest> = diff_ids
            .iter()
            .map(|diff_id| diff_id.parse().map_err(|error| Fault::Config(format!("diff id {diff_id:?}: {error}"))))
            .collect::<Result<_, _>>()?;
        Ok(Plan { id: Digest::of(&config), chain: chain_ids(&diff_ids), diff_ids, config })
    }
}

/// An image's configuration.
pub(super) fn parse_config(content: &[u8]) -> Result<ImageConfiguration, String> {
    serde_json::from_slice(content).map_err(|error| error.to_string())
}

/// A layer in the workplace, removed unless published.
#[derive(Debug)]
pub(super) struct StagedLayer {
    directory: PathBuf,
    diff_id: Digest,
    unpacked: Unpacked,
}

impl StagedLayer {
    /// Unpacks a layer. Nothing is left of it on an error.
    pub(super) fn unpack(inner: &Inner, source: impl Read, expected: &Expected) -> Result<StagedLayer, Fault> {
        let directory = inner.workplace.fresh();
        let fs = fs_of(&directory);
        let mut staged = StagedLayer { directory, diff_id: expected.diff_id.clone(), unpacked: Unpacked::default() };
        fs::create_dir_all(&fs).map_err(at("create", &fs))?;
        // Whatever the umask is: a root that only its owner may enter stops every other user in the container.
        let mode = rustix::fs::Mode::from_raw_mode(0o755);
        rustix::fs::chmod(&fs, mode).map_err(|error| at("open up", &fs)(error.into()))?;
        staged.unpacked = unpack(source, expected, &fs, inner.options.limits)?;
        Ok(staged)
    }
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        if self.directory.exists()
            && let Err(error) = remove(&self.directory)
        {
            // It goes when the store is opened next.
            tracing::warn!(%error, "image store: an unfinished layer stays until the next start");
        }
    }
}

/// The layers that were fetched, by chain id.
pub(super) type Staged = BTreeMap<Digest, StagedLayer>;

/// How publishing went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Published {
    Done,
    /// Another process removed layers that were there when fetching began.
    LayersMissing,
}

impl Inner {
    /// Which of the image's layers are not in the store: positions, bottom first.
    pub(super) fn missing(&self, plan: &Plan, staged: &Staged) -> Result<Vec<usize>, FileError> {
        let mut missing = Vec::new();
        for (position, chain_id) in plan.chain.iter().enumerate() {
            if !staged.contains_key(chain_id) && self.layout.layer_record(chain_id)?.is_none() {
                missing.push(position);
            }
        }
        Ok(missing)
    }

    /// Makes the image part of the store, under these names. Blocking.
    pub(super) fn publish(&self, plan: &Plan, staged: &Staged, names: &[Reference]) -> Result<Published, FileError> {
        let _lock = self.layout.lock()?;
        if !self.missing(plan, staged)?.is_empty() {
            return Ok(Published::LayersMissing);
        }
        let mut catalog = self.read_catalog()?;
        if !staged.is_empty() {
            self.settle(plan, staged)?;
            self.sync_all()?;
            for (chain_id, layer) in staged {
                self.publish_layer(chain_id, layer)?;
            }
            sync_directory(&self.layout.layers())?;
        }
        let config = self.layout.config(&plan.id);
        write_whole(&config, &plan.config, self.workplace.path())?;
        catalog.insert(&plan.id, Entry { diff_ids: plan.diff_ids.clone() }, names);
        self.write_catalog(&catalog)?;
        Ok(Published::Done)
    }

    /// Finishes the staged layers, bottom first: each takes what it left out from those below.
    fn settle(&self, plan: &Plan, staged: &Staged) -> Result<(), FileError> {
        let mut below: Vec<PathBuf> = Vec::new();
        for chain_id in &plan.chain {
            let directory = match staged.get(chain_id) {
                None => self.layout.layer(chain_id),
                Some(layer) => {
                    let fs = fs_of(&layer.directory);
                    inherit_directories(&fs, &layer.unpacked.implied, &below).map_err(at("finish", &fs))?;
                    let record = LayerRecord {
                        chain_id: chain_id.clone(),
                        diff_id: layer.diff_id.clone(),
                        bytes: layer.unpacked.bytes,
                        inodes: layer.unpacked.inodes,
                    };
                    write_record(&layer.directory, &record)?;
                    layer.directory.clone()
                }
            };
            below.insert(0, fs_of(&directory));
        }
        Ok(())
    }

    /// One sync of the file system costs less than one per file of a layer.
    fn sync_all(&self) -> Result<(), FileError> {
        let root = self.layout.root();
        let opened = fs::File::open(root).map_err(at("open", root))?;
        rustix::fs::syncfs(opened).map_err(|error| at("sync", root)(error.into()))
    }

    fn publish_layer(&self, chain_id: &Digest, layer: &StagedLayer) -> Result<(), FileError> {
        if self.layout.layer_record(chain_id)?.is_some() {
            // Another pull was faster; this one's copy goes with the stage.
            return Ok(());
        }
        let place = self.layout.layer(chain_id);
        if place.exists() {
            // Without a record it is no layer of ours.
            remove(&place)?;
        }
        fs::rename(&layer.directory, &place).map_err(at("rename a layer to", &place))
    }

    /// Removes layers and configurations that no image has, except those `in_use`. Blocking.
    pub(super) fn sweep(&self, in_use: &super::InUse) -> Result<(), FileError> {
        let mut doomed = Vec::new();
        {
            let _lock = self.layout.lock()?;
            let catalog = self.read_catalog()?;
            let wanted = catalog.chains();
            let wanted: Vec<PathBuf> = wanted.iter().map(|chain_id| self.layout.layer(chain_id)).collect();
            for directory in self.layout.layer_directories()? {
                if !wanted.contains(&directory) && !in_use(&fs_of(&directory)) {
                    doomed.push(self.take_out(&directory)?);
                }
            }
            let configs: Vec<PathBuf> = catalog.images().map(|(id, _)| self.layout.config(id)).collect();
            for config in super::layout::list(&self.layout.configs())? {
                if !configs.contains(&config) {
                    remove(&config)?;
                }
            }
        }
        // Trees may be large: not under the lock.
        doomed.iter().try_for_each(|directory| remove(directory))
    }

    fn take_out(&self, directory: &Path) -> Result<PathBuf, FileError> {
        let place = self.workplace.fresh();
        fs::rename(directory, &place).map_err(at("take out", directory))?;
        Ok(place)
    }
}
