//! A node and what its pods take of it, kept up to date pod by pod.

use crate::pod::{HostPort, Key, PodInfo};
use crate::resources::Resources;
use k8s_openapi::api::core::v1::{Node, Taint};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Debug)]
pub struct NodeInfo {
    pub name: Arc<str>,
    pub node: Arc<Node>,
    pub allocatable: Resources,
    pub pods_max: i64,
    pub requested: Resources,
    /// CPU in thousandths and memory in bytes of its pods, as nodes are compared by.
    pub assumed: (i64, i64),
    pub pods: HashMap<Key, Arc<PodInfo>>,
    pub ports: Vec<HostPort>,
    /// Pods that keep others away.
    pub with_anti_affinity: usize,
    /// Pods with any affinity, which may draw others near.
    pub with_affinity: usize,
    /// Changes with whatever a plugin may look at; unique among all nodes and times.
    pub generation: u64,
}

impl NodeInfo {
    pub fn new(node: Arc<Node>, generation: u64) -> NodeInfo {
        let mut info = NodeInfo {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            node: Arc::default(),
            allocatable: Resources::default(),
            pods_max: 0,
            requested: Resources::default(),
            assumed: (0, 0),
            pods: HashMap::new(),
            ports: Vec::new(),
            with_anti_affinity: 0,
            with_affinity: 0,
            generation,
        };
        info.set_node(node, generation);
        info
    }

    pub fn set_node(&mut self, node: Arc<Node>, generation: u64) {
        let status = node.status.as_ref();
        let amounts = status.and_then(|status| status.allocatable.as_ref().or(status.capacity.as_ref()));
        self.allocatable = amounts.map(Resources::from_amounts).unwrap_or_default();
        let pods = amounts.and_then(|amounts| amounts.get("pods"));
        let pods = pods.and_then(|pods| api::quantity::Quantity::try_from(pods).ok());
        self.pods_max = pods.map_or(0, |pods| pods.value());
        self.node = node;
        self.generation = generation;
    }

    pub fn add(&mut self, pod: Arc<PodInfo>, generation: u64) {
        self.requested.add(&pod.requests);
        self.assumed.0 += pod.assumed.0;
        self.assumed.1 += pod.assumed.1;
        self.ports.extend(pod.ports.iter().cloned());
        self.with_anti_affinity += usize::from(pod.affinity.keeps_away());
        self.with_affinity += usize::from(!pod.affinity.is_empty());
        self.pods.insert(pod.key.clone(), pod);
        self.generation = generation;
    }

    pub fn remove(&mut self, key: &str, generation: u64) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(key)?;
        self.requested.subtract(&pod.requests);
        self.assumed.0 -= pod.assumed.0;
        self.assumed.1 -= pod.assumed.1;
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|known| known == port) {
                self.ports.swap_remove(at);
            }
        }
        self.with_anti_affinity -= usize::from(pod.affinity.keeps_away());
        self.with_affinity -= usize::from(!pod.affinity.is_empty());
        self.generation = generation;
        Some(pod)
    }

    pub fn labels(&self) -> &BTreeMap<String, String> {
        crate::labels(&self.node.metadata)
    }

    pub fn taints(&self) -> &[Taint] {
        self.node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
    }
}
