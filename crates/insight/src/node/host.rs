//! What the node itself uses.

use super::group::Group;
use super::network;
use super::text::{fields, number};
use crate::{Metric, Reading};
use std::path::{Path, PathBuf};

/// Of which files the node is read, beside its root group.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// `/proc`, or what stands for it.
    pub(super) proc: PathBuf,
    /// A folder on the file system that pods are kept on.
    pub(super) data_dir: PathBuf,
}

/// Kernel's clock ticks a second, the unit of `/proc/stat`: the same wherever Linux runs.
const TICKS: u64 = 100;

impl Host {
    /// `root` is the group of all processes, which need not count anything: on v2 it does not.
    pub(super) fn read(&self, root: &Group, buffer: &mut Vec<u8>) -> Reading {
        buffer.resize(super::group::READ_BYTES_MAX, 0);
        let mut reading = root.read(buffer).unwrap_or_default();
        self.memory(&mut reading);
        if reading.get(Metric::CpuUsage).is_none() {
            self.processors(&mut reading);
        }
        if reading.get(Metric::Threads).is_none() {
            self.threads(&mut reading);
        }
        self.kills(&mut reading);
        network::read(&self.proc.join("self/net/dev"), buffer, network::of_node, &mut reading);
        self.disk(&mut reading);
        reading
    }

    /// A file of `/proc`; empty where there is none.
    fn text(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.proc.join(name)).unwrap_or_default()
    }

    /// Amounts that the root group does not have, from `/proc/meminfo`.
    fn memory(&self, reading: &mut Reading) {
        let (mut total, mut free, mut inactive) = (0, 0, 0);
        fields(&self.text("meminfo"), |name, kib| match name {
            b"MemTotal" => total = kib << 10,
            b"MemFree" => free = kib << 10,
            b"Inactive(file)" => inactive = kib << 10,
            b"MemAvailable" => reading.set(Metric::MemoryAvailable, kib << 10),
            _ => {}
        });
        // The root group's own limit is none; the container that this may run in has one.
        let limit = reading.get(Metric::MemoryLimit).filter(|limit| *limit > 0);
        reading.set(Metric::MemoryLimit, limit.unwrap_or(total).min(total));
        if reading.get(Metric::MemoryUsage).is_none() {
            let used = total.saturating_sub(free);
            reading.set(Metric::MemoryUsage, used);
            reading.set(Metric::MemoryWorkingSet, used.saturating_sub(inactive));
        }
    }

    fn processors(&self, reading: &mut Reading) {
        let text = self.text("stat");
        let Some(line) = text.split(|byte| *byte == b'\n').next().filter(|line| line.starts_with(b"cpu ")) else {
            return;
        };
        let ticks = line[4..].split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(number);
        // user, nice, system, idle, iowait, irq, softirq, steal: guests' time is part of user's.
        let busy = ticks.enumerate().filter(|(index, _)| matches!(index, 0..=2 | 5..=7));
        let busy: u64 = busy.filter_map(|(_, ticks)| ticks).sum();
        reading.set(Metric::CpuUsage, busy * (1_000_000 / TICKS));
    }

    fn threads(&self, reading: &mut Reading) {
        // The fourth word is `running/existing`.
        let text = self.text("loadavg");
        let existing = text.split(|byte| *byte == b'/').nth(1).and_then(number);
        if let Some(existing) = existing {
            reading.set(Metric::Threads, existing);
        }
    }

    fn kills(&self, reading: &mut Reading) {
        fields(&self.text("vmstat"), |name, value| {
            if name == b"oom_kill" {
                reading.set(Metric::OomKills, value);
            }
        });
    }

    fn disk(&self, reading: &mut Reading) {
        if let Some((size, available)) = disk(&self.data_dir) {
            reading.set(Metric::DiskSize, size);
            reading.set(Metric::DiskAvailable, available);
        }
    }
}

fn disk(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some((stat.f_blocks.saturating_mul(stat.f_frsize), stat.f_bavail.saturating_mul(stat.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::group::Kept;
    use crate::node::group::tests::layout;

    #[test]
    fn a_root_group_that_counts_nothing_is_made_good_from_proc() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        std::fs::create_dir_all(proc.join("self/net")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(proc.join(name), text).unwrap();
        write("meminfo", "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 500 kB\nInactive(file): 200 kB\n");
        write("stat", "cpu  10 20 30 1000 50 1 2 3 4 5\ncpu0 1 1 1 1\n");
        write("loadavg", "0.10 0.20 0.30 2/345 678\n");
        write("vmstat", "pgfault 5\noom_kill 4\n");
        write("self/net/dev", "eth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n spab12: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n");
        let layout = layout(root.path(), &[("cpu memory pids", true)]);
        let group = Group::open(&layout, Path::new("/"), &Kept::default(), false);
        let host = Host { proc, data_dir: root.path().to_owned() };
        let reading = host.read(&group, &mut Vec::new());
        for (metric, wanted) in [
            (Metric::MemoryLimit, 1000 << 10),
            (Metric::MemoryUsage, 700 << 10),
            (Metric::MemoryWorkingSet, 500 << 10),
            (Metric::MemoryAvailable, 500 << 10),
            (Metric::CpuUsage, 660_000),
            (Metric::Threads, 345),
            (Metric::OomKills, 4),
            (Metric::NetworkReceived, 7),
            (Metric::NetworkSent, 8),
        ] {
            assert_eq!(reading.get(metric), Some(wanted), "{metric:?}");
        }
        assert!(reading.get(Metric::DiskSize) > reading.get(Metric::DiskAvailable));
    }
}
