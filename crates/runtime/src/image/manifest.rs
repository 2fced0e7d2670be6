//! Manifests and indexes, of OCI and of Docker (schema 2), and the choice of a platform.

use serde::Deserialize;

use super::digest::Digest;

/// The largest manifest or index; what registries themselves accept.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// The largest image configuration. Real ones are a few KiB; history and labels can grow them.
pub(crate) const CONFIG_BYTES_MAX: u64 = 8 << 20;
/// overlayfs stacks at most 500 lower directories (`OVL_MAX_STACK`).
pub(crate) const LAYERS_MAX: usize = 500;

/// What a registry is asked for, best first.
pub(crate) const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

const LAYERS: [&str; 6] = [
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];

/// A blob as a manifest names it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
    #[serde(default)]
    pub(crate) annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// What a manifest in an index runs on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
}

/// An image: its configuration and its layers, bottom first.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// Either of the two documents that a name can stand for.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Vec<Descriptor>),
}

/// Why a document is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// It is not what its type says.
    #[error("malformed manifest {digest}: {source}")]
    Malformed { digest: Digest, source: serde_json::Error },
    /// It is neither manifest nor index.
    #[error("manifest {digest} has the unsupported media type {media_type:?}")]
    MediaType { digest: Digest, media_type: String },
    /// A layer is no tar, or one that must be fetched elsewhere.
    #[error("layer {digest} has the unsupported media type {media_type:?}")]
    LayerType { digest: Digest, media_type: String },
    /// Nothing in the index runs here.
    #[error("no match for platform in manifest: not found (want {wanted}, have {offered})")]
    Platform { wanted: String, offered: String },
    /// More layers than can be mounted.
    #[error("image has {0} layers; at most {LAYERS_MAX} can be mounted")]
    TooManyLayers(usize),
    /// Configuration and manifest count differently.
    #[error("mismatched image rootfs and manifest layers: {diff_ids} diff ids, {layers} layers")]
    LayerCount { diff_ids: usize, layers: usize },
}

/// The parts that tell the kinds of document apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    schema_version: Option<u32>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads a document whose digest has been checked. The content decides what it is: `Content-Type` is not covered
    /// by the digest, and a document that is both at once is refused (CVE-2021-41190).
    pub(crate) fn parse(bytes: &[u8], digest: &Digest, content_type: &str) -> Result<Document, ManifestError> {
        let malformed = |source| ManifestError::Malformed { digest: digest.clone(), source };
        let outline: Outline = serde_json::from_slice(bytes).map_err(malformed)?;
        let media_type = outline.media_type.unwrap_or_else(|| content_type.to_owned());
        match (outline.schema_version, outline.config, outline.layers, outline.manifests) {
            (Some(2), Some(config), layers, None) => {
                let manifest = Manifest { config, layers: layers.unwrap_or_default() };
                manifest.check()?;
                Ok(Document::Manifest(manifest))
            }
            (Some(2), None, None, Some(manifests)) => Ok(Document::Index(manifests)),
            _ => Err(ManifestError::MediaType { digest: digest.clone(), media_type }),
        }
    }
}

impl Manifest {
    fn check(&self) -> Result<(), ManifestError> {
        if self.layers.len() > LAYERS_MAX {
            return Err(ManifestError::TooManyLayers(self.layers.len()));
        }
        match self.layers.iter().find(|layer| !LAYERS.contains(&layer.media_type.as_str())) {
            None => Ok(()),
            Some(layer) => {
                Err(ManifestError::LayerType { digest: layer.digest.clone(), media_type: layer.media_type.clone() })
            }
        }
    }
}

impl Platform {
    /// What this program runs on, in Go's words.
    pub(crate) fn host() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: variant.map(str::to_owned) }
    }

    /// How well something built for `self` runs on `host`; `None`: not at all. Higher is better.
    fn suits(&self, host: &Platform) -> Option<u32> {
        if (&self.os, &self.architecture) != (&host.os, &host.architecture) {
            return None;
        }
        let level = |variant: &Option<String>| variant.as_deref().map(|v| v.trim_start_matches('v').parse::<u32>());
        match (level(&self.variant), level(&host.variant)) {
            (None, _) => Some(1),
            // amd64's v2, v3… need processors that this host may not be.
            (Some(Ok(own)), None) => (own == 1).then_some(2),
            (Some(Ok(own)), Some(Ok(highest))) => (own <= highest).then_some(1 + own),
            _ => None,
        }
    }
}

/// The index's best manifest for `host`; of equals the first.
pub(crate) fn choose<'a>(manifests: &'a [Descriptor], host: &Platform) -> Result<&'a Descriptor, ManifestError> {
    let mut best: Option<(u32, &Descriptor)> = None;
    for candidate in manifests {
        // An entry without platform may be anything; it serves only where nothing says that it fits.
        let rank = candidate.platform.as_ref().map_or(Some(0), |platform| platform.suits(host));
        if let Some(rank) = rank
            && best.is_none_or(|(highest, _)| rank > highest)
        {
            best = Some((rank, candidate));
        }
    }
    let describe = |platform: &Platform| {
        let variant = platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{}/{}{variant}", platform.os, platform.architecture)
    };
    best.map(|(_, descriptor)| descriptor).ok_or_else(|| ManifestError::Platform {
        wanted: describe(host),
        offered: manifests.iter().filter_map(|m| m.platform.as_ref()).map(describe).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn host(architecture: &str, variant: Option<&str>) -> Platform {
        Platform { architecture: architecture.into(), os: "linux".into(), variant: variant.map(Into::into) }
    }

    fn entry(name: &str, os: &str, architecture: &str, variant: Option<&str>) -> Descriptor {
        let platform = Platform { os: os.into(), ..host(architecture, variant) };
        Descriptor {
            media_type: name.into(),
            digest: Digest::of(name.as_bytes()),
            size: 1,
            platform: Some(platform),
            annotations: None,
        }
    }

    #[test]
    fn chooses_the_closest_platform() {
        let index = [
            entry("attestation", "unknown", "unknown", None),
            entry("windows", "windows", "amd64", None),
            entry("amd64v3", "linux", "amd64", Some("v3")),
            entry("amd64", "linux", "amd64", None),
            entry("armv6", "linux", "arm", Some("v6")),
            entry("armv7", "linux", "arm", Some("v7")),
            entry("arm64", "linux", "arm64", Some("v8")),
        ];
        let check = |host: Platform, expected: &str| {
            assert_eq!(choose(&index, &host).map(|d| d.media_type.as_str()).unwrap(), expected);
        };
        check(host("amd64", None), "amd64");
        check(host("arm", Some("v7")), "armv7");
        check(host("arm", Some("v6")), "armv6");
        check(host("arm64", Some("v8")), "arm64");
        let error = choose(&index, &host("s390x", None)).unwrap_err().to_string();
        assert!(error.starts_with("no match for platform in manifest: not found (want linux/s390x"), "{error}");
    }

    #[track_caller]
    fn refused(document: serde_json::Value, expected: &str) {
        let error = Document::parse(document.to_string().as_bytes(), &Digest::of(b""), "").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn refuses_what_it_cannot_unpack() {
        let blob =
            |media_type: &str| json!({"mediaType": media_type, "digest": Digest::of(b"x").to_string(), "size": 1});
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        refused(json!({"schemaVersion": 2, "config": blob("c"), "layers": [blob(foreign)]}), foreign);
        refused(
            json!({"schemaVersion": 2, "config": blob("c"), "layers": [], "manifests": []}),
            "unsupported media type",
        );
        refused(json!({"schemaVersion": 1, "fsLayers": []}), "unsupported media type");
        refused(
            json!({"schemaVersion": 2, "config": {"digest": "md5:1", "size": 1}, "layers": []}),
            "malformed manifest",
        );
        let layers = vec![blob(LAYERS[0]); LAYERS_MAX + 1];
        refused(json!({"schemaVersion": 2, "config": blob("c"), "layers": layers}), "501 layers");
    }
}
