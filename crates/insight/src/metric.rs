//! What is measured: one row per amount, with its unit and its names.
//!
//! Invariant: the numbers of `Metric` are written to disk and sent between versions: they are never given anew.

/// An amount that a container, a pod or a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Metric {
    CpuUsage = 0,
    CpuThrottled = 1,
    CpuPeriods = 2,
    CpuThrottledPeriods = 3,
    MemoryUsage = 4,
    MemoryWorkingSet = 5,
    MemoryRss = 6,
    MemorySwap = 7,
    MemoryLimit = 8,
    OomKills = 9,
    Threads = 10,
    Restarts = 11,
    NetworkReceived = 12,
    NetworkSent = 13,
    PacketsReceived = 14,
    PacketsSent = 15,
    ReceiveErrors = 16,
    SendErrors = 17,
    ReceiveDropped = 18,
    SendDropped = 19,
    DiskUsage = 20,
    DiskSize = 21,
    DiskAvailable = 22,
    MemoryAvailable = 23,
    Processes = 24,
    /// Of the layer that a container writes to, its volumes and its log left out.
    LayerUsage = 25,
    /// Some of it waited for a processor, for its limit too. Pressure is counted on v2 only.
    CpuWaiting = 26,
    /// All of it did.
    CpuStalled = 27,
    MemoryWaiting = 28,
    MemoryStalled = 29,
    IoWaiting = 30,
    IoStalled = 31,
}

/// How many there can be in one reading.
pub const METRICS_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, and begins anew with what it is of.
    Counter,
    Gauge,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// Whose amounts a series has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Container,
    Pod,
    Node,
}

/// One row: names are upstream's (cAdvisor's, the kubelet's, kube-state-metrics' and the node exporter's).
#[derive(Debug)]
pub struct About {
    pub metric: Metric,
    pub kind: Kind,
    /// How many of the stored unit are one of the shown: stored processor time is in microseconds.
    pub divisor: u32,
    pub help: &'static str,
    /// Of containers and pods; empty where they have none.
    pub name: &'static str,
    pub scopes: &'static [Scope],
    /// Of nodes; empty where they have none.
    pub node_name: &'static str,
}

const BOTH: &[Scope] = &[Scope::Container, Scope::Pod];
const CONTAINER: &[Scope] = &[Scope::Container];
const POD: &[Scope] = &[Scope::Pod];
const NONE: &[Scope] = &[];
const MICROSECONDS: u32 = 1_000_000;

const fn row(
    metric: Metric,
    kind: Kind,
    divisor: u32,
    scopes: &'static [Scope],
    name: &'static str,
    node_name: &'static str,
    help: &'static str,
) -> About {
    About { metric, kind, divisor, help, name, scopes, node_name }
}

/// In the order of their numbers.
#[rustfmt::skip]
pub static METRICS: [About; METRICS_MAX] = [
    row(Metric::CpuUsage, Kind::Counter, MICROSECONDS, BOTH, "container_cpu_usage_seconds_total", "node_cpu_usage_seconds_total", "Processor time that was used, in seconds."),
    row(Metric::CpuThrottled, Kind::Counter, MICROSECONDS, BOTH, "container_cpu_cfs_throttled_seconds_total", "", "How long it was kept from running by its processor limit."),
    row(Metric::CpuPeriods, Kind::Counter, 1, BOTH, "container_cpu_cfs_periods_total", "", "Periods of the processor limit that have passed."),
    row(Metric::CpuThrottledPeriods, Kind::Counter, 1, BOTH, "container_cpu_cfs_throttled_periods_total", "", "Periods in which the processor limit was reached."),
    row(Metric::MemoryUsage, Kind::Gauge, 1, BOTH, "container_memory_usage_bytes", "node_memory_usage_bytes", "Memory in use, page cache included."),
    row(Metric::MemoryWorkingSet, Kind::Gauge, 1, BOTH, "container_memory_working_set_bytes", "node_memory_working_set_bytes", "Memory in use without what the kernel could drop at once."),
    row(Metric::MemoryRss, Kind::Gauge, 1, BOTH, "container_memory_rss", "node_memory_rss_bytes", "Anonymous memory."),
    row(Metric::MemorySwap, Kind::Gauge, 1, BOTH, "container_memory_swap", "node_memory_swap_bytes", "Swap in use."),
    row(Metric::MemoryLimit, Kind::Gauge, 1, BOTH, "container_spec_memory_limit_bytes", "node_memory_MemTotal_bytes", "The memory that it may use; 0 where there is no limit."),
    row(Metric::OomKills, Kind::Counter, 1, BOTH, "container_oom_events_total", "node_vmstat_oom_kill", "Processes that the kernel killed for want of memory."),
    row(Metric::Threads, Kind::Gauge, 1, BOTH, "container_threads", "node_processes_threads", "Processes and threads."),
    row(Metric::Restarts, Kind::Counter, 1, CONTAINER, "kube_pod_container_status_restarts_total", "", "How often it was started anew."),
    row(Metric::NetworkReceived, Kind::Counter, 1, POD, "container_network_receive_bytes_total", "node_network_receive_bytes_total", "Bytes received."),
    row(Metric::NetworkSent, Kind::Counter, 1, POD, "container_network_transmit_bytes_total", "node_network_transmit_bytes_total", "Bytes sent."),
    row(Metric::PacketsReceived, Kind::Counter, 1, POD, "container_network_receive_packets_total", "node_network_receive_packets_total", "Packets received."),
    row(Metric::PacketsSent, Kind::Counter, 1, POD, "container_network_transmit_packets_total", "node_network_transmit_packets_total", "Packets sent."),
    row(Metric::ReceiveErrors, Kind::Counter, 1, POD, "container_network_receive_errors_total", "node_network_receive_errs_total", "Errors in receiving."),
    row(Metric::SendErrors, Kind::Counter, 1, POD, "container_network_transmit_errors_total", "node_network_transmit_errs_total", "Errors in sending."),
    row(Metric::ReceiveDropped, Kind::Counter, 1, POD, "container_network_receive_packets_dropped_total", "node_network_receive_drop_total", "Packets dropped in receiving."),
    row(Metric::SendDropped, Kind::Counter, 1, POD, "container_network_transmit_packets_dropped_total", "node_network_transmit_drop_total", "Packets dropped in sending."),
    row(Metric::DiskUsage, Kind::Gauge, 1, CONTAINER, "container_log_filesystem_used_bytes", "", "Bytes of its log."),
    row(Metric::DiskSize, Kind::Gauge, 1, NONE, "", "node_filesystem_size_bytes", "Size of the file system that pods are kept on."),
    row(Metric::DiskAvailable, Kind::Gauge, 1, NONE, "", "node_filesystem_avail_bytes", "Room on the file system that pods are kept on."),
    row(Metric::MemoryAvailable, Kind::Gauge, 1, NONE, "", "node_memory_MemAvailable_bytes", "Memory that is to be had without swapping."),
    row(Metric::Processes, Kind::Gauge, 1, BOTH, "container_processes", "", "Processes."),
    row(Metric::LayerUsage, Kind::Gauge, 1, CONTAINER, "container_fs_usage_bytes", "", "Bytes that it keeps on its writable layer."),
    row(Metric::CpuWaiting, Kind::Counter, MICROSECONDS, BOTH, "container_pressure_cpu_waiting_seconds_total", "node_pressure_cpu_waiting_seconds_total", "How long some of its processes waited for a processor."),
    row(Metric::CpuStalled, Kind::Counter, MICROSECONDS, BOTH, "container_pressure_cpu_stalled_seconds_total", "", "How long none of its processes had a processor, though some wanted one."),
    row(Metric::MemoryWaiting, Kind::Counter, MICROSECONDS, BOTH, "container_pressure_memory_waiting_seconds_total", "node_pressure_memory_waiting_seconds_total", "How long some of its processes waited for memory."),
    row(Metric::MemoryStalled, Kind::Counter, MICROSECONDS, BOTH, "container_pressure_memory_stalled_seconds_total", "node_pressure_memory_stalled_seconds_total", "How long none of its processes went on, for want of memory."),
    row(Metric::IoWaiting, Kind::Counter, MICROSECONDS, BOTH, "container_pressure_io_waiting_seconds_total", "node_pressure_io_waiting_seconds_total", "How long some of its processes waited for a device."),
    row(Metric::IoStalled, Kind::Counter, MICROSECONDS, BOTH, "container_pressure_io_stalled_seconds_total", "node_pressure_io_stalled_seconds_total", "How long none of its processes went on, for want of a device."),
];

impl Metric {
    pub fn about(self) -> &'static About {
        &METRICS[self as usize]
    }
}

impl About {
    /// Its name in that scope; `None` where it has none there.
    pub fn name_in(&self, scope: Scope) -> Option<&'static str> {
        match scope {
            Scope::Node => (!self.node_name.is_empty()).then_some(self.node_name),
            other => self.scopes.contains(&other).then_some(self.name),
        }
    }

    /// A stored amount in the unit that is shown.
    pub fn shown(&self, stored: u64) -> f64 {
        stored as f64 / f64::from(self.divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rows_stand_at_their_numbers_under_names_of_their_own() {
        let mut names = HashSet::new();
        for (number, about) in METRICS.iter().enumerate() {
            assert_eq!(about.metric as usize, number);
            assert_eq!(about.name.is_empty(), about.scopes.is_empty(), "{about:?}");
            for name in [about.name, about.node_name].into_iter().filter(|name| !name.is_empty()) {
                assert!(names.insert(name), "{name} twice");
            }
        }
    }
}
