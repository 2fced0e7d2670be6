//! Files of a kustomization, and the folders of others that it names.
//!
//! Invariants: a file is read only where it lies in or below the folder of the kustomization that names it, links
//! followed; a folder that is being built is not built again within itself; what a repository has stays within it.

use super::remote::{self, Fetched, clone, is_file, is_remote};
use crate::failure::{Failure, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A kustomization's folder.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// Without links.
    pub(super) path: PathBuf,
    /// Those that are being built, this one too.
    within: Vec<PathBuf>,
    anywhere: bool,
    /// The repository that it lies in.
    repository: Option<Arc<Repository>>,
}

#[derive(Debug)]
struct Repository {
    /// As it was named.
    name: String,
    /// Without links.
    path: PathBuf,
    /// Gone when nothing of it is built any more.
    _clone: TempDir,
    /// That in which it was named.
    outer: Option<Arc<Repository>>,
}

fn resolve(name: &str, path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => error.to_string(),
        };
        Failure::message(format!("evalsymlink failure on '{name}' : lstat {}: {why}", path.display()))
    })
}

impl Repository {
    /// What was fetched names nothing of this machine.
    fn holds(&self, path: &Path) -> Result<()> {
        if path.starts_with(&self.path) {
            return Ok(());
        }
        let (path, name) = (path.display(), &self.name);
        Err(Failure::message(format!("base '{path}' is outside of the repository '{name}' that names it")))
    }
}

impl Root {
    pub(super) fn open(folder: &Path, anywhere: bool) -> Result<Root> {
        let name = folder.display().to_string();
        if is_remote(&name) {
            return Root::remote(&name, anywhere, None);
        }
        let path = directory(&name, folder)?;
        Ok(Root { within: vec![path.clone()], path, anywhere, repository: None })
    }

    /// A kustomization in a repository that is fetched for it; `outer` is that of who names it.
    fn remote(name: &str, anywhere: bool, outer: Option<Arc<Repository>>) -> Result<Root> {
        let mut known = outer.as_ref();
        while let Some(repository) = known {
            if repository.name == name {
                return Err(Failure::message(format!(
                    "cycle detected: URI '{name}' referenced by previous URI '{name}'"
                )));
            }
            known = repository.outer.as_ref();
        }
        let Fetched { root, folder } = clone(name)?;
        let top = resolve(&root.path().display().to_string(), root.path())?;
        let joined = top.join(folder);
        let path = directory(&joined.display().to_string(), &joined)?;
        let repository = Repository { name: name.to_owned(), path: top, _clone: root, outer };
        repository.holds(&path)?;
        Ok(Root { within: vec![path.clone()], path, anywhere, repository: Some(Arc::new(repository)) })
    }

    /// The folder of another kustomization that this one names.
    pub(super) fn folder(&self, name: &str) -> Result<Root> {
        if is_remote(name) {
            return Root::remote(name, self.anywhere, self.repository.clone());
        }
        if Path::new(name).is_absolute() {
            return Err(Failure::message(format!("new root '{name}' cannot be absolute")));
        }
        let joined = self.path.join(name);
        let path = directory(&normal(&joined).display().to_string(), &joined)?;
        let below = self.within.iter().find(|known| path.starts_with(known) && **known == path);
        if below.is_some() || self.path.starts_with(&path) {
            let (path, own) = (path.display(), self.path.display());
            return Err(Failure::message(format!(
                "cycle detected: candidate root '{path}' contains visited root '{own}'"
            )));
        }
        if let Some(repository) = &self.repository {
            repository.holds(&path)?;
        }
        let within = self.within.iter().cloned().chain([path.clone()]).collect();
        Ok(Root { path, within, anywhere: self.anywhere, repository: self.repository.clone() })
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let joined = if Path::new(name).is_absolute() { PathBuf::from(name) } else { self.path.join(name) };
        let path = resolve(&normal(&joined).display().to_string(), &joined)?;
        if path.is_dir() {
            return Err(Failure::message(format!("'{}' must resolve to a file", path.display())));
        }
        if !self.anywhere && !path.starts_with(&self.path) {
            let (named, own) = (normal(&joined), self.path.display());
            let path = named.display();
            return Err(Failure::message(format!("security; file '{path}' is not in or below '{own}'")));
        }
        std::fs::read(&path).map_err(|error| Failure::message(format!("{}: {error}", path.display())))
    }

    pub(super) fn read_text(&self, name: &str) -> Result<String> {
        if is_file(name) {
            return remote::text(name);
        }
        String::from_utf8(self.read(name)?).map_err(|_| Failure::message(format!("{name} is no UTF-8 text")))
    }
}

/// Without `.` and `..`, as text alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

fn directory(name: &str, path: &Path) -> Result<PathBuf> {
    let place =
        |failure: Failure| Failure::message(format!("must build at directory: not a valid directory: {failure}"));
    let found = resolve(name, path).map_err(place)?;
    if found.is_dir() {
        return Ok(found);
    }
    Err(Failure::message(format!("must build at directory: '{}': file is not directory", normal(path).display())))
}
