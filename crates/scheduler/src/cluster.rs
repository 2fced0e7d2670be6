//! All nodes and the pods on them: what a decision looks at.
//!
//! Invariants: every pod is on at most one node; a pod whose node is not known waits among the strays; an assumed pod
//! counts as the bound one that it is about to be.

use crate::node::NodeInfo;
use crate::pod::{Key, PodInfo};
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Cluster {
    nodes: Vec<NodeInfo>,
    by_name: HashMap<Arc<str>, usize>,
    /// Each pod's node.
    places: HashMap<Key, Arc<str>>,
    /// Pods of nodes that are not known (yet).
    strays: HashMap<Arc<str>, HashMap<Key, Arc<PodInfo>>>,
    /// Labels of namespaces, for affinity that selects by them.
    namespaces: HashMap<String, BTreeMap<String, String>>,
    namespaces_generation: u64,
    generation: u64,
    with_affinity: usize,
    with_anti_affinity: usize,
    /// How many placed pods have each priority.
    priorities: BTreeMap<i32, usize>,
}

impl Cluster {
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.by_name.get(name).map(|index| &self.nodes[*index])
    }

    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Where a pod is, assumed or bound.
    pub fn place(&self, key: &str) -> Option<&Arc<str>> {
        self.places.get(key)
    }

    /// Pods on known nodes that have any affinity, and that keep others away.
    pub fn affinities(&self) -> (usize, usize) {
        (self.with_affinity, self.with_anti_affinity)
    }

    /// Whether some placed pod matters less than this.
    pub fn has_below(&self, priority: i32) -> bool {
        self.priorities.first_key_value().is_some_and(|(lowest, _)| *lowest < priority)
    }

    pub fn namespace_labels(&self, namespace: &str) -> &BTreeMap<String, String> {
        self.namespaces.get(namespace).unwrap_or(&crate::NO_LABELS)
    }

    /// Changes with every namespace's labels.
    pub fn namespaces_generation(&self) -> u64 {
        self.namespaces_generation
    }

    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        self.namespaces_generation = self.next_generation();
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
    }

    fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    pub fn set_node(&mut self, node: Arc<Node>) {
        let generation = self.next_generation();
        let name = node.metadata.name.as_deref().unwrap_or_default();
        if let Some(index) = self.by_name.get(name) {
            self.nodes[*index].set_node(node, generation);
            return;
        }
        let info = NodeInfo::new(node, generation);
        let name = info.name.clone();
        self.by_name.insert(name.clone(), self.nodes.len());
        self.nodes.push(info);
        for pod in self.strays.remove(&name).into_iter().flatten().map(|(_, pod)| pod) {
            self.place_on(&name, pod);
        }
    }

    pub fn remove_node(&mut self, name: &str) {
        let Some(index) = self.by_name.remove(name) else { return };
        let gone = self.nodes.swap_remove(index);
        if let Some(moved) = self.nodes.get(index) {
            self.by_name.insert(moved.name.clone(), index);
        }
        self.with_affinity -= gone.with_affinity;
        self.with_anti_affinity -= gone.with_anti_affinity;
        if !gone.pods.is_empty() {
            self.strays.insert(gone.name, gone.pods);
        }
    }

    /// Puts a pod on a node, wherever it was before.
    pub fn set_pod(&mut self, node: &str, pod: Arc<PodInfo>) {
        if let Some(known) = self.by_name.get(node).map(|index| &mut self.nodes[*index])
            && let Some(before) = known.pods.get_mut(&pod.key)
            && takes_the_same(before, &pod)
        {
            // An assumed pod that is confirmed, or a status update: nothing that a plugin looks at.
            *before = pod;
            return;
        }
        self.remove_pod(&pod.key);
        let name = self.by_name.get_key_value(node).map_or_else(|| node.into(), |(name, _)| name.clone());
        self.places.insert(pod.key.clone(), name.clone());
        *self.priorities.entry(pod.priority).or_default() += 1;
        self.place_on(&name, pod);
    }

    fn place_on(&mut self, name: &Arc<str>, pod: Arc<PodInfo>) {
        let generation = self.next_generation();
        match self.by_name.get(name) {
            Some(index) => {
                self.with_affinity += usize::from(!pod.affinity.is_empty());
                self.with_anti_affinity += usize::from(pod.affinity.keeps_away());
                self.nodes[*index].add(pod, generation);
            }
            None => {
                self.strays.entry(name.clone()).or_default().insert(pod.key.clone(), pod);
            }
        }
    }

    pub fn remove_pod(&mut self, key: &str) -> Option<(Arc<str>, Arc<PodInfo>)> {
        let name = self.places.remove(key)?;
        let generation = self.next_generation();
        let pod = match self.by_name.get(&name) {
            Some(index) => {
                let pod = self.nodes[*index].remove(key, generation)?;
                self.with_affinity -= usize::from(!pod.affinity.is_empty());
                self.with_anti_affinity -= usize::from(pod.affinity.keeps_away());
                pod
            }
            None => {
                let strays = self.strays.get_mut(&name)?;
                let pod = strays.remove(key)?;
                if strays.is_empty() {
                    self.strays.remove(&name);
                }
                pod
            }
        };
        if let Some(count) = self.priorities.get_mut(&pod.priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&pod.priority);
            }
        }
        Some((name, pod))
    }
}

/// Whether two states of a pod are one to every plugin. The shape leaves out the node's name, which both have now.
fn takes_the_same(before: &PodInfo, after: &PodInfo) -> bool {
    before.pod.uid == after.pod.uid
        && before.priority == after.priority
        && before.requests == after.requests
        && before.ports == after.ports
        && before.labels() == after.labels()
        && before.is_ending() == after.is_ending()
}
