//! Which nodes have pods that refer to which objects.
//!
//! Invariant: only counts are kept, adjusted by what a changed pod referred to before and refers to now; memory is
//! one entry per referred object and node, however many pods refer to it.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, Pod, Volume};
use std::collections::HashMap;
use std::sync::Arc;

/// What a pod may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
}

type Node = Arc<str>;

/// Counts of pods by referred object and node.
#[derive(Default)]
pub(crate) struct NodeGraph {
    edges: HashMap<(Target, String), HashMap<Node, u32>>,
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

impl NodeGraph {
    /// Takes over a pod's change.
    pub(crate) fn apply(&mut self, old: Option<&Pod>, new: Option<&Pod>) {
        if let (Some(old), Some(new)) = (old, new)
            && node_of(old) == node_of(new)
            && old.metadata.uid == new.metadata.uid
        {
            // A bound pod's spec is immutable in all that it refers to, but ephemeral containers may be added. Most
            // changes are of the status: they cost this comparison only.
            let ephemeral =
                |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref().map(Vec::len));
            if ephemeral(old) == ephemeral(new) {
                return;
            }
        }
        // Added before removed, so that a reference which stays is never missing in between.
        if let Some(new) = new {
            self.count(new, true);
        }
        if let Some(old) = old {
            self.count(old, false);
        }
    }

    fn count(&mut self, pod: &Pod, add: bool) {
        let Some(node) = node_of(pod) else { return };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        visit(pod, &mut |target, name| {
            let key = (target, format!("{namespace}/{name}"));
            if add {
                *self.edges.entry(key).or_default().entry(node.into()).or_default() += 1;
            } else {
                self.release(&key, node);
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

type Visitor<'v> = &'v mut dyn FnMut(Target, &str);

/// Calls `visitor` with everything that a pod refers to by name.
pub(crate) fn visit(pod: &Pod, visitor: Visitor<'_>) {
    visitor(Target::Pod, pod.metadata.name.as_deref().unwrap_or_default());
    let Some(spec) = &pod.spec else { return };
    if let Some(account) = spec.service_account_name.as_deref().filter(|name| !name.is_empty()) {
        visitor(Target::ServiceAccount, account);
    }
    for pull in spec.image_pull_secrets.iter().flatten() {
        visitor(Target::Secret, &pull.name);
    }
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        visit_environment(container.env.as_ref(), container.env_from.as_ref(), visitor);
    }
    for container in spec.ephemeral_containers.iter().flatten() {
        visit_environment(container.env.as_ref(), container.env_from.as_ref(), visitor);
    }
    for volume in spec.volumes.iter().flatten() {
        visit_volume(pod, volume, visitor);
    }
}

fn visit_environment(env: Option<&Vec<EnvVar>>, env_from: Option<&Vec<EnvFromSource>>, visitor: Visitor<'_>) {
    for source in env_from.into_iter().flatten() {
        if let Some(secret) = &source.secret_ref {
            visitor(Target::Secret, &secret.name);
        }
        if let Some(map) = &source.config_map_ref {
            visitor(Target::ConfigMap, &map.name);
        }
    }
    for source in env.into_iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        if let Some(secret) = &source.secret_key_ref {
            visitor(Target::Secret, &secret.name);
        }
        if let Some(map) = &source.config_map_key_ref {
            visitor(Target::ConfigMap, &map.name);
        }
    }
}

fn visit_volume(pod: &Pod, volume: &Volume, visitor: Visitor<'_>) {
    if let Some(name) = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref()) {
        visitor(Target::Secret, name);
    }
    if let Some(map) = &volume.config_map {
        visitor(Target::ConfigMap, &map.name);
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        visitor(Target::Claim, &claim.claim_name);
    }
    if volume.ephemeral.is_some() {
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        visitor(Target::Claim, &format!("{pod}-{}", volume.name));
    }
    if let Some(secret) = volume.csi.as_ref().and_then(|csi| csi.node_publish_secret_ref.as_ref()) {
        visitor(Target::Secret, &secret.name);
    }
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        if let Some(secret) = &source.secret {
            visitor(Target::Secret, &secret.name);
        }
        if let Some(map) = &source.config_map {
            visitor(Target::ConfigMap, &map.name);
        }
    }
}

/// What of the API's objects a pod refers to, in the words of the refusal of such a mirror pod.
pub(crate) fn refers_to_objects(pod: &Pod) -> Option<&'static str> {
    let mut found = None;
    visit(pod, &mut |target, _| {
        let what = match target {
            Target::Pod => return,
            Target::ServiceAccount => "a service account",
            Target::Secret => "secrets",
            Target::ConfigMap => "configmaps",
            Target::Claim => "persistentvolumeclaims",
        };
        found = found.or(Some(what));
    });
    found
}
