//! What happens in one folder, or to one file, as the kernel tells it: no polling, and nothing is read before it is
//! written whole.

use crate::descriptor::{Numbered, waitable};
use crate::roles::background;
use anyhow::{Context, Result, bail};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These files were written and closed, moved in or out, or removed. The kernel bounds how many come at once.
    Files(BTreeSet<OsString>),
    /// More happened than the kernel keeps: look at all of them.
    Unknown,
}

pub(crate) struct FolderWatch {
    inotify: AsyncFd<Numbered<Inotify>>,
    folder: PathBuf,
}

impl FolderWatch {
    /// Of what happens from now on.
    pub(crate) fn open(folder: &Path) -> Result<FolderWatch> {
        let place = || format!("watching {}", folder.display());
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).with_context(place)?;
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(folder, flags).with_context(place)?;
        let inotify = waitable(inotify).with_context(place)?;
        Ok(FolderWatch { inotify, folder: folder.to_owned() })
    }

    /// Waits for changes. An error where the folder itself is gone. Loses nothing when it is cancelled.
    pub(crate) async fn next(&mut self) -> Result<Change> {
        loop {
            let mut ready = self.inotify.readable().await.context("waiting for a folder's changes")?;
            match ready.try_io(|inotify| inotify.get_ref().0.read_events().map_err(std::io::Error::from)) {
                Ok(events) => return self.change(events.context("reading a folder's changes")?),
                Err(_would_block) => {}
            }
        }
    }

    fn change(&self, events: Vec<InotifyEvent>) -> Result<Change> {
        let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
        if events.iter().any(|event| event.mask.intersects(gone)) {
            bail!("the folder {} is gone", self.folder.display());
        }
        if events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)) {
            return Ok(Change::Unknown);
        }
        Ok(Change::Files(events.into_iter().filter_map(|event| event.name).collect()))
    }
}

/// The changes of one file: opened before the file is read for the first time, it misses none.
pub(crate) struct FileWatch {
    file: PathBuf,
    folder: FolderWatch,
    /// What it held when it was last told of; not the content itself, which may be secret. `None`: nothing was told.
    known: Option<u64>,
}

impl FileWatch {
    pub(crate) fn open(file: &Path) -> Result<FileWatch> {
        let mut watch = FileWatch::untold(file)?;
        watch.known = watch.content()?;
        Ok(watch)
    }

    fn untold(file: &Path) -> Result<FileWatch> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(FileWatch { file: file.to_owned(), folder: FolderWatch::open(folder)?, known: None })
    }

    /// `None` where there is no file: editors put the new one in place of the old.
    fn content(&self) -> Result<Option<u64>> {
        match std::fs::read(&self.file).map(Zeroizing::new) {
            Ok(content) => {
                let mut hasher = DefaultHasher::new();
                hasher.write(&content);
                Ok(Some(hasher.finish()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.file.display())),
        }
    }

    /// Returns when the file holds something else than was told of.
    async fn changed(&mut self) -> Result<()> {
        loop {
            let content = self.content()?;
            if content.is_some() && content != self.known {
                self.known = content;
                return Ok(());
            }
            // Mounted configuration changes by another name in the folder (`..data`): whatever changes, it is read.
            self.folder.next().await?;
        }
    }

    /// Has the file taken whenever it changes; what is not taken leaves what was taken before in force.
    pub(crate) fn follow<F>(self, what: &'static str, take: impl Fn(&Path) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (file, take) = (self.file.clone(), Arc::new(take));
        let mut opened = Some(self);
        background::keep(what, move || {
            let (file, take, opened) = (file.clone(), take.clone(), opened.take());
            async move { opened.map_or_else(|| FileWatch::untold(&file), Ok)?.run(what, take.as_ref()).await }
        });
    }

    async fn run<F: Future<Output = Result<()>>>(mut self, what: &str, take: &impl Fn(&Path) -> F) -> Result<()> {
        loop {
            self.changed().await?;
            let file = self.file.display();
            match take(&self.file).await {
                Ok(()) => tracing::info!(%file, "the {what} was read again"),
                Err(error) => tracing::error!(%file, error = format!("{error:#}"), "the {what} stays as it was"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn files(names: &[&str]) -> Change {
        Change::Files(names.iter().map(OsString::from).collect())
    }

    #[tokio::test]
    async fn a_file_is_told_of_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("manifests");
        std::fs::create_dir(&inside).unwrap();
        let mut watch = FolderWatch::open(&inside).unwrap();
        let mut file = std::fs::File::create(inside.join("a")).unwrap();
        file.write_all(b"half").unwrap();
        std::fs::write(inside.join("b"), "whole").unwrap();
        assert_eq!(watch.next().await.unwrap(), files(&["b"]));
        drop(file);
        assert_eq!(watch.next().await.unwrap(), files(&["a"]));
        std::fs::rename(inside.join("a"), inside.join("c")).unwrap();
        std::fs::remove_file(inside.join("b")).unwrap();
        assert_eq!(watch.next().await.unwrap(), files(&["a", "b", "c"]));
        std::fs::rename(&inside, folder.path().join("elsewhere")).unwrap();
        assert!(watch.next().await.unwrap_err().to_string().ends_with("is gone"));
        assert!(FolderWatch::open(&inside).is_err());
    }
}
