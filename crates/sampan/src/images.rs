//! The node's image store: where it lies, and what is imported without being asked for.

use crate::settings::Settings;
use anyhow::{Context, Result};
use runtime::image::DiskStore;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) fn open(settings: &Settings) -> Result<Arc<DiskStore>> {
    let root = settings.data_dir.join("node").join("images");
    let store = DiskStore::open(&root, runtime::image::Options::default());
    Ok(Arc::new(store.with_context(|| format!("opening the image store in {}", root.display()))?))
}

/// Imports the archives in `<data-dir>/images`, beside everything else.
pub(crate) fn import_dropped(settings: &Settings, store: Option<Arc<DiskStore>>) {
    let folder = settings.data_dir.join("images");
    let Some(store) = store.filter(|_| folder.is_dir()) else { return };
    tokio::spawn(async move {
        for archive in archives(&folder) {
            match store.import(&archive).await {
                Ok(images) => tracing::info!(archive = %archive.display(), count = images.len(), "imported"),
                Err(error) => tracing::error!(archive = %archive.display(), %error, "not imported"),
            }
        }
    });
}

fn archives(folder: &std::path::Path) -> Vec<PathBuf> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "cannot be read: its images are not imported");
            Vec::new()
        }
    }
}
