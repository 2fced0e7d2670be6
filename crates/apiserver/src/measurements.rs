//! `metrics.k8s.io`, and the paths below `/insight/`: what the cluster uses, as whoever measures it says.
//!
//! Invariants: a pod has metrics only while it is in the registry, under the labels that it has there; a node speaks
//! for itself alone; of a query's answer nobody sees namespaces whose pods' metrics they may not get.

mod paths;

pub(crate) use paths::{PREFIX, answer as answer_path};

use crate::call::Call;
use crate::http::Answer;
use crate::render::{computed, computed_list};
use api::metrics::{NodeMetrics, PodMetrics};
use api::{Kind, ResourceDef, Status};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use registry::{Entry, ListQuery, Listing, ReadVersion};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Whose series somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    Everything,
    Namespaces {
        namespaces: BTreeSet<String>,
        /// Those that belong to no namespace.
        nodes: bool,
    },
}

/// A question in Prometheus' HTTP API.
#[derive(Clone, Debug)]
pub struct Question {
    /// What follows `/api/v1/`.
    pub path: String,
    /// Of the query and of a form in the body, decoded.
    pub parameters: Vec<(String, String)>,
    pub visible: Visible,
}

/// Measures the cluster; `Backend::install_measurements`.
#[async_trait]
pub trait Measurements: Send + Sync {
    /// Of each node of which enough is known; names, times and amounts only.
    fn nodes(&self) -> Vec<NodeMetrics>;
    /// Likewise of the pods of a namespace, of all where it is empty; the uid is that of the pod that was measured.
    fn pods(&self, namespace: &str) -> Vec<PodMetrics>;
    /// Takes what `node` says that it measured. An error, which the node's log shows, says why not.
    fn take(&self, node: &str, sample: Bytes) -> Result<(), String>;
    /// The HTTP status and the JSON of the answer.
    async fn ask(&self, question: Question) -> (u16, Bytes);
}

/// Answers a get or list that has been authorized.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Answer, Status> {
    let measurements = installed(call)?;
    let is_pods = call.def().kind == PodMetrics::DEF.kind;
    match (call.info.verb, call.info.name) {
        ("list", "") if is_pods => computed_list(call, &pods(call, measurements.pods(call.namespace())).await?),
        ("list", "") => computed_list(call, &nodes(call, measurements.nodes()).await?),
        ("get", name) if !name.is_empty() && is_pods => one_pod(call, measurements.pods(call.namespace()), name),
        ("get", name) if !name.is_empty() => one_node(call, measurements.nodes(), name),
        _ => Err(Status::method_not_allowed()),
    }
}

fn installed<'a>(call: &Call<'a>) -> Result<&'a Arc<dyn Measurements>, Status> {
    call.backend.measurements().ok_or_else(|| Status::unavailable("nothing measures this cluster"))
}

/// What the registry has of the measured kind, as the call selects it.
async fn listing(call: &Call<'_>, of: &ResourceDef) -> Result<Listing, Status> {
    let query = ListQuery { version: ReadVersion::Any, ..ListQuery::all(call.selection()?) };
    call.registry().list(call.registry().resource(of)?.as_ref(), &query).await
}

/// Of a measured object what its metrics show: the rest of it is not decoded.
#[derive(serde::Deserialize)]
struct Measured {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl Measured {
    fn of(entry: &Entry) -> Result<Measured, Status> {
        let mut metadata = Vec::new();
        entry.write_metadata(&mut metadata);
        let failed = |error| Status::internal(format!("decoding the metadata of {}: {error}", entry.key()));
        serde_json::from_slice(&metadata).map_err(failed)
    }

    /// The metadata of metrics: the object's own name and labels, and the moment of reading.
    fn metadata(self, call: &Call<'_>) -> ObjectMeta {
        ObjectMeta {
            name: self.name,
            namespace: self.namespace,
            labels: self.labels,
            creation_timestamp: Some(Time(call.registry().now())),
            ..ObjectMeta::default()
        }
    }
}

async fn pods(call: &Call<'_>, measured: Vec<PodMetrics>) -> Result<Vec<PodMetrics>, Status> {
    let key = |meta: &ObjectMeta| (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    let mut measured: HashMap<_, _> = measured.into_iter().map(|pod| (key(&pod.metadata), pod)).collect();
    let listing = listing(call, &Pod::DEF).await?;
    let mut answer = Vec::new();
    for entry in &listing.entries {
        let own = measured.remove(&(entry.namespace().to_owned(), entry.name().to_owned()));
        let Some(own) = own else { continue };
        let pod = Measured::of(entry)?;
        // Another pod of the same name has not been measured yet.
        if pod.uid == own.metadata.uid {
            answer.push(PodMetrics { metadata: pod.metadata(call), ..own });
        }
    }
    Ok(answer)
}

async fn nodes(call: &Call<'_>, measured: Vec<NodeMetrics>) -> Result<Vec<NodeMetrics>, Status> {
    let mut measured: HashMap<_, _> = measured.into_iter().map(|node| (node.metadata.name.clone(), node)).collect();
    let listing = listing(call, &Node::DEF).await?;
    let mut answer = Vec::new();
    for entry in &listing.entries {
        let Some(own) = measured.remove(&Some(entry.name().to_owned())) else { continue };
        answer.push(NodeMetrics { metadata: Measured::of(entry)?.metadata(call), ..own });
    }
    Ok(answer)
}

/// As metrics-server words it: the measured object under its own name, its metrics under their kind's.
fn missing(call: &Call<'_>, of: &ResourceDef, name: &str, exists: bool) -> Status {
    let name = if of.namespaced() { format!("{}/{name}", call.namespace()) } else { name.to_owned() };
    if exists {
        let def = ResourceDef { plural: call.def().singular, ..*call.def() };
        return Status::not_found(&def, &name);
    }
    Status::not_found(of, &name)
}

fn present(call: &Call<'_>, of: &ResourceDef, name: &str) -> Result<Arc<Entry>, Status> {
    let entry = call.registry().resource(of)?.get(call.namespace(), name);
    entry.ok_or_else(|| missing(call, of, name, false))
}

fn one_pod(call: &Call<'_>, measured: Vec<PodMetrics>, name: &str) -> Result<Answer, Status> {
    let entry = present(call, &Pod::DEF, name)?;
    let pod = Measured::of(&entry)?;
    let found = measured.into_iter().find(|found| found.metadata.uid == pod.uid);
    let own = found.ok_or_else(|| missing(call, &Pod::DEF, name, true))?;
    computed(call, &PodMetrics { metadata: pod.metadata(call), ..own })
}

fn one_node(call: &Call<'_>, measured: Vec<NodeMetrics>, name: &str) -> Result<Answer, Status> {
    let entry = present(call, &Node::DEF, name)?;
    let found = measured.into_iter().find(|node| node.metadata.name.as_deref() == Some(name));
    let own = found.ok_or_else(|| missing(call, &Node::DEF, name, true))?;
    computed(call, &NodeMetrics { metadata: Measured::of(&entry)?.metadata(call), ..own })
}
