//! Pods as the caches of a whole cluster hold them: what the scheduler, controllers and the authorizer ask of a pod.
//!
//! A typed pod costs about 20 KiB; this costs a few hundred bytes, as pods of one template share all that the template
//! says. Invariants: what two pods share was equal text in both; a view is never written back.

mod pool;
mod spec;
mod wire;

pub use spec::{Container, Reference, Spec, Target};

use crate::cached::{Cached, Labels, Meta};
use api::{Kind, ResourceDef};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use pool::Pool;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Also while nobody has said anything yet.
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// The condition that a pod is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub is_true: bool,
    pub since: Option<Timestamp>,
}

/// Why a pod has no node, as was said on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unscheduled {
    pub reason: Box<str>,
    pub message: Box<str>,
    pub since: Option<Timestamp>,
}

/// One pod; texts that are absent are empty.
#[derive(Debug, PartialEq)]
pub struct PodView {
    key: Arc<str>,
    pub uid: Box<str>,
    resource_version: Box<str>,
    pub labels: Arc<Labels>,
    owners: Arc<[OwnerReference]>,
    pub created: Option<Timestamp>,
    /// Since when it has been told to end.
    pub deletion: Option<Timestamp>,
    has_finalizers: bool,
    /// What its user says that losing it costs.
    pub deletion_cost: i32,
    pub node: Arc<str>,
    /// Resource claims that were made for it, as its status names them.
    pub claims: Box<[Box<str>]>,
    /// Made by its node of what lies there: it may lead the node to no object of the API.
    pub is_mirror: bool,
    pub hostname: Box<str>,
    pub spec: Arc<Spec>,
    pub phase: Phase,
    pub ready: Option<Ready>,
    /// Since when its node knows of it.
    pub started: Option<Timestamp>,
    pub unscheduled: Option<Box<Unscheduled>>,
    /// Each once, the first one first.
    pub addresses: Box<[IpAddr]>,
    /// The most that one of its containers had.
    pub restarts: i32,
}

/// What the pods of one cache share.
#[derive(Default)]
pub struct Shelf {
    specs: Pool<Spec>,
    alike: spec::Alike,
    labels: Pool<Labels>,
    owners: Pool<[OwnerReference]>,
    nodes: Pool<str>,
}

impl Cached for PodView {
    const RESOURCE: ResourceDef = <Pod as Kind>::DEF;

    type Shelf = Shelf;

    fn decode(json: &[u8], shelf: &mut Shelf) -> Result<PodView, serde_json::Error> {
        wire::decode(json, shelf)
    }

    fn meta(&self) -> Meta<'_> {
        Meta {
            namespace: self.namespace(),
            name: self.name(),
            uid: &self.uid,
            resource_version: &self.resource_version,
            labels: &self.labels,
            owners: &self.owners,
            deletion: self.deletion,
            has_finalizers: self.has_finalizers,
        }
    }

    fn key(&self) -> Arc<str> {
        self.key.clone()
    }
}

impl PodView {
    /// The view of one pod, which shares nothing with others.
    pub fn of(pod: &Pod) -> Result<PodView, serde_json::Error> {
        PodView::decode(&serde_json::to_vec(pod)?, &mut Shelf::default())
    }

    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&*self.key, |(_, name)| name)
    }

    /// The owner that manages it.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.meta().controller()
    }

    pub fn has_node(&self) -> bool {
        !self.node.is_empty()
    }

    /// Told to end.
    pub fn is_ending(&self) -> bool {
        self.deletion.is_some()
    }

    /// Ended for good.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    pub fn is_ready(&self) -> bool {
        self.ready.is_some_and(|ready| ready.is_true)
    }

    /// Calls `visit` with everything that it refers to by name.
    pub fn references(&self, visit: &mut dyn FnMut(Target, &str)) {
        visit(Target::Pod, self.name());
        for claim in &self.claims {
            visit(Target::ResourceClaim, claim);
        }
        for reference in &self.spec.refers {
            match reference {
                Reference::Named(target, name) => visit(*target, name),
                Reference::OwnClaim(volume) => visit(Target::Claim, &format!("{}-{volume}", self.name())),
            }
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl<'de> serde::Deserialize<'de> for PodView {
    /// For tests' literals; a cache decodes with its shelf.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PodView, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?.to_string();
        PodView::decode(json.as_bytes(), &mut Shelf::default()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
