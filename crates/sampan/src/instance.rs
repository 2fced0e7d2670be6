//! A data directory and who runs in it: the lock, and the status that the supervisor keeps beside it.

use crate::cli::RoleName;
use crate::files;
use anyhow::{Context, Result, bail};
use kernel::process::Process;
use nix::fcntl::{Flock, FlockArg};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The supervisor gives its processes 15 s each.
const SUPERVISOR_TIME_MAX: Duration = Duration::from_secs(40);

/// What `sampan status -o json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) version: String,
    /// The supervisor's.
    pub(crate) pid: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) server: Option<RoleStatus>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) node: Option<RoleStatus>,
    pub(crate) ready: bool,
    pub(crate) address: String,
    /// The file that the supervisor was started from, and starts again from after an upgrade.
    #[serde(default)]
    pub(crate) program: PathBuf,
    /// Whether a service manager started the supervisor, and will again when it ends.
    #[serde(default)]
    pub(crate) managed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RoleStatus {
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
        Status::read(data_dir).map(Some)
    }

    /// The last one written, by whoever runs or ran.
    pub(crate) fn read(data_dir: &Path) -> Result<Status> {
        let path = data_dir.join("status.json");
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// The supervisor, if it still runs.
    pub(crate) fn process(&self) -> Result<Option<Process>> {
        Ok(Process::open(i32::try_from(self.pid).context("the supervisor's pid")?)?)
    }
}

/// Ends a supervisor and with it server and node; containers live on.
pub(crate) fn stop(supervisor: &Process, data_dir: &Path) -> Result<()> {
    supervisor.signal(Signal::TERM)?;
    if !supervisor.wait(SUPERVISOR_TIME_MAX)? || lock(data_dir)?.is_none() {
        bail!("the supervisor, pid {}, did not end within {SUPERVISOR_TIME_MAX:?}", supervisor.pid());
    }
    Ok(())
}

/// Takes the directory for a supervisor; `None` when another process has it. The kernel frees it when its holder ends,
/// however it ends.
pub(crate) fn lock(data_dir: &Path) -> Result<Option<Flock<File>>> {
    if !data_dir.exists() {
        bail!("{} does not exist: nothing of sampan runs there", data_dir.display());
    }
    let path = data_dir.join("sampan.lock");
    let file = lock_file(&path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(|| format!("locking {}", path.display())),
    }
}

/// The lock that the supervisor before us passed on when it executed us in its own place.
pub(crate) fn inherited_lock(number: RawFd) -> Result<Flock<File>> {
    let file = File::from(kernel::descriptor::inherit(number)?);
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| errno)
        .context("keeping the data directory that the earlier build held")
}

/// Waits until no other process has the role: after a `kill -9` of the supervisor, its processes take a moment to end.
/// The next supervisor bounds the wait.
pub(crate) fn only_one(data_dir: &Path, role: RoleName) -> Result<Flock<File>> {
    let path = data_dir.join(format!("{}.lock", role.name()));
    Flock::lock(lock_file(&path)?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("locking {}", path.display()))
}

fn lock_file(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.with_context(|| format!("opening {}", path.display()))
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
