//! A pod as the scheduler sees it: what it asks of a node, worked out once.

use crate::affinity::Affinity;
use crate::node_selector::{NodeMatcher, Term};
use crate::resources::{self, Resources};
use crate::spread::Constraint;
use client::pods::{Container, Spec};
use client::{Cached, Labels, PodView};
use k8s_openapi::api::core::v1::Toleration;
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Weak};

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

/// One pod; immutable. What its template asks for, it shares with the template's other pods.
#[derive(Debug)]
pub struct PodInfo {
    pub key: Key,
    pub pod: Arc<PodView>,
    asks: Arc<Asks>,
}

/// What a template asks of a node and of other pods, worked out once.
#[derive(Debug)]
pub struct Asks {
    pub priority: i32,
    pub requests: Resources,
    /// CPU in thousandths and memory in bytes, by which nodes are compared.
    pub assumed: (i64, i64),
    pub ports: SmallVec<[HostPort; 1]>,
    /// `nodeSelector` and required node affinity.
    pub required_node: NodeMatcher,
    pub preferred_nodes: Vec<(i64, Term)>,
    pub tolerations: Vec<Toleration>,
    pub affinity: Affinity,
    pub spread: Vec<Constraint>,
    /// Equal for waiting pods that a node suits equally: the hash of all that is asked of one node.
    pub shape: u128,
    /// Equal for waiting pods that all nodes with their pods suit equally: of one shape, and alike in what they wish
    /// of other pods and in what others see of them.
    pub alike: u128,
    /// What this was made from.
    spec: Arc<Spec>,
    labels: Arc<Labels>,
}

impl Deref for PodInfo {
    type Target = Asks;

    fn deref(&self) -> &Asks {
        &self.asks
    }
}

impl PodInfo {
    /// A pod by itself.
    pub fn new(pod: Arc<PodView>) -> PodInfo {
        PodInfo { key: pod.key(), asks: Arc::new(Asks::new(&pod)), pod }
    }

    pub(crate) fn of_template(pod: Arc<PodView>, templates: &mut Templates) -> PodInfo {
        PodInfo { key: pod.key(), asks: templates.asks(&pod), pod }
    }

    pub fn labels(&self) -> &Labels {
        &self.pod.labels
    }

    /// Whether it has been told to end.
    pub fn is_ending(&self) -> bool {
        self.pod.is_ending()
    }
}

impl Asks {
    fn new(pod: &PodView) -> Asks {
        let spec = &*pod.spec;
        let affinity = spec.affinity.as_ref();
        let node_affinity = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred =
            node_affinity.and_then(|node| node.preferred_during_scheduling_ignored_during_execution.as_ref());
        let shape = shape(spec);
        Asks {
            priority: spec.priority,
            requests: resources::of_pod(spec),
            assumed: resources::assumed_of_pod(spec),
            ports: host_ports(spec),
            required_node: NodeMatcher::new(
                spec.node_selector.as_ref(),
                node_affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref()),
            ),
            preferred_nodes: preferred
                .into_iter()
                .flatten()
                .map(|term| (term.weight.into(), Term::new(&term.preference)))
                .collect(),
            tolerations: spec.tolerations.clone(),
            affinity: Affinity::new(affinity, pod.namespace(), &pod.labels),
            spread: Constraint::of_pod(&spec.spread, &pod.labels),
            shape,
            alike: alike(pod, shape),
            spec: pod.spec.clone(),
            labels: pod.labels.clone(),
        }
    }
}

/// A spec's and a set of labels' address, and the namespace: an affinity without one means its own.
type Template = (usize, usize, Box<str>);

/// What known templates ask. An entry's addresses are its own as long as it lives, as it keeps what is there. Bound: an
/// entry per template; those without pods are swept out whenever their number has doubled.
#[derive(Default)]
pub(crate) struct Templates {
    known: HashMap<Template, Weak<Asks>>,
    swept_len: usize,
}

const SWEPT_LEN_LEAST: usize = 256;

impl Templates {
    fn asks(&mut self, pod: &PodView) -> Arc<Asks> {
        let template = (Arc::as_ptr(&pod.spec) as usize, Arc::as_ptr(&pod.labels) as usize, pod.namespace().into());
        if let Some(known) = self.known.get(&template).and_then(Weak::upgrade) {
            debug_assert!(Arc::ptr_eq(&known.spec, &pod.spec) && Arc::ptr_eq(&known.labels, &pod.labels));
            return known;
        }
        if self.known.len() >= 2 * self.swept_len.max(SWEPT_LEN_LEAST) {
            self.known.retain(|_, asks| asks.strong_count() > 0);
            self.swept_len = self.known.len();
        }
        let asks = Arc::new(Asks::new(pod));
        self.known.insert(template, Arc::downgrade(&asks));
        asks
    }
}

/// Whether a pod holds resources of its node.
pub(crate) fn occupies(pod: &PodView) -> bool {
    pod.has_node() && !pod.is_terminal()
}

/// Whether a pod waits for this scheduler.
pub(crate) fn waits(pod: &PodView, scheduler: &str) -> bool {
    let named = Some(&*pod.spec.scheduler_name).filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER);
    named == scheduler && !pod.has_node() && !pod.is_ending() && !pod.spec.is_gated && !pod.is_terminal()
}

fn host_ports(spec: &Spec) -> SmallVec<[HostPort; 1]> {
    let ports = spec.staying().flat_map(|container| container.ports.iter().flatten());
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
    node_selector: &'a Option<BTreeMap<String, String>>,
    node_affinity: Option<&'a k8s_openapi::api::core::v1::NodeAffinity>,
    tolerations: &'a [Toleration],
    overhead: &'a Option<resources::Amounts>,
    resources: &'a Option<k8s_openapi::api::core::v1::ResourceRequirements>,
    containers: &'a [Container],
    init_containers: &'a [Container],
}

fn shape(spec: &Spec) -> u128 {
    let asked = Asked {
        node_selector: &spec.node_selector,
        node_affinity: spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()),
        tolerations: &spec.tolerations,
        overhead: &spec.overhead,
        resources: &spec.resources,
        containers: &spec.containers,
        init_containers: &spec.init_containers,
    };
    hash_of(&asked)
}

fn hash_of(fields: &impl Serialize) -> u128 {
    let mut hash = Hash128::default();
    serde_json::to_writer(&mut hash, fields).expect("decoded fields encode, and a hash takes all bytes");
    hash.value()
}

/// What the relations to other pods depend on, beside the shape.
#[derive(Serialize)]
struct Related<'a> {
    namespace: &'a str,
    labels: &'a Labels,
    near: Option<&'a k8s_openapi::api::core::v1::PodAffinity>,
    apart: Option<&'a k8s_openapi::api::core::v1::PodAntiAffinity>,
    spread: &'a [k8s_openapi::api::core::v1::TopologySpreadConstraint],
}

fn alike(pod: &PodView, shape: u128) -> u128 {
    let affinity = pod.spec.affinity.as_ref();
    let related = Related {
        namespace: pod.namespace(),
        labels: &pod.labels,
        near: affinity.and_then(|affinity| affinity.pod_affinity.as_ref()),
        apart: affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref()),
        spread: &pod.spec.spread,
    };
    hash_of(&(shape, related))
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
