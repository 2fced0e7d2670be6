//! Which nodes have pods that refer to which objects, and what those lead to.
//!
//! ```text
//! node <- pod <- secret, config map, service account, resource claim
//!                claim <- volume <- secret
//! node <- volume attachment, resource slice, pod certificate request
//! ```
//!
//! Invariant: of pods only counts are kept, adjusted by what a changed pod referred to before and refers to now. Bound:
//! an entry per referred object and node, however many pods refer to it, and one per volume and object of the last row.

use super::node_links::{Held, Holding, OnNode, VolumeView};
use client::pods::Target;
use client::{Cached, PodView};
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

type Node = Arc<str>;

#[derive(Default)]
pub(crate) struct NodeGraph {
    /// Counts of pods by referred object and node.
    edges: HashMap<(Target, String), HashMap<Node, u32>>,
    /// By sort and key: the node that the object names itself.
    held: HashMap<(Holding, Arc<str>), Box<str>>,
    /// By name: the claim that has the volume, and the secrets of it.
    volumes: HashMap<Arc<str>, Arc<VolumeView>>,
    volumes_of_secret: HashMap<Box<str>, BTreeSet<Arc<str>>>,
}

impl NodeGraph {
    /// Takes over a pod's change.
    pub(crate) fn apply(&mut self, old: Option<&PodView>, new: Option<&PodView>) {
        if let (Some(old), Some(new)) = (old, new)
            && old.node == new.node
            && old.uid == new.uid
            && old.claims == new.claims
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
            // `NodeRestriction` refuses mirror pods that refer to anything; what got past it gives nothing either.
            if pod.is_mirror && target != Target::Pod {
                return;
            }
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

    /// Takes over the change of an object that names its node.
    pub(crate) fn hold<K: Held>(&mut self, old: Option<&OnNode<K>>, new: Option<&OnNode<K>>) {
        match (old, new) {
            (_, Some(new)) => drop(self.held.insert((K::HOLDING, new.key()), new.node.clone())),
            (Some(old), None) => drop(self.held.remove(&(K::HOLDING, old.key()))),
            (None, None) => {}
        }
    }

    /// Takes over a volume's change.
    pub(crate) fn bind(&mut self, old: Option<&Arc<VolumeView>>, new: Option<&Arc<VolumeView>>) {
        let Some(name) = new.or(old).map(|volume| volume.key()) else { return };
        for secret in self.volumes.remove(&name).iter().flat_map(|known| known.secrets.iter()) {
            let Some(volumes) = self.volumes_of_secret.get_mut(secret) else { continue };
            volumes.remove(&name);
            if volumes.is_empty() {
                self.volumes_of_secret.remove(secret);
            }
        }
        let Some(new) = new.filter(|new| new.claim.is_some()) else { return };
        for secret in &new.secrets {
            self.volumes_of_secret.entry(secret.clone()).or_default().insert(name.clone());
        }
        self.volumes.insert(name, new.clone());
    }

    #[cfg(test)]
    pub(crate) fn edges(&self) -> usize {
        self.edges.len() + self.held.len() + self.volumes.len() + self.volumes_of_secret.len()
    }

    /// Whether a pod that is bound to the node refers to the object, itself or through a volume.
    pub(crate) fn refers(&self, node: &str, target: Target, namespace: &str, name: &str) -> bool {
        let key = format!("{namespace}/{name}");
        if target == Target::Secret
            && let Some(volumes) = self.volumes_of_secret.get(key.as_str())
            && volumes.iter().any(|volume| self.mounts(node, volume))
        {
            return true;
        }
        self.is_referred(node, target, key)
    }

    fn is_referred(&self, node: &str, target: Target, key: String) -> bool {
        self.edges.get(&(target, key)).is_some_and(|nodes| nodes.contains_key(node))
    }

    /// Whether a pod that is bound to the node has the claim that has the volume.
    pub(crate) fn mounts(&self, node: &str, volume: &str) -> bool {
        let claim = self.volumes.get(volume).and_then(|volume| volume.claim.as_deref());
        claim.is_some_and(|claim| self.is_referred(node, Target::Claim, claim.to_owned()))
    }

    /// Whether the object names the node; `namespace` is empty for a kind that has none.
    pub(crate) fn holds(&self, node: &str, holding: Holding, namespace: &str, name: &str) -> bool {
        let key: Arc<str> = if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() };
        self.held.get(&(holding, key)).is_some_and(|own| &**own == node)
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
        (Target::ResourceClaim, "resourceclaims"),
    ];
    Ok(words.into_iter().find(|(target, _)| targets.contains(target)).map(|(_, word)| word))
}
