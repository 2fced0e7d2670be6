//! Images made in memory: layers as tars, configurations, manifests, archives.

use std::collections::BTreeMap;
use std::io::Write;

use runtime::image::Digest;
use serde_json::{Value, json};

/// A tar under construction.
pub(crate) struct Layer {
    builder: tar::Builder<Vec<u8>>,
}

impl Layer {
    pub(crate) fn new() -> Layer {
        Layer { builder: tar::Builder::new(Vec::new()) }
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Layer {
        self.file_as(path, content, 0o644, (0, 0))
    }

    pub(crate) fn file_as(self, path: &str, content: &[u8], mode: u32, owner: (u64, u64)) -> Layer {
        self.raw(tar::EntryType::Regular, path, "", content, mode, owner)
    }

    pub(crate) fn directory(self, path: &str, mode: u32, owner: (u64, u64)) -> Layer {
        self.raw(tar::EntryType::Directory, path, "", b"", mode, owner)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Layer {
        self.raw(tar::EntryType::Symlink, path, target, b"", 0o777, (0, 0))
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Layer {
        self.raw(tar::EntryType::Link, path, target, b"", 0o644, (0, 0))
    }

    pub(crate) fn xattr(mut self, name: &str, value: &[u8]) -> Layer {
        let key = format!("SCHILY.xattr.{name}");
        self.builder.append_pax_extensions([(key.as_str(), value)]).unwrap();
        self
    }

    /// An entry with any name: the tar crate itself refuses to write hostile ones.
    pub(crate) fn raw(
        mut self,
        kind: tar::EntryType,
        path: &str,
        link: &str,
        content: &[u8],
        mode: u32,
        owner: (u64, u64),
    ) -> Layer {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(1_000_000_000);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
        self
    }

    pub(crate) fn tar(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// An image as a registry has it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) manifest_digest: String,
    pub(crate) id: String,
    pub(crate) layer_digests: Vec<String>,
}

pub(crate) fn config(tars: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}

impl Image {
    /// Docker's format, layers compressed with gzip.
    pub(crate) fn new(tars: &[Vec<u8>]) -> Image {
        Image::with_manifest(tars, |manifest| manifest)
    }

    /// The same, with the manifest changed.
    pub(crate) fn with_manifest(tars: &[Vec<u8>], change: impl FnOnce(Value) -> Value) -> Image {
        let config = config(tars);
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let descriptor = |kind: &str, blob: &[u8]| {
            json!({
                "mediaType": format!("application/vnd.docker.{kind}"),
                "digest": Digest::of(blob).to_string(), "size": blob.len(),
            })
        };
        let manifest = change(json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": descriptor("container.image.v1+json", &config),
            "layers": layers.iter().map(|layer| descriptor("image.rootfs.diff.tar.gzip", layer)).collect::<Vec<_>>(),
        }));
        let manifest = manifest.to_string().into_bytes();
        let id = Digest::of(&config).to_string();
        let layer_digests = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let blobs = layers.into_iter().chain([config]).map(|blob| (Digest::of(&blob).to_string(), blob)).collect();
        Image { blobs, manifest_digest: Digest::of(&manifest).to_string(), manifest, id, layer_digests }
    }
}

/// A docker archive of one image.
pub(crate) fn docker_archive(tars: &[Vec<u8>], tags: &[&str]) -> Vec<u8> {
    docker_archive_of(&[(tars, tags)])
}

/// A docker archive of several.
pub(crate) fn docker_archive_of(images: &[(&[Vec<u8>], &[&str])]) -> Vec<u8> {
    let mut archive = Layer::new();
    let mut items = Vec::new();
    for (number, (tars, tags)) in images.iter().enumerate() {
        let config_name = format!("config{number}.json");
        archive = archive.file(&config_name, &config(tars));
        let mut layers = Vec::new();
        for (position, tar) in tars.iter().enumerate() {
            let name = format!("{number}/{position}/layer.tar");
            archive = archive.file(&name, tar);
            layers.push(name);
        }
        items.push(json!({"Config": config_name, "RepoTags": tags, "Layers": layers}));
    }
    // Last, as nothing says that it comes first.
    archive.file("manifest.json", Value::from(items).to_string().as_bytes()).tar()
}
