//! Which images there are: pure bookkeeping over names and ids, kept in `index.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::image::digest::{Digest, chain_ids};
use crate::image::reference::{Reference, Target};

const VERSION: u32 = 1;
const ID_PREFIX: &str = "sha256:";
/// A bare start of an id must be this long, what Docker prints: shorter ones are words that name images (`cafe`).
const BARE_ID_LENGTH_MIN: usize = 12;

/// The content of `index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Catalog {
    version: u32,
    /// By id, the digest of the configuration.
    images: BTreeMap<Digest, Entry>,
    /// Complete names, with tag or digest, and the image each means.
    names: BTreeMap<String, Digest>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// Bottom first.
    pub(super) diff_ids: Vec<Digest>,
}

impl Entry {
    /// The ids that the layers are kept under, bottom first.
    pub(super) fn chain(&self) -> Vec<Digest> {
        chain_ids(&self.diff_ids)
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog { version: VERSION, images: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl Catalog {
    /// Reads what [`Catalog::encode`] wrote; an unknown version is an error, so that an older program does not
    /// garble a newer one's store.
    pub(super) fn decode(content: &[u8]) -> Result<Catalog, String> {
        let catalog: Catalog = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        if catalog.version != VERSION {
            return Err(format!("version {}, where this program knows {VERSION}", catalog.version));
        }
        Ok(catalog)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and numbers are JSON")
    }

    /// Adds an image, or names to it. A name that meant another image means this one from now on; the other stays,
    /// known by its id.
    pub(super) fn insert(&mut self, id: &Digest, entry: Entry, names: &[Reference]) {
        self.images.insert(id.clone(), entry);
        for name in names {
            self.names.insert(name.to_string(), id.clone());
        }
    }

    /// Takes out an image and all its names.
    pub(super) fn remove(&mut self, id: &Digest) {
        self.images.remove(id);
        self.names.retain(|_, named| named != id);
    }

    pub(super) fn images(&self) -> impl Iterator<Item = (&Digest, &Entry)> {
        self.images.iter()
    }

    /// What this complete name means.
    pub(super) fn named(&self, name: &Reference) -> Option<&Digest> {
        self.names.get(&name.to_string())
    }

    /// An image's names by tag, and those by digest.
    pub(super) fn names_of(&self, id: &Digest) -> (Vec<String>, Vec<String>) {
        let names = self.names.iter().filter(|(_, named)| *named == id).map(|(name, _)| name.clone());
        names.partition(|name| !name.contains('@'))
    }

    /// Every layer that an image needs.
    pub(super) fn chains(&self) -> BTreeSet<Digest> {
        self.images.values().flat_map(Entry::chain).collect()
    }

    /// Finds an image by name, id, manifest digest, or start of an id, in this order. What is no legal name and no id
    /// is an error.
    pub(super) fn find(&self, text: &str) -> Result<Option<Digest>, StoreError> {
        if let Ok(digest) = text.parse::<Digest>() {
            return Ok(self.by_digest(&digest));
        }
        let name = text.parse::<Reference>();
        if let Some(id) = name.as_ref().ok().and_then(|name| self.named(name)) {
            return Ok(Some(id.clone()));
        }
        let bare = text.len() >= BARE_ID_LENGTH_MIN && is_hex(text);
        let start = text.strip_prefix(ID_PREFIX).filter(|hex| is_hex(hex)).or(bare.then_some(text));
        match start {
            Some(start) => self.by_start(start),
            None => name.map(|_| None).map_err(StoreError::Name),
        }
    }

    fn by_digest(&self, digest: &Digest) -> Option<Digest> {
        if self.images.contains_key(digest) {
            return Some(digest.clone());
        }
        let target = Target::Digest(digest.clone()).to_string();
        self.names.iter().find(|(name, _)| name.ends_with(&target)).map(|(_, id)| id.clone())
    }

    fn by_start(&self, start: &str) -> Result<Option<Digest>, StoreError> {
        let mut matching = self.images.keys().filter(|id| id.hex().starts_with(start));
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => Err(StoreError::Ambiguous(start.to_owned())),
            (only, _) => Ok(only.cloned()),
        }
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seed: &str) -> Digest {
        Digest::of(seed.as_bytes())
    }

    fn catalog(images: &[(&str, &[&str])]) -> Catalog {
        let mut catalog = Catalog::default();
        for (seed, names) in images {
            let names: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
            catalog.insert(&id(seed), Entry { diff_ids: vec![id("layer")] }, &names);
        }
        catalog
    }

    #[test]
    fn finds_by_name_digest_id_and_start_of_id() {
        let manifest = id("manifest");
        let by_digest = format!("app@{manifest}");
        let catalog = catalog(&[("a", &["app:1", by_digest.as_str()]), ("b", &[])]);
        let find = |text: &str| catalog.find(text).unwrap();
        for text in ["app:1", "docker.io/library/app:1", &by_digest, &manifest.to_string(), &id("a").to_string()] {
            assert_eq!(find(text), Some(id("a")), "{text}");
        }
        assert_eq!(find(id("b").hex()), Some(id("b")));
        assert_eq!(find(&id("b").hex()[..12]), Some(id("b")));
        assert_eq!(find(&format!("sha256:{}", &id("b").hex()[..3])), Some(id("b")));
        assert_eq!(find(&id("b").hex()[..11]), None);
        assert_eq!(find("app"), None);
        assert!(matches!(catalog.find("sha256:"), Err(StoreError::Name(_))));
        assert!(matches!(catalog.find("UPPER"), Err(StoreError::Name(_))));
    }

    #[test]
    fn a_start_of_two_ids_is_an_error() {
        // Two of twenty ids share their first digit.
        let mut catalog = Catalog::default();
        for seed in 0..20 {
            catalog.insert(&id(&seed.to_string()), Entry { diff_ids: Vec::new() }, &[]);
        }
        let ambiguous =
            (0..16).any(|digit| matches!(catalog.find(&format!("sha256:{digit:x}")), Err(StoreError::Ambiguous(_))));
        assert!(ambiguous);
    }

    #[test]
    fn a_moved_name_leaves_the_old_image_by_id() {
        let mut catalog = catalog(&[("a", &["app:1"]), ("b", &["app:1"])]);
        assert_eq!(catalog.find("app:1").unwrap(), Some(id("b")));
        assert_eq!(catalog.names_of(&id("a")), (vec![], vec![]));
        assert!(catalog.images().any(|(known, _)| *known == id("a")));
        catalog.remove(&id("b"));
        assert_eq!(catalog.find("app:1").unwrap(), None);
    }

    #[test]
    fn survives_a_round_trip_and_refuses_the_future() {
        let catalog = catalog(&[("a", &["app:1"])]);
        assert_eq!(Catalog::decode(&catalog.encode()).unwrap(), catalog);
        assert!(Catalog::decode(br#"{"version":2,"images":{},"names":{}}"#).unwrap_err().contains("version 2"));
    }
}
