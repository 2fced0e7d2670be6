//! How a restored state takes its place in a data directory.
//!
//! Invariants: the state is prepared in `restore.tmp`, which nobody reads. It counts from the moment that directory is
//! called `restore.ready`; whatever happens then, the next restore or start puts its parts in place. So a restore
//! happens whole or not at all.

use crate::{engine, files};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What a restored state has of a data directory, where the objects are last: without settings nothing starts.
const PARTS: [&str; 5] = ["settings.json", "pki", "server-token", engine::RECORD, "store"];
/// Of which it has one: where one comes, the other goes.
const ENGINES: [(&str, &str); 2] = [(engine::RECORD, "store"), ("store", engine::RECORD)];
/// What was true of the state before: objects of manifests are found again when the manifests are applied.
const OUTDATED: &str = "manifests.json";

/// An empty directory to prepare the state in; what an interrupted restore left in it is gone.
pub(crate) fn prepare(data_dir: &Path) -> Result<PathBuf> {
    let folder = data_dir.join("restore.tmp");
    files::remove_tree_if_there(&folder)?;
    files::private_dir(&folder)?;
    Ok(folder)
}

/// The prepared state, which must be durable, becomes the directory's.
pub(crate) fn commit(data_dir: &Path) -> Result<()> {
    std::fs::rename(data_dir.join("restore.tmp"), ready(data_dir)).context("committing the restored state")?;
    files::sync_names(Some(data_dir))?;
    finish(data_dir)
}

/// Puts a committed state in place, if there is one. The caller holds the data directory.
pub(crate) fn finish(data_dir: &Path) -> Result<()> {
    let ready = ready(data_dir);
    if !ready.exists() {
        return Ok(());
    }
    tracing::info!("putting a restored state in place");
    files::remove_if_there(&data_dir.join(OUTDATED))?;
    for (comes, goes) in ENGINES {
        let outdated = data_dir.join(goes);
        match ready.join(comes).exists() {
            true if outdated.is_dir() => files::remove_tree_if_there(&outdated)?,
            true => files::remove_if_there(&outdated)?,
            false => {}
        }
    }
    for part in PARTS {
        let (from, to) = (ready.join(part), data_dir.join(part));
        if from.is_dir() {
            files::remove_tree_if_there(&to)?;
        }
        if from.exists() {
            std::fs::rename(&from, &to).with_context(|| format!("putting {} in place", to.display()))?;
        }
    }
    files::sync_names(Some(data_dir))?;
    files::remove_tree_if_there(&ready)
}

fn ready(data_dir: &Path) -> PathBuf {
    data_dir.join("restore.ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_was_interrupted_is_finished_or_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path();
        let write = |path: &str, text: &str| {
            let path = data_dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let read = |path: &str| std::fs::read_to_string(data_dir.join(path)).unwrap();
        write("store/log", "old");
        write("settings.json", "old");
        write("restore.tmp/store/log", "half");
        finish(data_dir).unwrap();
        assert_eq!(read("store/log"), "old", "what was not committed does not count");
        prepare(data_dir).unwrap();
        assert!(!data_dir.join("restore.tmp/store").exists());
        // Committed, and interrupted after the settings.
        write("restore.ready/store/log", "new");
        write("restore.ready/pki/key", "new");
        write("settings.json", "new");
        write("manifests.json", "old");
        finish(data_dir).unwrap();
        assert_eq!(
            (read("settings.json"), read("store/log"), read("pki/key")),
            ("new".into(), "new".into(), "new".into())
        );
        assert!(!data_dir.join("restore.ready").exists() && !data_dir.join("manifests.json").exists());
        // To an etcd, and back.
        write("restore.ready/datastore", "http://192.0.2.1:2379");
        finish(data_dir).unwrap();
        assert!(read("datastore").starts_with("http") && !data_dir.join("store").exists());
        write("restore.ready/store/log", "back");
        finish(data_dir).unwrap();
        assert!(read("store/log") == "back" && !data_dir.join("datastore").exists());
    }
}
