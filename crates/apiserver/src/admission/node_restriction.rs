//! A node writes its own objects only, and nothing there by which it could draw workloads or secrets to itself.

use super::node_tokens::NodeTokens;
use super::service_account::is_mirror;
use super::{Plugin, Sources, refused};
use crate::authz::{node_identity, pod_refers_to_objects};
use api::{Kind, Object, Status, Subresource};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::certificates::v1::PodCertificateRequest;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::resource::v1::ResourceSlice;
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
    let (client, nodes) = (sources.client.clone(), sources.client.cache());
    Box::new(NodeRestriction { client, nodes, tokens: NodeTokens::new(sources) })
}

struct NodeRestriction {
    client: Client,
    nodes: Cache<Node>,
    tokens: NodeTokens,
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
    /// The pod that a certificate is asked for, if it exists.
    pub(crate) pod: Option<&'a Pod>,
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
            ("resource.k8s.io", "resourceslices") => self.slice(),
            ("certificates.k8s.io", "podcertificaterequests") => self.certificate_request(),
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
            (None, Operation::Update | Operation::Connect) => {
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
        let extended = |pod: &'a Pod| pod.status.as_ref().and_then(|own| own.extended_resource_claim_status.as_ref());
        if extended(old) != extended(new) {
            return Err(format!("node {node:?} cannot update extended resource claim status"));
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

    /// What is there already the authorizer knows.
    fn slice(&self) -> Result<(), String> {
        let Some(new) = self.new_of::<ResourceSlice>().filter(|_| self.attempt.operation == Operation::Create) else {
            return Ok(());
        };
        if new.spec.node_name.as_deref() != Some(self.node) {
            return Err("can only create ResourceSlice with the same NodeName as the requesting node".to_owned());
        }
        Ok(())
    }

    /// For a pod that is bound to the node, and none of its own making.
    fn certificate_request(&self) -> Result<(), String> {
        if self.attempt.operation != Operation::Create || self.attempt.subresource.is_some() {
            return Ok(());
        }
        let Some(spec) = self.new_of::<PodCertificateRequest>().map(|request| &request.spec) else { return Ok(()) };
        let (node, asked) = (self.node, &spec.node_name);
        if asked != node {
            return Err(format!(
                "PodCertificateRequest.Spec.NodeName={asked:?}, which is not the requesting node {node:?}"
            ));
        }
        let Some(pod) = self.pod else {
            return Err(format!(
                "while retrieving pod named in the PodCertificateRequest: pod {:?} not found",
                spec.pod_name
            ));
        };
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if uid != spec.pod_uid {
            let asked = &spec.pod_uid;
            return Err(format!(
                "PodCertificateRequest.Spec.PodUID={asked:?}, which is not the uid {uid:?} of the pod"
            ));
        }
        if is_mirror(pod) {
            return Err("pod certificates cannot be requested for mirror pods".to_owned());
        }
        if node_name(pod) != Some(node) {
            return Err(format!("pod {:?} is not bound to the requesting node {node:?}", spec.pod_name));
        }
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or_default();
        if account != spec.service_account_name {
            let asked = &spec.service_account_name;
            return Err(format!(
                "PodCertificateRequest.Spec.ServiceAccountName={asked:?}, which is not {account:?} of the pod"
            ));
        }
        match self.node_uid {
            Some(uid) if uid == spec.node_uid => Ok(()),
            uid => Err(format!(
                "PodCertificateRequest.Spec.NodeUID={:?}, which is not the uid {:?} of the node",
                spec.node_uid,
                uid.unwrap_or_default()
            )),
        }
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

#[async_trait]
impl Plugin for NodeRestriction {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        node_identity(attempt.user).is_some() && attempt.operation != Operation::Connect
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(node) = node_identity(attempt.user) else { return Ok(()) };
        if let Some(request) = object.and_then(|object| object.downcast::<TokenRequest>()) {
            return self.tokens.judge(node, attempt, object, &request.spec.clone().unwrap_or_default()).await;
        }
        let own = self.nodes.get("", node);
        let node_uid = own.as_ref().and_then(|own| own.metadata.uid.as_deref());
        let pod = match object.and_then(|object| object.downcast::<PodCertificateRequest>()) {
            Some(request) if attempt.operation == Operation::Create => {
                self.client.find::<Pod>(attempt.namespace, &request.spec.pod_name).await?
            }
            _ => None,
        };
        let case = Case { node, attempt, object, old, node_uid, pod: pod.as_ref() };
        case.judge().map_err(|why| refused(attempt, object, &why))
    }
}
