//! Control groups, whatever the machine mounts: v1, v2, or v1 with a v2 tree beside it (hybrid).
//!
//! Invariants: a group has one absolute path such as `/kubepods/burstable/pod1`, the same in every hierarchy;
//! nothing is ever created below the caller's own group. Paths with `..` are refused.

mod device_program;
mod devices;
mod end;
mod layout;
mod limits;
mod stats;

use std::io;
use std::path::{Component, Path, PathBuf};

pub use devices::DeviceRule;
pub use layout::{Hierarchy, Layout};
pub use limits::Limits;
pub use stats::Stats;

use crate::{Error, Result};

/// One control group, which need not exist yet.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: PathBuf,
    layout: &'static Layout,
}

impl Cgroup {
    /// The group at an absolute `path` of this machine's hierarchies.
    pub fn at(path: impl AsRef<Path>) -> Result<Cgroup> {
        Cgroup::of(Layout::detect()?, path.as_ref())
    }

    fn of(layout: &'static Layout, path: &Path) -> Result<Cgroup> {
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(Error::File { action: "use as a cgroup path", path: path.to_owned(), source });
        }
        Ok(Cgroup { path: path.to_owned(), layout })
    }

    /// Its path, the same in every hierarchy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group called `name` in this one.
    pub fn child(&self, name: &str) -> Result<Cgroup> {
        Cgroup::of(self.layout, &self.path.join(name))
    }

    /// Its directories, one per hierarchy.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.layout.hierarchies.iter().map(|hierarchy| hierarchy.directory(&self.path)).collect()
    }

    /// Whether it exists in any hierarchy.
    pub fn exists(&self) -> bool {
        self.directories().iter().any(|directory| directory.exists())
    }

    /// Creates it and its parents in every hierarchy, ready for processes. Idempotent.
    pub fn create(&self) -> Result<()> {
        for hierarchy in &self.layout.hierarchies {
            hierarchy.create(&self.path)?;
        }
        Ok(())
    }

    /// The files into which a process writes `0` to join, v1 hierarchies only.
    ///
    /// They are `tasks`, not `cgroup.procs`: a thread that moves itself needs no grace period of the kernel
    /// (0.2 ms instead of up to 14 ms here). The writer must be single-threaded.
    pub fn join_files(&self) -> Vec<PathBuf> {
        let v1 = self.layout.hierarchies.iter().filter(|hierarchy| !hierarchy.unified);
        v1.map(|hierarchy| hierarchy.directory(&self.path).join("tasks")).collect()
    }

    /// Its directory in the v2 tree, to clone processes into; `None` when no v2 tree is mounted.
    pub fn unified_directory(&self) -> Option<PathBuf> {
        self.layout.unified().map(|hierarchy| hierarchy.directory(&self.path))
    }

    /// The file whose `oom_kill` line counts the processes that the kernel killed in it for want of memory.
    pub fn oom_file(&self) -> Option<PathBuf> {
        let memory = self.layout.with("memory")?;
        let name = if memory.unified { "memory.events" } else { "memory.oom_control" };
        Some(memory.directory(&self.path).join(name))
    }

    /// The file that lists its processes.
    pub fn processes_file(&self) -> Option<PathBuf> {
        Some(self.layout.for_processes()?.directory(&self.path).join("cgroup.procs"))
    }

    /// Each v1 controller with its directory: what a container sees of itself at `/sys/fs/cgroup`. Empty on v2.
    pub fn views(&self) -> Vec<(String, PathBuf)> {
        let mut views = Vec::new();
        for hierarchy in self.layout.hierarchies.iter().filter(|hierarchy| !hierarchy.unified) {
            for controller in &hierarchy.controllers {
                let name = controller.strip_prefix("name=").unwrap_or(controller);
                views.push((name.to_owned(), hierarchy.directory(&self.path)));
            }
        }
        views
    }

    /// Moves the calling process into it. May block some 10 ms on v1 and v2 alike.
    pub fn enter(&self) -> Result<()> {
        for directory in self.directories() {
            let file = directory.join("cgroup.procs");
            std::fs::write(&file, "0").map_err(Error::file("write", &file))?;
        }
        Ok(())
    }

    /// Moves a process into it.
    pub fn attach(&self, pid: i32) -> Result<()> {
        for directory in self.directories() {
            let file = directory.join("cgroup.procs");
            std::fs::write(&file, pid.to_string()).map_err(Error::file("write", &file))?;
        }
        Ok(())
    }

    /// Processes in this very group, not in those below it.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let Some(file) = self.processes_file() else { return Ok(Vec::new()) };
        match std::fs::read_to_string(&file) {
            // ENODEV: the group was removed while it was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV) => {
                Ok(Vec::new())
            }
            Err(error) => Err(Error::file("read", &file)(error)),
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()),
        }
    }

    /// The groups directly below it.
    pub fn children(&self) -> Result<Vec<Cgroup>> {
        let mut names = std::collections::BTreeSet::new();
        for directory in self.directories() {
            let entries = match std::fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.map_err(Error::file("list", &directory))?,
            };
            for entry in entries {
                let entry = entry.map_err(Error::file("list", &directory))?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    names.insert(entry.file_name());
                }
            }
        }
        names.into_iter().map(|name| Cgroup::of(self.layout, &self.path.join(name))).collect()
    }
}

#[cfg(test)]
mod tests;
