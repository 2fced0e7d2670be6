//! The OCI image layout: `index.json` over blobs named by digest.

use serde::Deserialize;

use super::{Archive, ArchiveError, Described, LayerFile};
use crate::image::digest::Digest;
use crate::image::manifest::{Descriptor, Document, Manifest, ManifestError, Platform, choose};
use crate::image::reference::Reference;

pub(super) const INDEX: &str = "index.json";
/// Indexes may hold indexes; real ones do not go deeper than this.
const DEPTH_MAX: usize = 3;
/// Best first: the second may be a tag alone where containerd or Docker wrote the first.
const NAME_ANNOTATIONS: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

pub(super) fn images(archive: &Archive) -> Result<Vec<Described>, ArchiveError> {
    let index: Index = archive.json(INDEX)?;
    let host = Platform::host();
    let mut images = Vec::new();
    for descriptor in &index.manifests {
        let fits = descriptor.platform.is_none() || choose(std::slice::from_ref(descriptor), &host).is_ok();
        if fits {
            images.push(image(archive, descriptor)?);
        }
    }
    if images.is_empty() {
        // Says which platforms there are.
        choose(&index.manifests, &host)?;
    }
    Ok(images)
}

fn image(archive: &Archive, descriptor: &Descriptor) -> Result<Described, ArchiveError> {
    let name = NAME_ANNOTATIONS.iter().find_map(|key| descriptor.annotations.as_ref()?.get(*key));
    let name: Option<Reference> = name.map(|name| name.parse()).transpose()?;
    let manifest = manifest(archive, descriptor, 0)?;
    let layers = manifest
        .layers
        .iter()
        .map(|layer| LayerFile { path: blob_path(&layer.digest), blob: Some((layer.digest.clone(), layer.size)) });
    Ok(Described {
        names: name.into_iter().collect(),
        manifest: Some(descriptor.digest.clone()),
        config: verified(archive, &manifest.config)?,
        layers: layers.collect(),
    })
}

fn manifest(archive: &Archive, descriptor: &Descriptor, depth: usize) -> Result<Manifest, ArchiveError> {
    let content = verified(archive, descriptor)?;
    match Document::parse(&content, &descriptor.digest, &descriptor.media_type)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(manifests) if depth < DEPTH_MAX => {
            manifest(archive, choose(&manifests, &Platform::host())?, depth + 1)
        }
        Document::Index(_) => Err(ManifestError::MediaType {
            digest: descriptor.digest.clone(),
            media_type: format!("{} (nested too deeply)", descriptor.media_type),
        }
        .into()),
    }
}

fn verified(archive: &Archive, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
    let path = blob_path(&descriptor.digest);
    let content = archive.document(&path)?;
    let got = Digest::of(&content);
    if got != descriptor.digest {
        return Err(ArchiveError::Digest { path, got, expected: descriptor.digest.clone() });
    }
    Ok(content)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
