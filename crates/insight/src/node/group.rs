//! The counters of one control group, on v1, v2, or v1 with a v2 tree beside it: each controller is where it is.
//!
//! Files stay open between samples, which makes a read of most a microsecond instead of six. The kernel keeps a page
//! for each, so only `KEPT_MAX` stay open at one time; beyond that a file is opened for each read.

use super::text::{fields, number};
use crate::{Metric, Reading};
use kernel::cgroup::Layout;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that all groups together keep open: some 10 MiB of the kernel's memory.
const KEPT_MAX: usize = 2048;
/// The longest of the files is `memory.stat`, which has some 2 KiB.
pub(super) const READ_BYTES_MAX: usize = 8 << 10;
/// A v1 group without a limit shows the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;

/// How many files are kept open, by everybody.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<AtomicUsize>);

impl Kept {
    fn take(&self) -> bool {
        let room = |kept: usize| (kept < KEPT_MAX).then_some(kept + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    CpuNanoseconds,
    CpuStatV1,
    CpuStatV2,
    MemoryUsage,
    MemoryStatV1,
    MemoryStatV2,
    Swap,
    MemoryMax,
    OomKills,
    Threads,
    /// Whom it counts: some, all.
    Pressure(Metric, Metric),
}

/// Controller, whether in the v2 tree, file, and what it says. A file that a kernel lacks is passed over.
const FILES: &[(&str, bool, &str, Content)] = &[
    ("cpuacct", false, "cpuacct.usage", Content::CpuNanoseconds),
    ("cpu", false, "cpu.stat", Content::CpuStatV1),
    ("cpu", true, "cpu.stat", Content::CpuStatV2),
    ("memory", false, "memory.usage_in_bytes", Content::MemoryUsage),
    ("memory", true, "memory.current", Content::MemoryUsage),
    ("memory", false, "memory.stat", Content::MemoryStatV1),
    ("memory", true, "memory.stat", Content::MemoryStatV2),
    ("memory", true, "memory.swap.current", Content::Swap),
    ("memory", true, "memory.max", Content::MemoryMax),
    ("memory", false, "memory.oom_control", Content::OomKills),
    ("memory", true, "memory.events", Content::OomKills),
    ("pids", false, "pids.current", Content::Threads),
    ("pids", true, "pids.current", Content::Threads),
    ("cpu", true, "cpu.pressure", Content::Pressure(Metric::CpuWaiting, Metric::CpuStalled)),
    ("memory", true, "memory.pressure", Content::Pressure(Metric::MemoryWaiting, Metric::MemoryStalled)),
    ("io", true, "io.pressure", Content::Pressure(Metric::IoWaiting, Metric::IoStalled)),
];

/// A file, and its descriptor while it is kept open.
struct Source {
    path: PathBuf,
    kept: Option<(File, Kept)>,
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some((_, kept)) = &self.kept {
            kept.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Source {
    fn open(path: PathBuf, kept: &Kept) -> Option<Source> {
        let file = File::open(&path).ok()?;
        let kept = kept.take().then(|| (file, kept.clone()));
        Some(Source { path, kept })
    }

    /// What it says now; `None` when the group has ended.
    fn read<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let length = match &self.kept {
            Some((file, _)) => file.read_at(buffer, 0),
            None => File::open(&self.path).and_then(|file| file.read_at(buffer, 0)),
        };
        length.ok().map(|length| &buffer[..length])
    }
}

pub(super) struct Group {
    files: Vec<(Content, Source)>,
    /// `cgroup.procs`.
    processes: Option<Source>,
}

impl Group {
    /// The group at `path` in `layout`'s hierarchies; empty where it does not exist.
    pub(super) fn open(layout: &Layout, path: &Path, kept: &Kept, with_processes: bool) -> Group {
        let mut files = Vec::with_capacity(8);
        for (controller, unified, name, content) in FILES {
            let hierarchy = layout.with(controller).filter(|hierarchy| hierarchy.unified == *unified);
            let source = hierarchy.and_then(|own| Source::open(own.directory(path).join(name), kept));
            files.extend(source.map(|source| (*content, source)));
        }
        let with_pids = || layout.with("pids").or_else(|| layout.unified());
        let processes = with_processes.then(with_pids).flatten();
        let processes = processes.and_then(|own| Source::open(own.directory(path).join("cgroup.procs"), kept));
        Group { files, processes }
    }

    /// Whether there was no such group.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A process of the group and how many there are, as far as that is known: of more than `buffer` holds, some
    /// thousand, it is not. `None` where it has none.
    pub(super) fn processes(&self, buffer: &mut [u8]) -> Option<(u64, Option<u64>)> {
        let text = self.processes.as_ref()?.read(buffer)?;
        let whole = text.ends_with(b"\n") && text.len() < READ_BYTES_MAX;
        let count = whole.then(|| text.iter().filter(|byte| **byte == b'\n').count() as u64);
        Some((number(text)?, count))
    }

    /// Everything that it counts; `None` when it has ended, or was never there. `buffer` has `READ_BYTES_MAX`.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<Reading> {
        let mut reading = Reading::default();
        let mut inactive_file = 0;
        for (content, source) in &self.files {
            let text = match (source.read(buffer), content) {
                (Some(text), _) => text,
                // The kernel can be told to count no more.
                (None, Content::Pressure(..)) => continue,
                (None, _) => return None,
            };
            inactive_file += take(*content, text, &mut reading);
        }
        if let Some(usage) = reading.get(Metric::MemoryUsage) {
            reading.set(Metric::MemoryWorkingSet, usage.saturating_sub(inactive_file));
        }
        (!reading.is_empty()).then_some(reading)
    }
}

/// Takes over what a file says; answers the page cache that could be dropped at once.
fn take(content: Content, text: &[u8], reading: &mut Reading) -> u64 {
    let mut inactive_file = 0;
    let mut whole = |metric: Metric, divisor: u64| {
        if let Some(amount) = number(text) {
            reading.set(metric, amount / divisor);
        }
    };
    match content {
        Content::CpuNanoseconds => whole(Metric::CpuUsage, 1000),
        Content::MemoryUsage => whole(Metric::MemoryUsage, 1),
        Content::Swap => whole(Metric::MemorySwap, 1),
        Content::Threads => whole(Metric::Threads, 1),
        Content::MemoryMax => reading.set(Metric::MemoryLimit, number(text).unwrap_or(0)),
        Content::CpuStatV1 | Content::CpuStatV2 => fields(text, |name, value| match name {
            b"usage_usec" => reading.set(Metric::CpuUsage, value),
            b"nr_periods" => reading.set(Metric::CpuPeriods, value),
            b"nr_throttled" => reading.set(Metric::CpuThrottledPeriods, value),
            b"throttled_usec" => reading.set(Metric::CpuThrottled, value),
            b"throttled_time" => reading.set(Metric::CpuThrottled, value / 1000),
            _ => {}
        }),
        Content::MemoryStatV1 => fields(text, |name, value| match name {
            b"total_rss" => reading.set(Metric::MemoryRss, value),
            b"total_swap" => reading.set(Metric::MemorySwap, value),
            b"total_inactive_file" => inactive_file = value,
            b"hierarchical_memory_limit" => {
                reading.set(Metric::MemoryLimit, if value < NO_LIMIT { value } else { 0 });
            }
            _ => {}
        }),
        Content::MemoryStatV2 => fields(text, |name, value| match name {
            b"anon" => reading.set(Metric::MemoryRss, value),
            b"inactive_file" => inactive_file = value,
            _ => {}
        }),
        Content::OomKills => fields(text, |name, value| {
            if name == b"oom_kill" {
                reading.set(Metric::OomKills, value);
            }
        }),
        Content::Pressure(some, all) => {
            for (line, metric) in [(&b"some "[..], some), (b"full ", all)] {
                if let Some(total) = total(text, line) {
                    reading.set(metric, total);
                }
            }
        }
    }
    inactive_file
}

/// The microseconds at the end of a line such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=17`.
fn total(text: &[u8], line: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"total=";
    let line = text.split(|byte| *byte == b'\n').find(|own| own.starts_with(line))?;
    let at = line.windows(NAME.len()).position(|part| part == NAME)?;
    number(&line[at + NAME.len()..])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use kernel::cgroup::Hierarchy;

    /// Controllers, whether in the v2 tree, and the folder of files that stands for the mount.
    pub(in crate::node) fn layout(root: &Path, hierarchies: &[(&str, bool)]) -> Layout {
        let of = |(controllers, unified): &(&str, bool)| Hierarchy {
            mount: root.join(if *unified { "unified" } else { controllers }),
            controllers: controllers.split(' ').map(str::to_owned).collect(),
            unified: *unified,
        };
        Layout { hierarchies: hierarchies.iter().map(of).collect() }
    }

    pub(in crate::node) fn write(root: &Path, group: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            let (hierarchy, name) = name.split_once('/').unwrap();
            let directory = root.join(hierarchy).join(group);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(name), text).unwrap();
        }
    }

    pub(in crate::node) const V1: &[(&str, bool)] =
        &[("cpu", false), ("cpuacct", false), ("memory", false), ("pids", false), ("hugetlb", true)];

    pub(in crate::node) const V1_FILES: &[(&str, &str)] = &[
        ("cpuacct/cpuacct.usage", "5000000000\n"),
        ("cpu/cpu.stat", "nr_periods 100\nnr_throttled 7\nthrottled_time 2500000\nnr_bursts 0\n"),
        ("memory/memory.usage_in_bytes", "9000000\n"),
        (
            "memory/memory.stat",
            "cache 1\nrss 5\nhierarchical_memory_limit 9223372036854771712\ntotal_rss 4000000\ntotal_swap 3\n\
             total_inactive_file 1000000\n",
        ),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ("pids/pids.current", "11\n"),
        ("pids/cgroup.procs", "4711\n4712\n"),
    ];

    fn check(hierarchies: &[(&str, bool)], files: &[(&str, &str)], wanted: &[(Metric, u64)]) {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "kubepods/pod1", files);
        let layout = layout(root.path(), hierarchies);
        let group = Group::open(&layout, Path::new("/kubepods/pod1"), &Kept::default(), true);
        let reading = group.read(&mut [0; READ_BYTES_MAX]).unwrap();
        for (metric, amount) in wanted {
            assert_eq!(reading.get(*metric), Some(*amount), "{metric:?}");
        }
        assert_eq!(reading.mask().count_ones() as usize, wanted.len());
        assert_eq!(group.processes(&mut [0; READ_BYTES_MAX]), Some((4711, Some(2))));
    }

    #[test]
    fn v1_counts_are_read() {
        let wanted = [
            (Metric::CpuUsage, 5_000_000),
            (Metric::CpuPeriods, 100),
            (Metric::CpuThrottledPeriods, 7),
            (Metric::CpuThrottled, 2_500),
            (Metric::MemoryUsage, 9_000_000),
            (Metric::MemoryWorkingSet, 8_000_000),
            (Metric::MemoryRss, 4_000_000),
            (Metric::MemorySwap, 3),
            (Metric::MemoryLimit, 0),
            (Metric::OomKills, 2),
            (Metric::Threads, 11),
        ];
        check(V1, V1_FILES, &wanted);
    }

    #[test]
    fn v2_counts_are_read() {
        let files = [
            (
                "unified/cpu.stat",
                "usage_usec 5000000\nuser_usec 1\nsystem_usec 2\nnr_periods 100\nnr_throttled 7\nthrottled_usec 2500\n",
            ),
            ("unified/memory.current", "9000000\n"),
            ("unified/memory.stat", "anon 4000000\nfile 2\ninactive_file 1000000\nactive_file 5\n"),
            ("unified/memory.swap.current", "3\n"),
            ("unified/memory.max", "max\n"),
            ("unified/memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\noom_group_kill 0\n"),
            ("unified/pids.current", "11\n"),
            ("unified/cgroup.procs", "4711\n4712\n"),
            (
                "unified/cpu.pressure",
                "some avg10=1.00 avg60=0.50 avg300=0.10 total=170\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=16\n",
            ),
            // Kernels before 5.13 say of processors only this.
            ("unified/io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"),
        ];
        let wanted = [
            (Metric::CpuUsage, 5_000_000),
            (Metric::CpuPeriods, 100),
            (Metric::CpuThrottledPeriods, 7),
            (Metric::CpuThrottled, 2_500),
            (Metric::MemoryUsage, 9_000_000),
            (Metric::MemoryWorkingSet, 8_000_000),
            (Metric::MemoryRss, 4_000_000),
            (Metric::MemorySwap, 3),
            (Metric::MemoryLimit, 0),
            (Metric::OomKills, 2),
            (Metric::Threads, 11),
            (Metric::CpuWaiting, 170),
            (Metric::CpuStalled, 16),
            (Metric::IoWaiting, 5),
        ];
        check(&[("cpu io memory pids", true)], &files, &wanted);
    }

    #[test]
    fn a_group_that_is_gone_has_no_reading() {
        let root = tempfile::tempdir().unwrap();
        let layout = layout(root.path(), V1);
        assert_eq!(Group::open(&layout, Path::new("/x"), &Kept::default(), true).read(&mut [0; READ_BYTES_MAX]), None);
    }

    #[test]
    fn files_beyond_the_bound_are_opened_for_each_read() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "g", V1_FILES);
        let layout = layout(root.path(), V1);
        let kept = Kept::default();
        kept.0.store(KEPT_MAX - 3, Ordering::Relaxed);
        let group = Group::open(&layout, Path::new("/g"), &kept, true);
        assert_eq!(group.files.iter().filter(|(_, source)| source.kept.is_some()).count(), 3);
        assert_eq!(group.read(&mut [0; READ_BYTES_MAX]).and_then(|reading| reading.get(Metric::Threads)), Some(11));
        drop(group);
        assert_eq!(kept.0.load(Ordering::Relaxed), KEPT_MAX - 3);
    }
}
