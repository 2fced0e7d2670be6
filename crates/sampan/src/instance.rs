//! A data directory and who runs in it: the lock, and the status that the supervisor keeps beside it.

use crate::files;
use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;

/// What `sampan status -o json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) version: String,
    /// The supervisor's.
    pub(crate) pid: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) server: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) node: Option<Process>,
    pub(crate) ready: bool,
    pub(crate) address: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) ready: bool,
    /// Since the supervisor started.
    pub(crate) restarts: u32,
}

impl Status {
    pub(crate) fn save(&self, data_dir: &Path) -> Result<()> {
        files::write_private(
            &data_dir.join("status.json"),
            &serde_json::to_vec_pretty(self).context("encoding the status")?,
        )
    }

    /// Of the supervisor that runs in this directory; `None` when none does.
    pub(crate) fn of(data_dir: &Path) -> Result<Option<Status>> {
        if lock(data_dir)?.is_some() {
            return Ok(None);
        }
        let path = data_dir.join("status.json");
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).map(Some).with_context(|| format!("reading {}", path.display()))
    }
}

/// Takes the directory for a supervisor; `None` when another process has it. The kernel frees it when its holder ends,
/// however it ends.
pub(crate) fn lock(data_dir: &Path) -> Result<Option<Flock<File>>> {
    let path = data_dir.join("sampan.lock");
    if !data_dir.exists() {
        return Err(anyhow::anyhow!("{} does not exist: nothing of sampan runs there", data_dir.display()));
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(|| format!("locking {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_known_while_the_directory_is_held() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Status::of(folder.path()).unwrap(), None);
        let held = lock(folder.path()).unwrap().unwrap();
        let status = Status { pid: 7, ready: true, ..Status::default() };
        status.save(folder.path()).unwrap();
        assert_eq!(Status::of(folder.path()).unwrap(), Some(status));
        drop(held);
        assert_eq!(Status::of(folder.path()).unwrap(), None);
        assert!(Status::of(&folder.path().join("none")).is_err());
    }
}
