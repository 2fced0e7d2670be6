//! What a kubelet answers of usage, under upstream's names.

mod cadvisor;
mod resource;
mod summary;

pub(super) use cadvisor::page as cadvisor;
pub(super) use resource::page as resource;
pub(super) use summary::page as summary;

#[cfg(test)]
mod tests {
    use crate::node::{PodTarget, Published};
    use crate::sample::{ContainerSample, NodeSample, PodSample};
    use crate::{Metric, Reading};
    use std::sync::Arc;

    fn reading(amounts: &[(Metric, u64)]) -> Reading {
        amounts.iter().copied().collect()
    }

    /// Of a node with one pod, which used half a processor since the sample before.
    pub(super) fn published() -> Published {
        let at = |time_ms: i64, cpu: u64| {
            let used = [(Metric::CpuUsage, cpu), (Metric::MemoryUsage, 3000), (Metric::MemoryWorkingSet, 2000)];
            let network = [(Metric::NetworkReceived, 70), (Metric::NetworkSent, 80)];
            let processes = [(Metric::Threads, 50), (Metric::Processes, 3)];
            let container = ContainerSample {
                name: "web".into(),
                id: "c1".into(),
                image: "busybox:1".into(),
                started_ms: 1_600_000_000_000,
                reading: reading(&[used.as_slice(), &[(Metric::DiskUsage, 99), (Metric::LayerUsage, 4096)]].concat()),
            };
            let pod = PodSample {
                namespace: "shop".into(),
                name: "web-0".into(),
                uid: "u1".into(),
                started_ms: 1_600_000_000_000,
                reading: reading(&[used.as_slice(), &network, &processes].concat()),
                containers: vec![container],
            };
            let node = reading(&[used.as_slice(), &[(Metric::MemoryLimit, 1 << 30)]].concat());
            Arc::new(NodeSample { node: "n1".into(), time_ms, reading: node, pods: vec![pod] })
        };
        let target = PodTarget { uid: "u1".into(), cgroup: "/kubepods/podu1".into(), ..PodTarget::default() };
        Published {
            targets: Arc::new(vec![target]),
            sample: at(1_700_000_010_000, 7_500_000),
            before: Some(at(1_700_000_000_000, 2_500_000)),
        }
    }
}
