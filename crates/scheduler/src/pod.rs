//! A pod as the scheduler sees it: what it asks of a node, worked out once.

use crate::affinity::Affinity;
use crate::node_selector::{NodeMatcher, Term};
use crate::resources::{self, Resources};
use crate::spread::Constraint;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::Arc;

/// `namespace/name`.
pub(crate) type Key = Arc<str>;

pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// A port of the node that a pod takes: protocol, address (empty: all), port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub protocol: Box<str>,
    pub address: Box<str>,
    pub port: i32,
}

impl HostPort {
    pub fn conflicts(&self, other: &HostPort) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address.is_empty() || other.address.is_empty() || self.address == other.address)
    }
}

/// One pod; immutable.
#[derive(Debug)]
pub struct PodInfo {
    pub key: Key,
    pub uid: String,
    pub namespace: String,
    pub priority: i32,
    pub created: Option<Timestamp>,
    pub requests: Resources,
    /// CPU in thousandths and memory in bytes, by which nodes are compared.
    pub assumed: (i64, i64),
    pub ports: SmallVec<[HostPort; 1]>,
    pub node_name: Option<String>,
    /// `nodeSelector` and required node affinity.
    pub required_node: NodeMatcher,
    pub preferred_nodes: Vec<(i64, Term)>,
    pub tolerations: Vec<Toleration>,
    pub affinity: Affinity,
    pub spread: Vec<Constraint>,
    pub images: Vec<String>,
    /// Equal for pods that a node suits equally: the hash of all that is asked of one node.
    pub shape: u128,
    pub pod: Arc<Pod>,
}

impl PodInfo {
    pub fn new(pod: Arc<Pod>) -> PodInfo {
        let meta = &pod.metadata;
        let empty = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let namespace = meta.namespace.clone().unwrap_or_default();
        let affinity = spec.affinity.as_ref();
        let node_affinity = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred =
            node_affinity.and_then(|node| node.preferred_during_scheduling_ignored_during_execution.as_ref());
        PodInfo {
            key: format!("{namespace}/{}", meta.name.as_deref().unwrap_or_default()).into(),
            uid: meta.uid.clone().unwrap_or_default(),
            priority: spec.priority.unwrap_or(0),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            requests: resources::of_pod(spec),
            assumed: resources::assumed_of_pod(spec),
            ports: host_ports(spec),
            node_name: spec.node_name.clone().filter(|name| !name.is_empty()),
            required_node: NodeMatcher::new(
                spec.node_selector.as_ref(),
                node_affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref()),
            ),
            preferred_nodes: preferred
                .into_iter()
                .flatten()
                .map(|term| (term.weight.into(), Term::new(&term.preference)))
                .collect(),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            affinity: Affinity::new(affinity, &namespace, crate::labels(meta)),
            spread: Constraint::of_pod(spec, crate::labels(meta)),
            images: spec.containers.iter().filter_map(|container| container.image.clone()).collect(),
            shape: shape(spec),
            namespace,
            pod,
        }
    }

    pub fn labels(&self) -> &BTreeMap<String, String> {
        crate::labels(&self.pod.metadata)
    }

    /// Whether it has been told to end.
    pub fn is_ending(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
}

/// Whether a pod holds resources of its node.
pub(crate) fn occupies(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    node_of(pod).is_some() && !matches!(phase, "Succeeded" | "Failed")
}

pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// Whether a pod waits for this scheduler.
pub(crate) fn waits(pod: &Pod, scheduler: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let named = spec.scheduler_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER);
    named == scheduler
        && node_of(pod).is_none()
        && pod.metadata.deletion_timestamp.is_none()
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        && !matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

fn host_ports(spec: &PodSpec) -> SmallVec<[HostPort; 1]> {
    let staying =
        spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(staying);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let address = port.host_ip.as_deref().unwrap_or_default();
            Some(HostPort {
                port: port.host_port.filter(|port| *port > 0)?,
                protocol: port.protocol.as_deref().unwrap_or("TCP").into(),
                address: if address == "0.0.0.0" { "" } else { address }.into(),
            })
        })
        .collect()
}

/// The fields of a pod that decide how a single node suits it.
#[derive(Serialize)]
struct Asked<'a> {
    node_name: &'a Option<String>,
    node_selector: &'a Option<BTreeMap<String, String>>,
    node_affinity: Option<&'a k8s_openapi::api::core::v1::NodeAffinity>,
    tolerations: &'a Option<Vec<Toleration>>,
    overhead: &'a Option<resources::Amounts>,
    resources: &'a Option<k8s_openapi::api::core::v1::ResourceRequirements>,
    containers: Vec<AskedContainer<'a>>,
}

#[derive(Serialize)]
struct AskedContainer<'a> {
    init: bool,
    image: &'a Option<String>,
    restart_policy: &'a Option<String>,
    resources: &'a Option<k8s_openapi::api::core::v1::ResourceRequirements>,
    ports: &'a Option<Vec<k8s_openapi::api::core::v1::ContainerPort>>,
}

fn shape(spec: &PodSpec) -> u128 {
    let inits = spec.init_containers.iter().flatten().map(|container| (true, container));
    let containers = inits.chain(spec.containers.iter().map(|container| (false, container)));
    let asked = Asked {
        node_name: &spec.node_name,
        node_selector: &spec.node_selector,
        node_affinity: spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()),
        tolerations: &spec.tolerations,
        overhead: &spec.overhead,
        resources: &spec.resources,
        containers: containers
            .map(|(init, container)| AskedContainer {
                init,
                image: &container.image,
                restart_policy: if init { &container.restart_policy } else { &None },
                resources: &container.resources,
                ports: &container.ports,
            })
            .collect(),
    };
    let mut hash = Hash128::default();
    serde_json::to_writer(&mut hash, &asked).expect("decoded fields encode, and a hash takes all bytes");
    hash.value()
}

/// 128 bits, as one of 64 could by chance be that of another shape.
struct Hash128(DefaultHasher, DefaultHasher);

impl Default for Hash128 {
    fn default() -> Self {
        let mut second = DefaultHasher::new();
        second.write_u8(1);
        Hash128(DefaultHasher::new(), second)
    }
}

impl Hash128 {
    fn value(&self) -> u128 {
        (u128::from(self.0.finish()) << 64) | u128::from(self.1.finish())
    }
}

impl io::Write for Hash128 {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        self.1.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
