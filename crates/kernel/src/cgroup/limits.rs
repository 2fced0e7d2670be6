//! What a group may use: written to the v1 or v2 files that mean the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Cgroup;
use crate::{Error, Result};

/// Limits of a group; what is `None` or empty stays as it is. A limit of -1 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes_max: Option<i64>,
    /// Memory and swap together, in bytes. Left out, swap stays as the kernel has it.
    pub memory_and_swap_bytes_max: Option<i64>,
    /// Relative weight of v1, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU time per period.
    pub cpu_quota_us: Option<i64>,
    /// Length of that period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Processes and threads.
    pub pids_max: Option<i64>,
    /// CPU list such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory node list.
    pub cpuset_mems: Option<String>,
    /// Bytes by page size such as `2MB`.
    pub hugepages: BTreeMap<String, u64>,
    /// Further files of the v2 tree and their content. Passed over on v1, as runc does.
    pub unified: BTreeMap<String, String>,
}

impl Cgroup {
    /// Applies limits. A controller that the machine lacks is an error naming it, unless nothing is asked of it.
    pub fn limit(&self, limits: &Limits) -> Result<()> {
        self.limit_cpu(limits)?;
        self.limit_memory(limits)?;
        if let Some(pids) = limits.pids_max {
            self.set("pids", "pids.max", &or_max(pids))?;
        }
        for (name, value) in [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                self.set("cpuset", name, value)?;
            }
        }
        for (size, bytes) in &limits.hugepages {
            let v2 = self.layout.with("hugetlb").is_some_and(|hierarchy| hierarchy.unified);
            let name = if v2 { format!("hugetlb.{size}.max") } else { format!("hugetlb.{size}.limit_in_bytes") };
            self.set("hugetlb", &name, &bytes.to_string())?;
        }
        match self.layout.is_v2() {
            true => self.set_unified(&limits.unified),
            false => Ok(()),
        }
    }

    fn limit_cpu(&self, limits: &Limits) -> Result<()> {
        if limits.cpu_shares.is_none() && limits.cpu_quota_us.is_none() && limits.cpu_period_us.is_none() {
            return Ok(());
        }
        if self.layout.with("cpu").is_some_and(|hierarchy| hierarchy.unified) {
            if let Some(shares) = limits.cpu_shares {
                self.set("cpu", "cpu.weight", &weight(shares).to_string())?;
            }
            if limits.cpu_quota_us.is_some() || limits.cpu_period_us.is_some() {
                let quota = or_max(limits.cpu_quota_us.unwrap_or(-1));
                self.set("cpu", "cpu.max", &format!("{quota} {}", limits.cpu_period_us.unwrap_or(100_000)))?;
            }
            return Ok(());
        }
        if let Some(shares) = limits.cpu_shares {
            self.set("cpu", "cpu.shares", &shares.max(2).to_string())?;
        }
        if let Some(period) = limits.cpu_period_us {
            self.set("cpu", "cpu.cfs_period_us", &period.to_string())?;
        }
        match limits.cpu_quota_us {
            Some(quota) => self.set("cpu", "cpu.cfs_quota_us", &quota.to_string()),
            None => Ok(()),
        }
    }

    fn limit_memory(&self, limits: &Limits) -> Result<()> {
        let Some(memory) = limits.memory_bytes_max else { return Ok(()) };
        if self.layout.with("memory").is_some_and(|hierarchy| hierarchy.unified) {
            self.set("memory", "memory.max", &or_max(memory))?;
            return match limits.memory_and_swap_bytes_max {
                // v2 counts swap apart. A kernel without swap has no such file.
                Some(both) if self.file("memory", "memory.swap.max").is_some_and(|file| file.exists()) => {
                    let swap = if both < 0 { -1 } else { (both - memory).max(0) };
                    self.set("memory", "memory.swap.max", &or_max(swap))
                }
                _ => Ok(()),
            };
        }
        let (own, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
        let with_swap =
            limits.memory_and_swap_bytes_max.filter(|_| self.file("memory", both).is_some_and(|f| f.exists()));
        // The kernel refuses any moment at which the limit with swap is the lower one: growing sets it first.
        match with_swap {
            Some(value) if self.set("memory", own, &memory.to_string()).is_err() => {
                self.set("memory", both, &value.to_string())?;
                self.set("memory", own, &memory.to_string())
            }
            Some(value) => self.set("memory", both, &value.to_string()),
            None => self.set("memory", own, &memory.to_string()),
        }
    }

    fn set_unified(&self, files: &BTreeMap<String, String>) -> Result<()> {
        for (name, value) in files {
            let controller = name.split('.').next().unwrap_or_default();
            if name.contains('/') || controller.is_empty() {
                let source = std::io::ErrorKind::InvalidInput.into();
                return Err(Error::File { action: "use as a cgroup file", path: name.into(), source });
            }
            self.set(controller, name, value)?;
        }
        Ok(())
    }

    /// Writes one file of the hierarchy that has `controller`.
    pub(super) fn set(&self, controller: &str, name: &str, value: &str) -> Result<()> {
        let file = self.file(controller, name).ok_or_else(|| {
            Error::file("find the controller of", Path::new(name))(std::io::ErrorKind::Unsupported.into())
        })?;
        std::fs::write(&file, value).map_err(Error::file("write", &file))
    }

    /// A file of the hierarchy that has `controller`.
    pub(super) fn file(&self, controller: &str, name: &str) -> Option<PathBuf> {
        self.layout.with(controller).map(|hierarchy| hierarchy.directory(&self.path).join(name))
    }
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// v1 shares as a v2 weight: the ends of both ranges meet, and so do their defaults of 1024 and 100. So a container
/// that asks for one CPU weighs as much as a service of systemd's. The formula is the one of KEP-2254 since 2025, which
/// runc (1.3.2) and crun (1.23) have.
fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let weight = 10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0);
    // Rounded up, but not for what is only the inexactness of the numbers.
    ((weight - 1e-6).ceil() as u64).clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use super::weight;

    #[test]
    fn shares_become_weights() {
        assert_eq!([2, 102, 1024, 2048, 262_144, 0, 1 << 40].map(weight), [1, 17, 100, 174, 10_000, 1, 10_000]);
    }
}
