//! What a group uses.

use super::Cgroup;

/// Usage of a group; zero where the machine does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time in nanoseconds since the group was made.
    pub cpu_usage_ns: u64,
    /// Memory in use, page cache included.
    pub memory_bytes: u64,
    /// Memory without the cache that the kernel could drop at once: what eviction and `top` look at.
    pub working_set_bytes: u64,
    /// Anonymous memory.
    pub rss_bytes: u64,
    /// Swap in use.
    pub swap_bytes: u64,
    /// The memory limit; `None` when there is none.
    pub memory_bytes_max: Option<u64>,
    /// Page faults.
    pub page_faults: u64,
    /// Page faults that had to read from disk.
    pub major_page_faults: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Processes killed for want of memory.
    pub oom_kills: u64,
}

/// A v1 group without a limit shows the largest multiple of a page.
const NO_LIMIT_V1: u64 = 1 << 62;

impl Cgroup {
    /// Reads all counters. A group that is gone reads as zero.
    pub fn stats(&self) -> Stats {
        let v2 = self.layout.with("memory").is_some_and(|hierarchy| hierarchy.unified);
        let mut stats = if v2 { self.memory_v2() } else { self.memory_v1() };
        stats.cpu_usage_ns = match self.layout.with("cpuacct") {
            Some(_) => self.number("cpuacct", "cpuacct.usage"),
            None => field(&self.text("cpu", "cpu.stat"), "usage_usec") * 1000,
        };
        stats.pids = self.number("pids", "pids.current");
        stats.oom_kills = self.oom_kills();
        stats
    }

    /// How many of its processes the kernel killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let text = self.oom_file().and_then(|file| std::fs::read_to_string(file).ok());
        text.map_or(0, |text| field(&text, "oom_kill"))
    }

    fn memory_v1(&self) -> Stats {
        let text = self.text("memory", "memory.stat");
        let usage = self.number("memory", "memory.usage_in_bytes");
        let both = self.number("memory", "memory.memsw.usage_in_bytes");
        let limit = self.number("memory", "memory.limit_in_bytes");
        Stats {
            memory_bytes: usage,
            working_set_bytes: usage.saturating_sub(field(&text, "total_inactive_file")),
            rss_bytes: field(&text, "total_rss"),
            swap_bytes: both.saturating_sub(usage),
            memory_bytes_max: (limit > 0 && limit < NO_LIMIT_V1).then_some(limit),
            page_faults: field(&text, "total_pgfault"),
            major_page_faults: field(&text, "total_pgmajfault"),
            ..Stats::default()
        }
    }

    fn memory_v2(&self) -> Stats {
        let text = self.text("memory", "memory.stat");
        let usage = self.number("memory", "memory.current");
        Stats {
            memory_bytes: usage,
            working_set_bytes: usage.saturating_sub(field(&text, "inactive_file")),
            rss_bytes: field(&text, "anon"),
            swap_bytes: self.number("memory", "memory.swap.current"),
            memory_bytes_max: self.text("memory", "memory.max").trim().parse().ok(),
            page_faults: field(&text, "pgfault"),
            major_page_faults: field(&text, "pgmajfault"),
            ..Stats::default()
        }
    }

    fn number(&self, controller: &str, name: &str) -> u64 {
        self.text(controller, name).trim().parse().unwrap_or_default()
    }

    /// Empty when there is no such file: a counter that this kernel lacks, or a group that ended meanwhile.
    fn text(&self, controller: &str, name: &str) -> String {
        self.file(controller, name).and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
    }
}

/// The number after `name ` at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}
