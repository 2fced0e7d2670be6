//! What each manifest file made, on disk: `<data-dir>/manifests.json`.

use crate::files;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An object as `kubectl` finds it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Empty for a kind without namespaces.
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// Everything that may be there because of the file, in its order.
    objects: Vec<Object>,
    /// The digest of the text that was applied; `None` while some of it is not.
    sum: Option<String>,
}

#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Record {
    pub(super) fn load(path: &Path) -> Result<Record> {
        let entries = match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        Ok(Record { path: path.to_owned(), entries })
    }

    fn save(&self) -> Result<()> {
        files::write_private(&self.path, &serde_json::to_vec(&self.entries).context("encoding what manifests made")?)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.entries.contains_key(file)
    }

    pub(super) fn sum(&self, file: &str) -> Option<&String> {
        self.entries.get(file)?.sum.as_ref()
    }

    /// Before these are made: from now on they are the file's, beside those that it made before.
    pub(super) fn intend(&mut self, file: &str, objects: &[Object]) -> Result<()> {
        let entry = self.entries.entry(file.to_owned()).or_default();
        let new: Vec<Object> = objects.iter().filter(|object| !entry.objects.contains(object)).cloned().collect();
        entry.objects.extend(new);
        entry.sum = None;
        self.save()
    }

    /// What the file made and does not name any more, unless another file does.
    pub(super) fn superfluous(&self, file: &str, objects: &[Object]) -> Vec<Object> {
        let of_others =
            |object: &Object| self.entries.iter().any(|(other, entry)| other != file && entry.objects.contains(object));
        let made = self.entries.get(file).map(|entry| entry.objects.as_slice()).unwrap_or_default();
        made.iter().filter(|object| !objects.contains(object) && !of_others(object)).cloned().collect()
    }

    /// The cluster is what the file says; `sum` is `None` for a file that is gone, and with it what it made.
    pub(super) fn settled(&mut self, file: &str, objects: Vec<Object>, sum: Option<String>) -> Result<()> {
        if sum.is_none() {
            self.entries.remove(file);
        } else {
            self.entries.insert(file.to_owned(), Entry { objects, sum });
        }
        self.save()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> Object {
        let text = str::to_owned;
        Object { api_version: text("v1"), kind: text("ConfigMap"), namespace: text("n"), name: text(name) }
    }

    #[test]
    fn what_a_file_made_is_known_after_a_restart_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifests.json");
        let mut record = Record::load(&path).unwrap();
        record.intend("a.yaml", &[object("one"), object("two")]).unwrap();
        record.settled("a.yaml", vec![object("one"), object("two")], Some("s1".into())).unwrap();
        record.intend("a.yaml", &[object("two"), object("three")]).unwrap();
        let mut record = Record::load(&path).unwrap();
        assert_eq!(record.sum("a.yaml"), None, "what was intended is not done");
        assert_eq!(record.superfluous("a.yaml", &[object("two"), object("three")]), [object("one")]);
        assert_eq!(record.superfluous("a.yaml", &[]), [object("one"), object("two"), object("three")]);
        record.intend("b.yaml", &[object("one")]).unwrap();
        assert_eq!(record.superfluous("a.yaml", &[]), [object("two"), object("three")], "one is another file's too");
        record.settled("a.yaml", Vec::new(), None).unwrap();
        assert_eq!(Record::load(&path).unwrap().files().collect::<Vec<_>>(), ["b.yaml"]);
    }
}
