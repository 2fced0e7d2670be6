//! What a template says of its pods, as far as anybody asks who looks at all pods.

use k8s_openapi::api::core::v1::{Affinity, ContainerPort, ResourceRequirements, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

/// What a pod may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
    ResourceClaim,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    Named(Target, Box<str>),
    /// The claim that is made for this volume of the pod.
    OwnClaim(Box<str>),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    pub name: Box<str>,
    pub image: Option<String>,
    pub resources: Option<ResourceRequirements>,
    pub ports: Option<Vec<ContainerPort>>,
    pub restart_policy: Option<String>,
}

impl Container {
    /// Of an init container: whether it runs on beside the others.
    pub fn stays(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

/// A pod's spec without what is the pod's own: its node and its hostname. Texts that are absent are empty.
#[derive(Debug, Default, PartialEq)]
pub struct Spec {
    pub scheduler_name: Box<str>,
    pub priority: i32,
    pub preempts: bool,
    /// Not to be scheduled yet.
    pub is_gated: bool,
    pub service_account: Box<str>,
    pub subdomain: Box<str>,
    pub node_selector: Option<BTreeMap<String, String>>,
    pub affinity: Option<Affinity>,
    pub tolerations: Vec<Toleration>,
    pub spread: Vec<TopologySpreadConstraint>,
    pub overhead: Option<BTreeMap<String, Quantity>>,
    /// Of the pod as a whole.
    pub resources: Option<ResourceRequirements>,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    /// What it refers to by name, apart from the pod itself.
    pub refers: Box<[Reference]>,
}

impl Spec {
    /// The containers that run as long as the pod does.
    pub fn staying(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|container| container.stays()))
    }
}

/// Specs by what nearly tells them apart: pods of one template may differ in what nobody here asks for, such as the
/// generated name of the volume with their token.
#[derive(Default)]
pub(super) struct Alike {
    specs: HashMap<u64, Vec<Weak<Spec>>>,
    swept_len: usize,
}

const SWEPT_LEN_LEAST: usize = 256;

impl Alike {
    /// The equal spec that is there already, or this one.
    pub(super) fn share(&mut self, spec: Spec) -> Arc<Spec> {
        if self.specs.len() >= 2 * self.swept_len.max(SWEPT_LEN_LEAST) {
            self.specs.retain(|_, specs| specs.iter().any(|spec| spec.strong_count() > 0));
            self.swept_len = self.specs.len();
        }
        let specs = self.specs.entry(likeness(&spec)).or_default();
        if let Some(known) = specs.iter().filter_map(Weak::upgrade).find(|known| **known == spec) {
            return known;
        }
        specs.retain(|spec| spec.strong_count() > 0);
        let spec = Arc::new(spec);
        specs.push(Arc::downgrade(&spec));
        spec
    }
}

fn likeness(spec: &Spec) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&spec.scheduler_name, spec.priority, &spec.service_account, &spec.node_selector, &spec.refers).hash(&mut hasher);
    spec.containers.iter().for_each(|container| container.image.hash(&mut hasher));
    hasher.finish()
}
