//! What the machine has to give.

use super::thresholds::Thresholds;
use crate::pod::resources::Amounts;
use kernel::cgroup::Cgroup;
use std::path::Path;

/// Facts that do not change while the process runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) capacity: Amounts,
    pub(crate) allocatable: Amounts,
    pub(crate) machine_id: String,
    pub(crate) system_uuid: String,
    pub(crate) boot_id: String,
    pub(crate) kernel_version: String,
    pub(crate) os_image: String,
    pub(crate) architecture: &'static str,
}

impl Machine {
    /// Reads /proc and the root cgroup; `data_dir` tells which disk. What cannot be read is left empty.
    /// What must be left is kept back from pods.
    pub(crate) fn read(data_dir: &Path, least: &Thresholds) -> Machine {
        let text = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        // Counts the processors that this process may use, cgroup quotas included.
        let processors =
            std::thread::available_parallelism().map_or(1, |count| i64::try_from(count.get()).unwrap_or(1));
        let disk = disk(data_dir).map_or(0, |disk| disk.total);
        let capacity =
            Amounts { cpu_milli: processors * 1000, memory_bytes: memory_total(), ephemeral_storage_bytes: disk };
        let allocatable = Amounts {
            memory_bytes: (capacity.memory_bytes - least.memory(capacity.memory_bytes)).max(0),
            ephemeral_storage_bytes: (disk - least.disk(disk)).max(0),
            ..capacity
        };
        Machine {
            capacity,
            allocatable,
            machine_id: text("/etc/machine-id"),
            system_uuid: text("/sys/class/dmi/id/product_uuid"),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            kernel_version: text("/proc/sys/kernel/osrelease"),
            os_image: os_image(&text("/etc/os-release")),
            architecture: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            },
        }
    }
}

/// The machine's memory, or the limit of the container that this runs in.
fn memory_total() -> i64 {
    let total = meminfo("MemTotal").unwrap_or(0);
    let limit = Cgroup::at("/").ok().and_then(|root| root.stats().memory_bytes_max);
    let limit = limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX);
    total.min(limit)
}

/// A line of /proc/meminfo, in bytes.
pub(crate) fn meminfo(name: &str) -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: i64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) total: i64,
    pub(crate) available: i64,
    /// Zero where the file system has no bound.
    pub(crate) inodes: i64,
    pub(crate) inodes_free: i64,
}

/// Size and room of the file system that holds `path`.
pub(crate) fn disk(path: &Path) -> Option<Disk> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(stat.f_frsize)).unwrap_or(i64::MAX);
    let count = |inodes: u64| i64::try_from(inodes).unwrap_or(i64::MAX);
    Some(Disk {
        total: bytes(stat.f_blocks),
        available: bytes(stat.f_bavail),
        inodes: count(stat.f_files),
        inodes_free: count(stat.f_favail),
    })
}

fn os_image(os_release: &str) -> String {
    let pretty = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    pretty.unwrap_or("Linux").trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_something_to_give() {
        let machine = Machine::read(Path::new("/"), &Thresholds::default());
        assert!(machine.capacity.cpu_milli >= 1000 && machine.capacity.memory_bytes > 100 << 20);
        assert_eq!(machine.allocatable.memory_bytes, machine.capacity.memory_bytes - (100 << 20));
        assert!(!machine.boot_id.is_empty() && !machine.kernel_version.is_empty());
        assert_eq!(os_image("NAME=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
    }
}
