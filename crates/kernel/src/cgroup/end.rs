//! The end of a group: its processes killed, its directories removed.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Cgroup;
use crate::process::Process;
use crate::{Error, Result};

/// Rounds of killing before a group counts as unkillable. A fork bomb needs several, as each sees only the processes
/// that are there when it begins.
const KILL_ROUNDS_MAX: usize = 100;

impl Cgroup {
    /// Sends SIGKILL to all processes of this group and those below, and waits until they have ended. Blocks.
    ///
    /// An error of kind `TimedOut` when some live on after `timeout` (a process in an uninterruptible wait).
    pub fn kill(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        // One write kills the whole tree at once where the v2 tree has all processes.
        if self.layout.is_v2()
            && let Some(file) = self.unified_directory().map(|directory| directory.join("cgroup.kill"))
        {
            match std::fs::write(&file, "1") {
                // Kernels before 5.14 have no such file.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("write", &file)(error));
                }
                _ => {}
            }
        }
        for _ in 0..KILL_ROUNDS_MAX {
            let processes = self.all_processes()?;
            if processes.is_empty() {
                return Ok(());
            }
            for process in &processes {
                process.signal(Signal::KILL)?;
            }
            for process in &processes {
                if !process.wait(deadline.saturating_duration_since(Instant::now()))? {
                    return Err(Error::file("kill", self.path())(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        Err(Error::file("kill", self.path())(io::ErrorKind::TimedOut.into()))
    }

    /// Removes it and the groups below it from every hierarchy. Idempotent; processes must have ended.
    pub fn remove(&self) -> Result<()> {
        for child in self.children()? {
            child.remove()?;
        }
        for directory in self.directories() {
            remove_directory(&directory)?;
        }
        Ok(())
    }

    /// [`Cgroup::kill`], then [`Cgroup::remove`].
    pub fn end(&self, timeout: Duration) -> Result<()> {
        self.kill(timeout)?;
        self.remove()
    }

    fn all_processes(&self) -> Result<Vec<Process>> {
        let mut all = Vec::new();
        for pid in self.processes()? {
            all.extend(Process::open(pid)?);
        }
        for child in self.children()? {
            all.extend(child.all_processes()?);
        }
        Ok(all)
    }
}

fn remove_directory(directory: &Path) -> Result<()> {
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", directory)(error)),
        _ => Ok(()),
    }
}
