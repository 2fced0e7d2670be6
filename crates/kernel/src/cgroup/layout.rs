//! Which hierarchies this machine mounts, and how a group is made in each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{Error, Result, mount};

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its controllers, such as `memory`; a named v1 hierarchy has one called `name=systemd`.
    pub controllers: Vec<String>,
    /// Whether it is the v2 tree.
    pub unified: bool,
}

/// All hierarchies of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In the order of the mount table.
    pub hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// This machine's hierarchies, found once. An error when none is mounted.
    pub fn detect() -> Result<&'static Layout> {
        static LAYOUT: OnceLock<Layout> = OnceLock::new();
        if let Some(layout) = LAYOUT.get() {
            return Ok(layout);
        }
        let found = Layout::of(&mount::table()?)?;
        if found.hierarchies.is_empty() {
            return Err(Error::call("find the cgroup hierarchies")(io::ErrorKind::NotFound.into()));
        }
        Ok(LAYOUT.get_or_init(|| found))
    }

    fn of(table: &[mount::Mount]) -> Result<Layout> {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in table {
            let found = match mount.fs_type.as_str() {
                "cgroup" => Hierarchy::v1(mount),
                "cgroup2" => Hierarchy::v2(&mount.target)?,
                _ => continue,
            };
            // The same hierarchy can be mounted twice; the first mount is the usual place.
            if !hierarchies.iter().any(|known| known.same(&found)) {
                hierarchies.push(found);
            }
        }
        Ok(Layout { hierarchies })
    }

    /// The v2 tree, alone or beside v1 ones.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.unified)
    }

    /// Whether every controller is in the v2 tree.
    pub fn is_v2(&self) -> bool {
        self.hierarchies.iter().all(|hierarchy| hierarchy.unified)
    }

    /// The hierarchy that has `controller`.
    pub fn with(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    /// The hierarchy that is asked for a group's processes.
    pub(super) fn for_processes(&self) -> Option<&Hierarchy> {
        self.unified().filter(|_| self.is_v2()).or_else(|| self.with("pids")).or_else(|| self.hierarchies.first())
    }
}

impl Hierarchy {
    fn v1(mount: &mount::Mount) -> Hierarchy {
        let words = mount.super_options.split(',');
        let controllers = words.filter(|word| !matches!(*word, "rw" | "ro" | "xattr" | "noprefix" | "clone_children"));
        let controllers = controllers.filter(|word| !word.starts_with("release_agent=")).map(str::to_owned).collect();
        Hierarchy { mount: mount.target.clone(), controllers, unified: false }
    }

    fn v2(target: &Path) -> Result<Hierarchy> {
        let file = target.join("cgroup.controllers");
        let names = std::fs::read_to_string(&file).map_err(Error::file("read", &file))?;
        let controllers = names.split_whitespace().map(str::to_owned).collect();
        Ok(Hierarchy { mount: target.to_owned(), controllers, unified: true })
    }

    fn same(&self, other: &Hierarchy) -> bool {
        self.unified == other.unified && (self.unified || self.controllers == other.controllers)
    }

    /// Where the group `path` lies in this hierarchy.
    pub fn directory(&self, path: &Path) -> PathBuf {
        self.mount.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Makes the group and its missing parents.
    pub(super) fn create(&self, path: &Path) -> Result<()> {
        let directory = self.directory(path);
        if directory.exists() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create(parent)?;
            if self.unified {
                self.delegate(&self.directory(parent))?;
            }
        }
        match std::fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::file("create", &directory)(error));
            }
            _ => {}
        }
        if self.controllers.iter().any(|name| name == "cpuset") && !self.unified {
            inherit_cpuset(&directory)?;
        }
        if self.controllers.iter().any(|name| name == "memory") && !self.unified {
            count_children(&directory)?;
        }
        Ok(())
    }

    /// Lets the groups below `parent` use every controller that `parent` itself may use.
    fn delegate(&self, parent: &Path) -> Result<()> {
        let (available, enabled) = (parent.join("cgroup.controllers"), parent.join("cgroup.subtree_control"));
        let read = |file: &Path| std::fs::read_to_string(file).map_err(Error::file("read", file));
        let (available, already) = (read(&available)?, read(&enabled)?);
        for name in available.split_whitespace().filter(|name| !already.split_whitespace().any(|on| on == *name)) {
            // One at a time: a kernel that refuses one (cpu with realtime processes) still gives the others.
            if let Err(error) = std::fs::write(&enabled, format!("+{name}")) {
                tracing::warn!(parent = %parent.display(), controller = name, %error, "cgroup controller not delegated");
            }
        }
        Ok(())
    }
}

/// A v1 cpuset group takes no process before it has CPUs and memory nodes; its parent's are its own at first.
fn inherit_cpuset(directory: &Path) -> Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(name);
        let current = std::fs::read_to_string(&own).map_err(Error::file("read", &own))?;
        if current.trim().is_empty() {
            let parents = directory.with_file_name(name);
            let value = std::fs::read_to_string(&parents).map_err(Error::file("read", &parents))?;
            std::fs::write(&own, value.trim()).map_err(Error::file("write", &own))?;
        }
    }
    Ok(())
}

/// A v1 memory group charges its ancestors only when told so; new kernels always do and refuse to change it.
fn count_children(directory: &Path) -> Result<()> {
    let file = directory.join("memory.use_hierarchy");
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim() == "0" => std::fs::write(&file, "1").map_err(Error::file("write", &file)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("read", &file)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_mounts_are_told_apart() {
        let mount = |target: &str, fs_type: &str, options: &str| mount::Mount {
            target: target.into(),
            root: "/".into(),
            fs_type: fs_type.into(),
            super_options: options.into(),
            shared: false,
            slave: false,
        };
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "hugetlb misc\n").unwrap();
        let unified = dir.path().to_str().unwrap();
        let table = [
            mount("/", "ext4", "rw"),
            mount("/c/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
            mount("/c/systemd", "cgroup", "rw,xattr,release_agent=/bin/x,name=systemd"),
            mount(unified, "cgroup2", "rw"),
            mount("/again/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
        ];
        let layout = Layout::of(&table).unwrap();
        assert_eq!(layout.hierarchies.len(), 3);
        assert_eq!(layout.with("cpuacct").unwrap().mount, Path::new("/c/cpu,cpuacct"));
        assert_eq!(layout.with("name=systemd").unwrap().mount, Path::new("/c/systemd"));
        assert_eq!(layout.unified().unwrap().controllers, ["hugetlb", "misc"]);
        assert!(!layout.is_v2() && !layout.with("hugetlb").unwrap().mount.ends_with("cpu"));
        assert_eq!(layout.hierarchies[0].directory(Path::new("/a/b")), Path::new("/c/cpu,cpuacct/a/b"));
    }
}
