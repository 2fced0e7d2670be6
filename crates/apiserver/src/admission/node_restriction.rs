//! A node writes its own objects only, and nothing there by which it could draw workloads or secrets to itself.

use super::service_account::is_mirror;
use super::{Plugin, Sources, refused};
use crate::authz::{node_identity, pod_refers_to_objects};
use api::{Kind, Object, Status, Subresource};
use async_trait::async_trait;
use client::Cache;
use k8s_openapi::api::authentication::v1::TokenRequestSpec;
use k8s_openapi::api::core::v1::{Node, Pod};
use registry::{Attempt, Operation};
use std::collections::{BTreeMap, BTreeSet};

const LEASES: &str = "kube-node-lease";
const RESERVED: &str = "node-restriction.kubernetes.io";
/// Labels of Kubernetes' own name spaces that a kubelet may set on its node.
const LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];
const LABEL_SPACES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(NodeRestriction { nodes: sources.client.cache() })
}

struct NodeRestriction {
    nodes: Cache<Node>,
}

fn within(space: &str, domain: &str) -> bool {
    space == domain || space.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn forbidden_label(key: &str) -> bool {
    let space = key.split_once('/').map_or("", |(space, _)| space);
    if within(space, RESERVED) {
        return true;
    }
    let of_kubernetes = within(space, "kubernetes.io") || within(space, "k8s.io");
    of_kubernetes && !LABELS.contains(&key) && !LABEL_SPACES.iter().any(|allowed| within(space, allowed))
}

/// Labels that differ and that a node may not touch, joined for the message.
fn forbidden_changes(new: &Node, old: Option<&Node>) -> Option<String> {
    let none = BTreeMap::new();
    let new = new.metadata.labels.as_ref().unwrap_or(&none);
    let old = old.and_then(|old| old.metadata.labels.as_ref()).unwrap_or(&none);
    let keys: BTreeSet<&str> = new.keys().chain(old.keys()).map(String::as_str).collect();
    let forbidden: Vec<&str> =
        keys.into_iter().filter(|key| new.get(*key) != old.get(*key) && forbidden_label(key)).collect();
    (!forbidden.is_empty()).then(|| forbidden.join(", "))
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())
}

/// What is judged: who asks and what would be.
pub(crate) struct Case<'a> {
    pub(crate) node: &'a str,
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) object: Option<&'a dyn Object>,
    pub(crate) old: Option<&'a dyn Object>,
    /// The requesting node's uid, if its Node exists.
    pub(crate) node_uid: Option<&'a str>,
}

impl<'a> Case<'a> {
    fn new_of<K: Kind>(&self) -> Option<&'a K> {
        self.object.and_then(|object| object.downcast())
    }

    fn old_of<K: Kind>(&self) -> Option<&'a K> {
        self.old.and_then(|old| old.downcast())
    }

    /// The object's name, also on create.
    fn name(&self) -> &'a str {
        let own = self.object.map_or("", |object| object.name());
        if self.attempt.name.is_empty() { own } else { self.attempt.name }
    }

    /// `Err` says what the node may not do.
    pub(crate) fn judge(&self) -> Result<(), String> {
        if self.node.is_empty() {
            return Err(format!("could not determine node from user {:?}", self.attempt.user.name));
        }
        match (self.attempt.def.group, self.attempt.def.plural) {
            ("", "pods") => self.pod(),
            ("", "nodes") => self.node(),
            ("", "persistentvolumeclaims") if self.attempt.subresource != Some(Subresource::Status) => {
                Err("may only update PVC status".to_owned())
            }
            ("coordination.k8s.io", "leases") => self.lease(),
            ("storage.k8s.io", "csinodes") if self.name() != self.node => {
                Err("can only access CSINode with the same name as the requesting node".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn pod(&self) -> Result<(), String> {
        let node = self.node;
        match (self.attempt.subresource, self.attempt.operation) {
            (None, Operation::Create) => self.mirror_pod(),
            (None, Operation::Delete) => match self.old_of::<Pod>() {
                Some(old) if node_name(old) == Some(node) => Ok(()),
                _ => Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself")),
            },
            (None, Operation::Update) => {
                Err(format!("unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"))
            }
            (Some(Subresource::Status), _) => self.pod_status(),
            (Some(Subresource::Eviction), _) => match self.old_of::<Pod>().or(self.new_of::<Pod>()) {
                Some(pod) if node_name(pod) == Some(node) => Ok(()),
                _ => Err(format!("node {node} can only evict pods with spec.nodeName set to itself")),
            },
            (Some(other), _) => {
                Err(format!("unexpected pod subresource {:?}, only 'status' and 'eviction' are allowed", other.name()))
            }
        }
    }

    fn pod_status(&self) -> Result<(), String> {
        let node = self.node;
        let (Some(old), Some(new)) = (self.old_of::<Pod>(), self.new_of::<Pod>()) else {
            return Err("unexpected operation \"CREATE\"".to_owned());
        };
        if node_name(old) != Some(node) {
            return Err(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"));
        }
        let none = BTreeMap::new();
        if old.metadata.labels.as_ref().unwrap_or(&none) != new.metadata.labels.as_ref().unwrap_or(&none) {
            return Err(format!("node {node:?} cannot update labels through pod status"));
        }
        let claims = |pod: &'a Pod| pod.status.as_ref().and_then(|status| status.resource_claim_statuses.as_deref());
        if claims(old).unwrap_or_default() != claims(new).unwrap_or_default() {
            return Err(format!("node {node:?} cannot update resource claim statues"));
        }
        Ok(())
    }

    fn mirror_pod(&self) -> Result<(), String> {
        let node = self.node;
        let Some(pod) = self.new_of::<Pod>() else { return Ok(()) };
        if !is_mirror(pod) {
            return Err(format!(
                "pod does not have {:?} annotation, node {node:?} can only create mirror pods",
                super::service_account::MIRROR_ANNOTATION
            ));
        }
        if node_name(pod) != Some(node) {
            return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
        }
        self.mirror_owner(pod)?;
        match pod_refers_to_objects(pod).map_err(|error| format!("reading pod: {error}"))? {
            Some(what) => Err(format!("node {node:?} can not create pods that reference {what}")),
            None => Ok(()),
        }
    }

    fn mirror_owner(&self, pod: &Pod) -> Result<(), String> {
        let node = self.node;
        let only = |what: &str| format!("node {node:?} can only create pods with {what} set to itself");
        let owner = match pod.metadata.owner_references.as_deref().unwrap_or_default() {
            [owner] => owner,
            [] => return Err(only("an owner reference")),
            _ => return Err(only("a single owner reference")),
        };
        if owner.api_version != "v1" || owner.kind != Node::DEF.kind || owner.name != node {
            return Err(only("an owner reference"));
        }
        if owner.controller != Some(true) {
            return Err(only("a controller owner reference"));
        }
        if owner.block_owner_deletion == Some(true) {
            return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
        }
        match self.node_uid {
            Some(uid) if uid == owner.uid => Ok(()),
            Some(uid) => Err(format!("node {node} UID mismatch: expected {} got {uid}", owner.uid)),
            None => Err(format!("error looking up node {node} to verify uid: node {node:?} not found")),
        }
    }

    fn node(&self) -> Result<(), String> {
        let node = self.node;
        if self.name() != node {
            return Err(format!("node {node:?} is not allowed to modify node {:?}", self.name()));
        }
        let Some(new) = self.new_of::<Node>() else { return Ok(()) };
        let old = self.old_of::<Node>();
        if let Some(labels) = forbidden_changes(new, old) {
            return Err(match self.attempt.operation {
                Operation::Create => format!("node {node:?} is not allowed to set the following labels: {labels}"),
                _ => format!("is not allowed to modify labels: {labels}"),
            });
        }
        let Some(old) = old else { return Ok(()) };
        let taints = |node: &'a Node| node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        if taints(new) != taints(old) {
            return Err(format!("node {node:?} is not allowed to modify taints"));
        }
        Ok(())
    }

    fn lease(&self) -> Result<(), String> {
        if self.attempt.namespace != LEASES {
            return Err(format!("can only access leases in the {LEASES:?} system namespace"));
        }
        if self.name() != self.node {
            return Err("can only access node lease with the same name as the requesting node".to_owned());
        }
        Ok(())
    }
}

/// A node's request for a token: for a pod that is bound to it, for audiences that the pod names.
pub(crate) fn check_token(node: &str, spec: &TokenRequestSpec, pod: Option<&Pod>) -> Result<(), String> {
    let reference = spec.bound_object_ref.as_ref().filter(|reference| {
        reference.api_version.as_deref() == Some("v1")
            && reference.kind.as_deref() == Some(Pod::DEF.kind)
            && reference.name.as_deref().is_some_and(|name| !name.is_empty())
    });
    let Some(reference) = reference else { return Err("node requested token not bound to a pod".to_owned()) };
    let Some(uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty()) else {
        return Err("node requested token with a pod binding without a uid".to_owned());
    };
    let Some(pod) = pod else {
        return Err(format!("pod {:?} not found", reference.name.as_deref().unwrap_or_default()));
    };
    if pod.metadata.uid.as_deref() != Some(uid) {
        return Err(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        ));
    }
    if node_name(pod) != Some(node) {
        return Err("node requested token bound to a pod scheduled on a different node".to_owned());
    }
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let sources = volumes.flat_map(|volume| volume.projected.iter().flat_map(|own| own.sources.iter().flatten()));
    let named: BTreeSet<&str> = sources
        .filter_map(|source| source.service_account_token.as_ref())
        .map(|token| token.audience.as_deref().unwrap_or_default())
        .collect();
    match spec.audiences.iter().flatten().find(|audience| !named.contains(audience.as_str())) {
        Some(audience) => Err(format!("audience {audience:?} not found in pod spec volume")),
        None => Ok(()),
    }
}

#[async_trait]
impl Plugin for NodeRestriction {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        node_identity(attempt.user).is_some()
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(node) = node_identity(attempt.user) else { return Ok(()) };
        let own = self.nodes.get("", node);
        let node_uid = own.as_ref().and_then(|own| own.metadata.uid.as_deref());
        let case = Case { node, attempt, object, old, node_uid };
        case.judge().map_err(|why| refused(attempt, object, &why))
    }
}
