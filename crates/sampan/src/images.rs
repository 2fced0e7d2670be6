//! The node's image store: where it lies, and what is imported without being asked for.

use crate::files;
use crate::folder::{Change, FolderWatch};
use crate::roles::background;
use crate::settings::Settings;
use anyhow::{Context, Result};
use runtime::image::DiskStore;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn open(settings: &Settings) -> Result<Arc<DiskStore>> {
    let root = settings.data_dir.join("node").join("images");
    let store = DiskStore::open(&root, runtime::image::Options::default());
    Ok(Arc::new(store.with_context(|| format!("opening the image store in {}", root.display()))?))
}

/// Imports the archives in `<data-dir>/images`, now and when they are put there, beside everything else.
pub(crate) fn import_dropped(settings: &Settings, store: Option<Arc<DiskStore>>) -> Result<()> {
    let folder = settings.data_dir.join("images");
    let Some(store) = store else {
        if folder.is_dir() {
            tracing::warn!(folder = %folder.display(), "not imported: the images are another runtime's");
        }
        return Ok(());
    };
    // No later: who is told that the node is ready may drop an archive there.
    files::private_dir(&folder)?;
    let record = settings.data_dir.join("node").join("imported.json");
    background::keep("dropped images", move || follow(folder.clone(), record.clone(), store.clone()));
    Ok(())
}

async fn follow(folder: PathBuf, record: PathBuf, store: Arc<DiskStore>) -> Result<()> {
    files::private_dir(&folder)?;
    let mut changes = FolderWatch::open(&folder)?;
    let mut dropped = Dropped { imported: read_record(&record)?, folder, record, store };
    dropped.import(dropped.names()?).await?;
    loop {
        let names = match changes.next().await? {
            Change::Files(names) => names,
            Change::Unknown => dropped.names()?,
        };
        dropped.import(names).await?;
    }
}

/// Length and time of each archive that was imported, by its name.
type Imported = BTreeMap<OsString, (u64, i64)>;

/// An archive is imported once for as long as it is the same: what is removed from the store after that stays removed.
struct Dropped {
    folder: PathBuf,
    record: PathBuf,
    store: Arc<DiskStore>,
    imported: Imported,
}

impl Dropped {
    fn names(&self) -> Result<BTreeSet<OsString>> {
        let place = || format!("reading {}", self.folder.display());
        let mut names: BTreeSet<OsString> = self.imported.keys().cloned().collect();
        for entry in std::fs::read_dir(&self.folder).with_context(place)? {
            names.insert(entry.with_context(place)?.file_name());
        }
        Ok(names)
    }

    /// One that cannot be imported is complained about, and looked at again when it changes or the node starts.
    async fn import(&mut self, names: BTreeSet<OsString>) -> Result<()> {
        let before = self.imported.clone();
        for name in names {
            let archive = self.folder.join(&name);
            let Some(found) = facts(&archive)? else {
                self.imported.remove(&name);
                continue;
            };
            if self.imported.get(&name) == Some(&found) {
                continue;
            }
            match self.store.import(&archive).await {
                Ok(images) => {
                    tracing::info!(archive = %archive.display(), count = images.len(), "imported");
                    self.imported.insert(name, found);
                }
                Err(error) => tracing::error!(archive = %archive.display(), %error, "not imported"),
            }
        }
        if self.imported != before {
            let text =
                serde_json::to_vec(&self.imported.iter().collect::<Vec<_>>()).context("encoding what is imported")?;
            files::write_private(&self.record, &text)?;
        }
        Ok(())
    }
}

fn read_record(path: &Path) -> Result<Imported> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Imported::new()),
        text => {
            let place = || format!("reading {}", path.display());
            let entries: Vec<(OsString, (u64, i64))> =
                serde_json::from_slice(&text.with_context(place)?).with_context(place)?;
            Ok(entries.into_iter().collect())
        }
    }
}

/// `None`: there is no such archive, or it is hidden, as what is still being copied often is.
fn facts(archive: &Path) -> Result<Option<(u64, i64)>> {
    if archive.file_name().is_some_and(|name| name.as_bytes().starts_with(b".")) {
        return Ok(None);
    }
    match std::fs::metadata(archive) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => {
            let found = found.with_context(|| format!("reading {}", archive.display()))?;
            Ok(Some((found.len(), found.mtime())))
        }
    }
}
