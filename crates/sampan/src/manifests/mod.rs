//! The folder `<data-dir>/manifests/`: what lies in it is applied, what leaves it is deleted.
//!
//! Invariants: a file's objects are on record before the first of them is made, so that whatever happens they can be
//! deleted with it; a file is read when it was closed or moved in, never half written; one that fails is tried again,
//! ever more slowly, and said so in the log and as an event. Applying is `kubectl apply`'s: what it set last is kept in
//! the object, and what others set stays.

mod client;
mod record;

use crate::files;
use crate::folder::{Change, FolderWatch};
use anyhow::{Context, Result, bail};
use client::Kubectl;
use k8s_openapi::api::core::v1::ObjectReference;
use reconcile::{Recorder, Severity};
use record::Record;
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Files that are looked after; the rest, by name, is left alone and complained about.
const FILES_MAX: usize = 1000;
/// More than all objects of a large chart.
const FILE_BYTES_MAX: u64 = 16 << 20;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(300);

/// Files that have to be looked at, and when.
type Due = BTreeMap<String, Attempt>;

#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    /// After another failure.
    wait: Duration,
}

pub(crate) struct Manifests {
    folder: PathBuf,
    record: Record,
    kubectl: Kubectl,
    events: Recorder,
}

impl Manifests {
    pub(crate) fn new(data_dir: &Path, events: Recorder) -> Result<Manifests> {
        Ok(Manifests {
            folder: Manifests::folder(data_dir),
            record: Record::load(&data_dir.join("manifests.json"))?,
            kubectl: Kubectl::new(&data_dir.join("admin.kubeconfig")),
            events,
        })
    }

    fn folder(data_dir: &Path) -> PathBuf {
        data_dir.join("manifests")
    }

    pub(crate) fn make_folder(data_dir: &Path) -> Result<()> {
        files::private_dir(&Manifests::folder(data_dir))
    }

    /// Goes on until the folder itself is taken away.
    pub(crate) async fn run(mut self) -> Result<()> {
        files::private_dir(&self.folder)?;
        let mut changes = FolderWatch::open(&self.folder)?;
        let mut due = Due::new();
        self.all(&mut due)?;
        loop {
            let next = due.iter().min_by_key(|(_, attempt)| attempt.at).map(|(file, attempt)| (file.clone(), *attempt));
            tokio::select! {
                change = changes.next() => self.note(change?, &mut due)?,
                () = until(&next) => if let Some((file, attempt)) = next {
                    due.remove(&file);
                    if let Err(error) = self.settle(&file).await {
                        self.complain(&file, &format!("{error:#}"));
                        let at = Instant::now() + attempt.wait;
                        due.insert(file, Attempt { at, wait: (attempt.wait * 2).min(RETRY_MOST) });
                    }
                },
            }
        }
    }

    fn note(&self, change: Change, due: &mut Due) -> Result<()> {
        match change {
            Change::Unknown => self.all(due),
            Change::Files(names) => {
                let names = names.into_iter().filter_map(|name| name.into_string().ok());
                self.at_once(names, due);
                Ok(())
            }
        }
    }

    /// Everything that is in the folder, or was when it was last looked at.
    fn all(&self, due: &mut Due) -> Result<()> {
        let place = || format!("reading {}", self.folder.display());
        let mut names: Vec<String> = self.record.files().cloned().collect();
        for entry in std::fs::read_dir(&self.folder).with_context(place)? {
            names.extend(entry.with_context(place)?.file_name().into_string().ok());
        }
        self.at_once(names.into_iter(), due);
        Ok(())
    }

    fn at_once(&self, names: impl Iterator<Item = String>, due: &mut Due) {
        for name in names.filter(|name| is_manifest(name)) {
            let known = due.contains_key(&name) || self.record.has(&name);
            if !known && due.len() + self.record.files().count() >= FILES_MAX {
                self.complain(&name, &format!("there are more than {FILES_MAX} files: it is not applied"));
                continue;
            }
            due.insert(name, Attempt { at: Instant::now(), wait: RETRY_FIRST });
        }
    }

    /// Makes the cluster what the file says now.
    async fn settle(&mut self, file: &str) -> Result<()> {
        let text = read(&self.folder.join(file))?;
        let sum = text.as_ref().map(|text| files::hexadecimal(digest(&SHA256, text).as_ref()));
        if sum.is_some() && sum.as_ref() == self.record.sum(file) {
            return Ok(());
        }
        let objects = match &text {
            Some(text) => self.kubectl.objects(text).await?,
            None => Vec::new(),
        };
        self.record.intend(file, &objects)?;
        if let Some(text) = text.filter(|_| !objects.is_empty()) {
            self.kubectl.apply(text).await?;
        }
        let superfluous = self.record.superfluous(file, &objects);
        for object in superfluous.iter().rev() {
            self.kubectl.delete(object).await?;
        }
        tracing::info!(file, objects = objects.len(), deleted = superfluous.len(), "a manifest was applied");
        self.record.settled(file, objects, sum)
    }

    fn complain(&self, file: &str, error: &str) {
        // What `kubectl` was given on its standard input.
        let error = error.replace("STDIN", file);
        tracing::warn!(file, error, "a manifest is not applied");
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Namespace".to_owned()),
            name: Some("kube-system".to_owned()),
            ..ObjectReference::default()
        };
        let message = format!("{}: {error}", self.folder.join(file).display());
        self.events.event_about(about, Severity::Warning, "ManifestFailed", message);
    }
}

async fn until(next: &Option<(String, Attempt)>) {
    match next {
        Some((_, attempt)) => tokio::time::sleep_until(attempt.at).await,
        None => std::future::pending().await,
    }
}

/// Not what editors keep beside a file.
fn is_manifest(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    !name.starts_with('.') && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// `None`: there is no such file any more.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_file() => bail!("it is no file"),
        Ok(found) if found.len() > FILE_BYTES_MAX => bail!("it has more than {FILE_BYTES_MAX} bytes"),
        found => found.context("reading it")?,
    };
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some).context("reading it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_leftovers_are_no_manifests() {
        for (name, expected) in [
            ("a.yaml", true),
            ("a.yml", true),
            ("b.json", true),
            (".a.yaml.swp", false),
            (".a.yaml", false),
            ("a.yaml~", false),
            ("a", false),
        ] {
            assert_eq!(is_manifest(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_and_what_is_not_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none.yaml")).unwrap().is_none());
        assert_eq!(read(folder.path()).unwrap_err().to_string(), "it is no file");
        let large = folder.path().join("large.yaml");
        std::fs::File::create(&large).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(read(&large).unwrap_err().to_string().contains("more than"));
    }
}
