//! `docker save`: a `manifest.json` that lists images with their tags, configurations and layers.

use serde::Deserialize;

use super::{Archive, ArchiveError, Described, LayerFile};
use crate::image::manifest::{LAYERS_MAX, ManifestError};

pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    /// `null` for an image without a name.
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn images(archive: &Archive) -> Result<Vec<Described>, ArchiveError> {
    let items: Vec<Item> = archive.json(MANIFEST)?;
    items.into_iter().map(|item| image(archive, item)).collect()
}

/// The format names no digests of its own: the diff ids in the configuration check the layers, and the
/// configuration's digest is the image's id.
fn image(archive: &Archive, item: Item) -> Result<Described, ArchiveError> {
    let layers = item.layers.unwrap_or_default();
    if layers.len() > LAYERS_MAX {
        return Err(ManifestError::TooManyLayers(layers.len()).into());
    }
    let names = item.repo_tags.unwrap_or_default().iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    Ok(Described {
        names,
        manifest: None,
        config: archive.document(&item.config)?,
        layers: layers.into_iter().map(|path| LayerFile { path, blob: None }).collect(),
    })
}
