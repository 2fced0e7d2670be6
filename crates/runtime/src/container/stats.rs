//! What containers and sandboxes use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cri::v1;
use kernel::cgroup::{Cgroup, Stats};
use tonic::Status;

use super::{internal, matches_labels};
use crate::embedded::Parts;
use crate::record::{ContainerRecord, now_ns};
use crate::sandbox::cgroup_parent;
use crate::table::{Container, Sandbox};

fn number(value: u64) -> Option<v1::UInt64Value> {
    Some(v1::UInt64Value { value })
}

fn cpu(stats: &Stats, timestamp: i64) -> v1::CpuUsage {
    v1::CpuUsage { timestamp, usage_core_nano_seconds: number(stats.cpu_usage_ns), usage_nano_cores: None }
}

fn memory(stats: &Stats, timestamp: i64) -> v1::MemoryUsage {
    let available = stats.memory_bytes_max.map(|max| max.saturating_sub(stats.working_set_bytes));
    v1::MemoryUsage {
        timestamp,
        working_set_bytes: number(stats.working_set_bytes),
        available_bytes: available.and_then(number),
        usage_bytes: number(stats.memory_bytes),
        rss_bytes: number(stats.rss_bytes),
        page_faults: number(stats.page_faults),
        major_page_faults: number(stats.major_page_faults),
    }
}

impl Parts {
    /// Answers ContainerStats.
    pub(crate) async fn container_stats(&self, id: &str) -> Result<v1::ContainerStats, Status> {
        let container = self.container(id)?;
        let mut stats = self.measure(vec![container]).await?;
        stats.pop().ok_or_else(|| Status::not_found(format!("container {id:?} not found")))
    }

    /// Answers ListContainerStats.
    pub(crate) async fn list_container_stats(
        &self,
        filter: &v1::ContainerStatsFilter,
    ) -> Result<Vec<v1::ContainerStats>, Status> {
        let wanted = |container: &Arc<Container>| {
            let record = &container.record;
            record.id.starts_with(&filter.id)
                && record.sandbox.starts_with(&filter.pod_sandbox_id)
                && matches_labels(&record.config.0.labels, &filter.label_selector)
        };
        self.measure(self.table.containers().into_iter().filter(wanted).collect()).await
    }

    /// Answers PodSandboxStats.
    pub(crate) async fn sandbox_stats(&self, id: &str) -> Result<v1::PodSandboxStats, Status> {
        let sandbox = self.sandbox(id)?;
        self.measure_sandbox(&sandbox).await
    }

    /// Answers ListPodSandboxStats.
    pub(crate) async fn list_sandbox_stats(
        &self,
        filter: &v1::PodSandboxStatsFilter,
    ) -> Result<Vec<v1::PodSandboxStats>, Status> {
        let mut all = Vec::new();
        for sandbox in self.table.sandboxes() {
            let labels = &sandbox.record.config.0.labels;
            if sandbox.record.id.starts_with(&filter.id) && matches_labels(labels, &filter.label_selector) {
                all.push(self.measure_sandbox(&sandbox).await?);
            }
        }
        Ok(all)
    }

    async fn measure_sandbox(&self, sandbox: &Sandbox) -> Result<v1::PodSandboxStats, Status> {
        let config = &sandbox.record.config.0;
        let containers = self.measure(self.table.containers_of(&sandbox.record.id)).await?;
        let group = match cgroup_parent(config) {
            Some(parent) => Cgroup::at(parent).map_err(|error| internal("use the cgroup parent", error))?,
            None => self.shims.clone(),
        };
        let (stats, timestamp) = (group.stats(), now_ns());
        let network = sandbox.network.clone().map(|namespace| {
            use std::os::fd::AsRawFd;
            PathBuf::from(format!("/proc/self/fd/{}", namespace.as_raw_fd()))
        });
        let network = match network {
            Some(path) => Some(network_usage(path).await?),
            None => None,
        };
        Ok(v1::PodSandboxStats {
            attributes: Some(v1::PodSandboxAttributes {
                id: sandbox.record.id.clone(),
                metadata: config.metadata.clone(),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
            }),
            linux: Some(v1::LinuxPodSandboxStats {
                cpu: Some(cpu(&stats, timestamp)),
                memory: Some(memory(&stats, timestamp)),
                network,
                process: Some(v1::ProcessUsage { timestamp, process_count: number(stats.pids) }),
                containers,
            }),
            windows: None,
        })
    }

    async fn measure(&self, containers: Vec<Arc<Container>>) -> Result<Vec<v1::ContainerStats>, Status> {
        let directories: Vec<PathBuf> =
            containers.iter().map(|container| self.container_directory(&container.record.id)).collect();
        let measured = tokio::task::spawn_blocking(move || {
            containers
                .iter()
                .zip(&directories)
                .map(|(container, directory)| one(&container.record, directory))
                .collect()
        });
        measured.await.map_err(|error| internal("measure containers", error))
    }
}

fn one(record: &ContainerRecord, directory: &Path) -> v1::ContainerStats {
    // Its path was checked when it was made; a group that is gone uses nothing.
    let stats = Cgroup::at(&record.cgroup).map(|group| group.stats()).unwrap_or_default();
    let timestamp = now_ns();
    let (bytes, inodes) = disk_usage(&directory.join("upper"));
    let config = &record.config.0;
    v1::ContainerStats {
        attributes: Some(v1::ContainerAttributes {
            id: record.id.clone(),
            metadata: config.metadata.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        }),
        cpu: Some(cpu(&stats, timestamp)),
        memory: Some(memory(&stats, timestamp)),
        writable_layer: Some(v1::FilesystemUsage {
            timestamp,
            fs_id: Some(v1::FilesystemIdentifier { mountpoint: directory.to_string_lossy().into_owned() }),
            used_bytes: number(bytes),
            inodes_used: number(inodes),
        }),
        swap: Some(v1::SwapUsage { timestamp, swap_available_bytes: None, swap_usage_bytes: number(stats.swap_bytes) }),
    }
}

/// Bytes and inodes below a directory. What vanishes meanwhile counts for nothing.
fn disk_usage(directory: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(directory) else { return (0, 0) };
    let mut total = (0, 0);
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        total = (total.0 + metadata.blocks() * 512, total.1 + 1);
        if metadata.is_dir() {
            let below = disk_usage(&entry.path());
            total = (total.0 + below.0, total.1 + below.1);
        }
    }
    total
}

async fn network_usage(namespace: PathBuf) -> Result<v1::NetworkUsage, Status> {
    let read = move || kernel::netns::in_netns(&namespace, || std::fs::read_to_string("/proc/thread-self/net/dev"));
    let failed = |error: &dyn std::fmt::Display| internal("measure the pod's network", error);
    let text = tokio::task::spawn_blocking(read).await.map_err(|error| failed(&error))?;
    let text = text.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let mut interfaces: Vec<_> = text.lines().skip(2).filter_map(interface).collect();
    interfaces.retain(|interface| interface.name != "lo");
    let first = interfaces.iter().position(|interface| interface.name == "eth0");
    let default_interface = first.map(|at| interfaces.remove(at));
    Ok(v1::NetworkUsage { timestamp: now_ns(), default_interface, interfaces })
}

/// A line of `/proc/net/dev`: name, then 8 counters received and 8 sent.
fn interface(line: &str) -> Option<v1::NetworkInterfaceUsage> {
    let (name, counters) = line.split_once(':')?;
    let counters: Vec<u64> = counters.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let at = |index: usize| counters.get(index).copied().and_then(number);
    Some(v1::NetworkInterfaceUsage {
        name: name.trim().to_owned(),
        rx_bytes: at(0),
        rx_errors: at(2),
        tx_bytes: at(8),
        tx_errors: at(10),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_counters_are_read() {
        let usage = interface("  eth0:  10 1 2 3 0 0 0 0   20 2 4 0 0 0 0 0").unwrap();
        assert_eq!((usage.name.as_str(), usage.rx_bytes, usage.rx_errors), ("eth0", number(10), number(2)));
        assert_eq!((usage.tx_bytes, usage.tx_errors), (number(20), number(4)));
    }
}
