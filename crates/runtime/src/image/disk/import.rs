//! From an archive into the store.

use std::path::Path;
use std::sync::Arc;

use super::error::{Fault, StoreError};
use super::stage::{Plan, Published, Staged, StagedLayer};
use super::{Imported, Inner};
use crate::image::archive::{Archive, Described};
use crate::image::reference::Reference;
use crate::image::unpack::Expected;

/// How often layers may be removed under an import before it gives up.
const ROUNDS_MAX: usize = 3;

impl Inner {
    /// Imports every image of the archive; those before a bad one stay. Blocking.
    pub(super) fn import(self: &Arc<Self>, path: &Path) -> Result<Vec<Imported>, StoreError> {
        let failed = |fault: Fault| StoreError::Import { path: path.to_owned(), fault };
        let bytes_max = self.options.limits.layer_bytes_max;
        let archive = Archive::open(path, self.workplace.path(), bytes_max).map_err(|error| failed(error.into()))?;
        let images = archive.images().map_err(|error| failed(error.into()))?;
        images.into_iter().map(|image| self.import_image(&archive, image).map_err(failed)).collect()
    }

    fn import_image(&self, archive: &Archive, image: Described) -> Result<Imported, Fault> {
        let plan = Plan::new(image.config, image.layers.len())?;
        let mut names: Vec<Reference> = image.names.clone();
        if let Some(digest) = &image.manifest {
            names.extend(image.names.iter().map(|name| name.with_digest(digest.clone())));
        }
        let mut staged = Staged::new();
        for _ in 0..ROUNDS_MAX {
            for position in self.missing(&plan, &staged)? {
                let layer = &image.layers[position];
                let expected = Expected { blob: layer.blob.clone(), diff_id: plan.diff_ids[position].clone() };
                let unpacked = StagedLayer::unpack(self, archive.layer(layer)?, &expected)?;
                staged.insert(plan.chain[position].clone(), unpacked);
            }
            if self.publish(&plan, &staged, &names)? == Published::Done {
                return Ok(Imported { id: plan.id, names: image.names });
            }
        }
        Err(Fault::Raced)
    }
}
