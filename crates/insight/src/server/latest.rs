//! The latest window of every node: what `metrics.k8s.io` answers.
//!
//! Bound: two samples a node, `NODES_MAX` nodes; a node that has not been heard of for `STALE` has no metrics, as what
//! it last said is no longer so.

use crate::sample::{ContainerSample, NodeSample, PodSample};
use crate::{Metric, Reading};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

const NODES_MAX: usize = 10_000;
/// Three of the usual intervals and a little.
const STALE_MS: i64 = 35_000;
/// A window is at least so long: clocks that step would give any rate.
const WINDOW_MS_MIN: i64 = 500;

/// What is used, as the mean over a window that ends at `time_ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeUse {
    pub name: String,
    pub time_ms: i64,
    pub window_ms: u64,
    pub cpu_nano_cores: u64,
    pub memory_bytes: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PodUse {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub time_ms: i64,
    pub window_ms: u64,
    pub containers: Vec<ContainerUse>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ContainerUse {
    pub name: String,
    pub cpu_nano_cores: u64,
    pub memory_bytes: u64,
}

struct Window {
    /// By this server's clock, milliseconds since 1970.
    heard_ms: i64,
    now: Arc<NodeSample>,
    before: Option<Arc<NodeSample>>,
}

/// By the node's name.
#[derive(Default)]
pub struct Latest {
    nodes: RwLock<HashMap<String, Window>>,
}

impl Latest {
    /// Takes a sample over. One that is not newer than what is known is passed over: it came late.
    pub fn take(&self, sample: Arc<NodeSample>, now_ms: i64) {
        let mut nodes = self.nodes.write();
        if nodes.len() >= NODES_MAX && !nodes.contains_key(&sample.node) {
            nodes.retain(|_, window| now_ms - window.heard_ms < STALE_MS);
            if nodes.len() >= NODES_MAX {
                return tracing::warn!(node = sample.node, "too many nodes are measured: this one is left out");
            }
        }
        match nodes.get_mut(&sample.node) {
            Some(window) if window.now.time_ms >= sample.time_ms && now_ms - window.heard_ms < STALE_MS => {}
            Some(window) => {
                let before = std::mem::replace(&mut window.now, sample);
                window.before = (before.time_ms < window.now.time_ms).then_some(before);
                window.heard_ms = now_ms;
            }
            None => {
                let window = Window { heard_ms: now_ms, now: sample, before: None };
                nodes.insert(window.now.node.clone(), window);
            }
        }
    }

    /// Those of which a whole window is known, by name.
    pub fn nodes(&self, now_ms: i64) -> Vec<NodeUse> {
        let nodes = self.nodes.read();
        let mut uses: Vec<_> = nodes.values().filter_map(|window| window.span(now_ms)).filter_map(Span::node).collect();
        uses.sort_by(|one, other| one.name.cmp(&other.name));
        uses
    }

    pub fn node(&self, name: &str, now_ms: i64) -> Option<NodeUse> {
        self.nodes.read().get(name)?.span(now_ms)?.node()
    }

    /// Calls `each` with every pod of the namespace (of all, where it is empty) of which a whole window is known.
    pub fn pods(&self, namespace: &str, now_ms: i64, mut each: impl FnMut(PodUse)) {
        for window in self.nodes.read().values() {
            let Some(span) = window.span(now_ms) else { continue };
            let pods = span.now.pods.iter().enumerate();
            let wanted = pods.filter(|(_, pod)| namespace.is_empty() || pod.namespace == namespace);
            wanted.filter_map(|(place, pod)| span.pod(place, pod)).for_each(&mut each);
        }
    }
}

impl Window {
    fn span(&self, now_ms: i64) -> Option<Span<'_>> {
        let before = self.before.as_deref()?;
        let window_ms = self.now.time_ms - before.time_ms;
        let is_fresh = now_ms - self.heard_ms < STALE_MS;
        (is_fresh && window_ms >= WINDOW_MS_MIN).then_some(Span { now: &self.now, before, window_ms })
    }
}

/// Two samples and the time between them.
#[derive(Clone, Copy)]
struct Span<'a> {
    now: &'a NodeSample,
    before: &'a NodeSample,
    window_ms: i64,
}

impl Span<'_> {
    fn window_ms(self) -> u64 {
        self.window_ms.unsigned_abs()
    }

    /// `None` where the counter is missing or began anew.
    fn cpu(self, now: &Reading, before: &Reading) -> Option<u64> {
        let used_us = now.get(Metric::CpuUsage)?.checked_sub(before.get(Metric::CpuUsage)?)?;
        Some(used_us * 1_000_000 / self.window_ms())
    }

    fn node(self) -> Option<NodeUse> {
        Some(NodeUse {
            name: self.now.node.clone(),
            time_ms: self.now.time_ms,
            window_ms: self.window_ms(),
            cpu_nano_cores: self.cpu(&self.now.reading, &self.before.reading)?,
            memory_bytes: self.now.reading.get(Metric::MemoryWorkingSet)?,
        })
    }

    /// Absent unless every container that runs has a window: sums of a part would mislead an autoscaler.
    fn pod(self, place: usize, now: &PodSample) -> Option<PodUse> {
        // Nearly always where it was: a search of each would take squares of a node's pods.
        let hint = self.before.pods.get(place).filter(|pod| pod.uid == now.uid);
        let before = hint.or_else(|| self.before.pods.iter().find(|pod| pod.uid == now.uid))?;
        let containers: Option<Vec<_>> = now.containers.iter().map(|one| self.container(one, before)).collect();
        Some(PodUse {
            namespace: now.namespace.clone(),
            name: now.name.clone(),
            uid: now.uid.clone(),
            time_ms: self.now.time_ms,
            window_ms: self.window_ms(),
            containers: containers.filter(|containers| !containers.is_empty())?,
        })
    }

    fn container(self, now: &ContainerSample, before: &PodSample) -> Option<ContainerUse> {
        // Of the same instance: another's counters began anew.
        let before = before.containers.iter().find(|other| other.id == now.id)?;
        Some(ContainerUse {
            name: now.name.clone(),
            cpu_nano_cores: self.cpu(&now.reading, &before.reading)?,
            memory_bytes: now.reading.get(Metric::MemoryWorkingSet)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_ms: i64, cpu: u64, container: &str) -> Arc<NodeSample> {
        let mut reading = Reading::default();
        reading.set(Metric::CpuUsage, cpu);
        reading.set(Metric::MemoryWorkingSet, 4096);
        let container = ContainerSample { name: "a".into(), id: container.into(), reading, ..Default::default() };
        let pod = PodSample {
            namespace: "shop".into(),
            uid: "u1".into(),
            reading,
            containers: vec![container],
            ..PodSample::default()
        };
        Arc::new(NodeSample { node: "n1".into(), time_ms, reading, pods: vec![pod] })
    }

    fn pods(latest: &Latest, namespace: &str, now_ms: i64) -> Vec<PodUse> {
        let mut all = Vec::new();
        latest.pods(namespace, now_ms, |pod| all.push(pod));
        all
    }

    #[test]
    fn usage_is_the_mean_over_the_last_window() {
        let latest = Latest::default();
        latest.take(sample(1000, 5_000_000, "c1"), 0);
        assert_eq!(latest.nodes(0), [], "one sample has no window");
        latest.take(sample(11_000, 10_000_000, "c1"), 10_000);
        let node = latest.node("n1", 10_000).unwrap();
        assert_eq!((node.cpu_nano_cores, node.window_ms, node.memory_bytes), (500_000_000, 10_000, 4096));
        let pods = pods(&latest, "shop", 10_000);
        assert_eq!(pods[0].containers[0].cpu_nano_cores, 500_000_000);
        assert_eq!(latest.nodes(10_000).len(), 1);
    }

    #[test]
    fn what_is_stale_late_or_begun_anew_has_no_metrics() {
        let latest = Latest::default();
        latest.take(sample(1000, 5_000_000, "c1"), 0);
        latest.take(sample(11_000, 10_000_000, "c1"), 10_000);
        latest.take(sample(5_000, 1, "c1"), 11_000);
        assert!(latest.node("n1", 20_000).is_some(), "a late sample changes nothing");
        assert_eq!(pods(&latest, "other", 20_000), []);
        assert_eq!(latest.node("n1", 10_000 + STALE_MS), None);
        latest.take(sample(21_000, 20_000_000, "c2"), 20_000);
        assert_eq!(pods(&latest, "shop", 20_000), [], "another instance");
        assert!(latest.node("n1", 20_000).is_some());
    }
}
