//! Metrics that other servers serve behind the API server: of pods and objects, and of what is outside the cluster.

use super::metric::Reading;
use super::pods::{Sample, Samples};
use api::ResourceDef;
use api::quantity::Quantity;
use api::selector::Selector;
use client::{Client, ForeignRead};
use k8s_openapi::api::autoscaling::v2::{CrossVersionObjectReference, MetricIdentifier};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use serde::Deserialize;

const CUSTOM: &str = "custom.metrics.k8s.io";
/// The newest first.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];
const EXTERNAL: &str = "external.metrics.k8s.io";
/// What a server that does not say is taken to have measured over.
const WINDOW_SECONDS: i64 = 60;

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    items: Vec<Item>,
}

/// A value of either group, in any of their versions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    described_object: CrossVersionObjectReference,
    timestamp: Time,
    window_seconds: Option<i64>,
    value: ApiQuantity,
}

impl Item {
    fn milli(&self) -> Result<i64, String> {
        let value = Quantity::try_from(&self.value);
        value.map(Quantity::milli_value).map_err(|error| format!("the value {:?}: {error}", self.value.0))
    }
}

fn selector_of(metric: &MetricIdentifier) -> Result<String, String> {
    let selector = metric.selector.as_ref().map(Selector::from_label_selector).transpose();
    Ok(selector.map_err(|error| error.to_string())?.map(|selector| selector.to_string()).unwrap_or_default())
}

fn query(pairs: [(&'static str, String); 2]) -> Vec<(&'static str, String)> {
    pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn decoded(body: &[u8]) -> Result<Vec<Item>, String> {
    serde_json::from_slice(body).map(|listed: Listed| listed.items).map_err(|error| format!("decoding them: {error}"))
}

async fn custom(client: &Client, read: &ForeignRead) -> Result<Vec<Item>, String> {
    let unread = |why: &dyn std::fmt::Display| format!("unable to fetch metrics from custom metrics API: {why}");
    for version in CUSTOM_VERSIONS {
        let read = ForeignRead { group: CUSTOM, version, ..read.clone() };
        if let Some(body) = client.transport().read_foreign(read).await.map_err(|status| unread(&status.message))? {
            return decoded(&body).map_err(|why| unread(&why));
        }
    }
    Err(unread(&"no custom metrics API (custom.metrics.k8s.io) registered"))
}

/// A metric of each pod that is selected.
pub(super) async fn of_pods(
    client: &Client,
    namespace: &str,
    pods: &str,
    metric: &MetricIdentifier,
) -> Result<Reading, String> {
    let read = ForeignRead {
        namespace: namespace.to_owned(),
        resource: "pods".to_owned(),
        name: "*".to_owned(),
        subresource: metric.name.clone(),
        query: query([("labelSelector", pods.to_owned()), ("metricLabelSelector", selector_of(metric)?)]),
        ..ForeignRead::default()
    };
    let items = custom(client, &read).await?;
    if items.is_empty() {
        return Err("no metrics returned from custom metrics API".to_owned());
    }
    let mut samples = Samples::new();
    for item in items {
        let window = SignedDuration::from_secs(item.window_seconds.unwrap_or(WINDOW_SECONDS));
        let sample = Sample { milli: item.milli()?, at: item.timestamp.0, window };
        samples.insert(item.described_object.name, sample);
    }
    Ok(Reading::Pods(samples))
}

/// A metric of one object of the namespace, or of the namespace itself.
pub(super) async fn of_object(
    client: &Client,
    namespace: &str,
    (def, name): (&ResourceDef, &str),
    metric: &MetricIdentifier,
) -> Result<Reading, String> {
    let is_namespace = def.group.is_empty() && def.kind == "Namespace";
    let (resource, name, subresource) = match is_namespace {
        // Whatever name is given: nobody looks into another namespace.
        true => ("metrics".to_owned(), metric.name.clone(), String::new()),
        false => (def.group_resource(), name.to_owned(), metric.name.clone()),
    };
    let query = query([("metricLabelSelector", selector_of(metric)?), ("labelSelector", String::new())]);
    let namespace = namespace.to_owned();
    let read = ForeignRead { namespace, resource, name, subresource, query, ..ForeignRead::default() };
    match custom(client, &read).await?.as_slice() {
        [item] => item.milli().map(Reading::Total),
        items => {
            let count = items.len();
            Err(format!("the custom metrics API server returned {count} results when we asked for exactly one"))
        }
    }
}

/// The sum of all that the metric's selector finds.
pub(super) async fn external(client: &Client, namespace: &str, metric: &MetricIdentifier) -> Result<Reading, String> {
    let read = ForeignRead {
        group: EXTERNAL,
        version: "v1beta1",
        namespace: namespace.to_owned(),
        resource: metric.name.clone(),
        query: query([("labelSelector", selector_of(metric)?), ("metricLabelSelector", String::new())]),
        ..ForeignRead::default()
    };
    let unread = |why: &dyn std::fmt::Display| format!("unable to fetch metrics from external metrics API: {why}");
    let body = client.transport().read_foreign(read).await.map_err(|status| unread(&status.message))?;
    let name = &metric.name;
    let missing = || unread(&format!("the server could not find the requested resource (get {name}.{EXTERNAL})"));
    let items = decoded(&body.ok_or_else(missing)?).map_err(|why| unread(&why))?;
    if items.is_empty() {
        return Err("no metrics returned from external metrics API".to_owned());
    }
    let sum = items.iter().try_fold(0_i64, |sum, item| item.milli().map(|milli| sum.saturating_add(milli)))?;
    Ok(Reading::Total(sum))
}
