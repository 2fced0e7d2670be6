//! Which nodes have pods that refer to which objects.
//!
//! Invariant: only counts are kept, adjusted by what a changed pod referred to before and refers to now; memory is
//! one entry per referred object and node, however many pods refer to it.

use client::PodView;
use client::pods::Target;
use k8s_openapi::api::core::v1::Pod;
use std::collections::HashMap;
use std::sync::Arc;

type Node = Arc<str>;

/// Counts of pods by referred object and node.
#[derive(Default)]
pub(crate) struct NodeGraph {
    edges: HashMap<(Target, String), HashMap<Node, u32>>,
}

impl NodeGraph {
    /// Takes over a pod's change.
    pub(crate) fn apply(&mut self, old: Option<&PodView>, new: Option<&PodView>) {
        if let (Some(old), Some(new)) = (old, new)
            && old.node == new.node
            && old.uid == new.uid
            && (Arc::ptr_eq(&old.spec, &new.spec) || old.spec.refers == new.spec.refers)
        {
            return;
        }
        // Added before removed, so that a reference which stays is never missing in between.
        if let Some(new) = new {
            self.count(new, true);
        }
        if let Some(old) = old {
            self.count(old, false);
        }
    }

    fn count(&mut self, pod: &PodView, add: bool) {
        if !pod.has_node() {
            return;
        }
        pod.references(&mut |target, name| {
            let key = (target, format!("{}/{name}", pod.namespace()));
            if add {
                *self.edges.entry(key).or_default().entry(pod.node.clone()).or_default() += 1;
            } else {
                self.release(&key, &pod.node);
            }
        });
    }

    fn release(&mut self, key: &(Target, String), node: &str) {
        let Some(nodes) = self.edges.get_mut(key) else { return };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.edges.remove(key);
        }
    }

    #[cfg(test)]
    pub(crate) fn edges(&self) -> usize {
        self.edges.len()
    }

    /// Whether a pod that is bound to the node refers to the object.
    pub(crate) fn refers(&self, node: &str, target: Target, namespace: &str, name: &str) -> bool {
        self.edges.get(&(target, format!("{namespace}/{name}"))).is_some_and(|nodes| nodes.contains_key(node))
    }
}

/// What of the API's objects a pod refers to, in the words of the refusal of such a mirror pod.
pub(crate) fn refers_to_objects(pod: &Pod) -> Result<Option<&'static str>, serde_json::Error> {
    let mut targets = Vec::new();
    PodView::of(pod)?.references(&mut |target, _| targets.push(target));
    // In upstream's order of looking.
    let words = [
        (Target::ServiceAccount, "a service account"),
        (Target::Secret, "secrets"),
        (Target::ConfigMap, "configmaps"),
        (Target::Claim, "persistentvolumeclaims"),
    ];
    Ok(words.into_iter().find(|(target, _)| targets.contains(target)).map(|(_, word)| word))
}
