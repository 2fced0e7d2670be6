//! Files of the data directory: written whole or not at all, readable by root only.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Replaces a file: a reader sees the old content or the new one.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut draft = Draft::create(path, 0o600)?;
    draft.file.write_all(content).with_context(|| format!("writing {}", path.display()))?;
    draft.publish()
}

/// A file that gets its name when it is whole and durable. Dropped before, nothing is left of it.
pub(crate) struct Draft {
    pub(crate) file: File,
    temporary: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Draft {
    /// Beside the file that it will replace.
    pub(crate) fn create(path: &Path, mode: u32) -> Result<Draft> {
        let mut name = path.file_name().with_context(|| format!("{} names no file", path.display()))?.to_owned();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        remove_if_there(&temporary)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
        let file = file.with_context(|| format!("creating {}", temporary.display()))?;
        Ok(Draft { file, temporary, path: path.to_owned(), published: false })
    }

    /// Where it lies meanwhile.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(crate) fn publish(mut self) -> Result<()> {
        let published = self.file.sync_all().and_then(|()| std::fs::rename(&self.temporary, &self.path));
        published.with_context(|| format!("writing {}", self.path.display()))?;
        self.published = true;
        sync_names(self.path.parent())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = remove_if_there(&self.temporary)
        {
            tracing::warn!("{error:#}");
        }
    }
}

/// Makes what was created, renamed or removed in a folder durable.
pub(crate) fn sync_names(folder: Option<&Path>) -> Result<()> {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("syncing {}", folder.display()))
}

pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    absent_is_fine(std::fs::remove_file(path)).with_context(|| format!("removing {}", path.display()))
}

pub(crate) fn remove_tree_if_there(path: &Path) -> Result<()> {
    absent_is_fine(std::fs::remove_dir_all(path)).with_context(|| format!("removing {}", path.display()))
}

fn absent_is_fine(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a directory, and those above it, that only root may enter.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("making the directory {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_draft_is_published_whole_or_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_private(&path, b"old").unwrap();
        let mut draft = Draft::create(&path, 0o600).unwrap();
        draft.file.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_private(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
