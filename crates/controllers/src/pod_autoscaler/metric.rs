//! What one metric of an autoscaler asks for, and how that is told. Pure.

use super::pods::{self, Sample, Samples};
use super::replicas::{Goal, Tolerances, by_part, by_pods, by_total};
use api::quantity::Quantity;
use client::PodView;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricStatus, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ObjectMetricStatus, PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// What was read for a metric.
#[derive(Debug)]
pub(super) enum Reading {
    Pods(Samples),
    /// In thousandths.
    Total(i64),
}

/// What an autoscaler's metrics are judged by.
pub(super) struct View<'a> {
    pub(super) namespace: &'a str,
    pub(super) pods: &'a [Arc<PodView>],
    /// As many as are wanted now.
    pub(super) wanted: i32,
    /// As many as there are.
    pub(super) present: i32,
    pub(super) tolerances: Tolerances,
    pub(super) now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal {
    pub(super) replicas: i32,
    /// What the metric is called in messages.
    pub(super) name: String,
    pub(super) status: MetricStatus,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    /// In the metric's own condition and event.
    pub(super) inner: String,
    /// In the list of failures.
    pub(super) outer: String,
}

fn milli(amount: &ApiQuantity) -> i64 {
    Quantity::try_from(amount).map_or(0, Quantity::milli_value)
}

fn quantity(milli: i64) -> Option<ApiQuantity> {
    Some(ApiQuantity(Quantity::from_milli(milli).to_string()))
}

/// Judges what was read.
pub(super) fn propose(
    spec: &MetricSpec,
    reading: Result<Reading, String>,
    view: &View<'_>,
) -> Result<Proposal, Failure> {
    match spec.type_.as_str() {
        "Resource" => resource(spec, reading, view),
        "ContainerResource" => container_resource(spec, reading, view),
        "Pods" => of_pods(spec, reading, view),
        "Object" => of_object(spec, reading, view),
        "External" => external(spec, reading, view),
        other => {
            let why = format!("unknown metric source type {other:?}");
            Err(Failure { reason: "InvalidMetricSourceType", inner: why.clone(), outer: why })
        }
    }
}

/// Validation keeps such objects out.
fn no_source() -> String {
    "the metric has no source of its type".to_owned()
}

fn samples(reading: Result<Reading, String>) -> Result<Samples, String> {
    match reading? {
        Reading::Pods(samples) => Ok(samples),
        Reading::Total(_) => Err("a total was read where pods were asked for".to_owned()),
    }
}

fn total(reading: Result<Reading, String>) -> Result<i64, String> {
    match reading? {
        Reading::Total(total) => Ok(total),
        Reading::Pods(_) => Err("pods were read where a total was asked for".to_owned()),
    }
}

/// A resource of whole pods, or where `container` is not empty of that container in each.
fn of_resource(
    (name, container): (&str, &str),
    target: &MetricTarget,
    reading: Result<Reading, String>,
    view: &View<'_>,
) -> Result<(i32, MetricValueStatus), String> {
    let goal = match (&target.average_value, target.average_utilization) {
        (Some(value), _) => Goal::Milli(milli(value)),
        (None, Some(percent)) => Goal::Percent(percent),
        (None, None) => {
            return Err("invalid resource metric source: neither an average utilization target nor an average value \
                        (usage) target was set"
                .to_owned());
        }
    };
    let is_percent = matches!(goal, Goal::Percent(_));
    let what = if is_percent { "utilization" } else { "usage" };
    let judged = samples(reading).map_err(|why| format!("unable to get metrics for resource {name}: {why}"));
    let judged = judged.and_then(|samples| {
        let request = |pod: &PodView| if is_percent { pods::request(pod, container, name) } else { Ok(0) };
        by_samples(&samples, name, goal, view, request)
    });
    let (replicas, average) = judged.map_err(|why| format!("failed to get {name} {what}: {why}"))?;
    let current = MetricValueStatus {
        average_utilization: is_percent.then_some(average.percent),
        average_value: quantity(average.milli),
        value: None,
    };
    Ok((replicas, current))
}

fn by_samples(
    samples: &Samples,
    resource: &str,
    goal: Goal,
    view: &View<'_>,
    request: impl Fn(&PodView) -> Result<i64, String>,
) -> Result<(i32, super::replicas::Average), String> {
    if view.pods.is_empty() {
        return Err(pods::NO_PODS.to_owned());
    }
    let measured = pods::measured(view.pods, samples, resource, view.now, request)?;
    by_pods(&measured, goal, view.tolerances, view.wanted)
}

fn resource(spec: &MetricSpec, reading: Result<Reading, String>, view: &View<'_>) -> Result<Proposal, Failure> {
    let failure = |name: &str| {
        let name = name.to_owned();
        move |inner: String| Failure {
            reason: "FailedGetResourceMetric",
            outer: format!("failed to get {name} resource metric value: {inner}"),
            inner,
        }
    };
    let source = spec.resource.as_ref().ok_or_else(|| failure("")(no_source()))?;
    let judged = of_resource((&source.name, ""), &source.target, reading, view);
    let (replicas, current) = judged.map_err(failure(&source.name))?;
    let name = match current.average_utilization {
        Some(_) => format!("{} resource utilization (percentage of request)", source.name),
        None => format!("{} resource", source.name),
    };
    let status = MetricStatus {
        type_: spec.type_.clone(),
        resource: Some(ResourceMetricStatus { name: source.name.clone(), current }),
        ..MetricStatus::default()
    };
    Ok(Proposal { replicas, name, status })
}

fn container_resource(
    spec: &MetricSpec,
    reading: Result<Reading, String>,
    view: &View<'_>,
) -> Result<Proposal, Failure> {
    let failure = |container: &str| {
        let container = container.to_owned();
        move |inner: String| Failure {
            reason: "FailedGetContainerResourceMetric",
            outer: format!("failed to get {container} container metric value: {inner}"),
            inner,
        }
    };
    let source = spec.container_resource.as_ref().ok_or_else(|| failure("")(no_source()))?;
    let judged = of_resource((&source.name, &source.container), &source.target, reading, view);
    let (replicas, current) = judged.map_err(failure(&source.container))?;
    let name = match current.average_utilization {
        Some(_) => format!("{} container resource utilization (percentage of request)", source.name),
        None => format!("{} resource", source.name),
    };
    let (resource, container) = (source.name.clone(), source.container.clone());
    let status = MetricStatus {
        type_: spec.type_.clone(),
        container_resource: Some(ContainerResourceMetricStatus { name: resource, container, current }),
        ..MetricStatus::default()
    };
    Ok(Proposal { replicas, name, status })
}

fn of_pods(spec: &MetricSpec, reading: Result<Reading, String>, view: &View<'_>) -> Result<Proposal, Failure> {
    let failure = |inner: String| Failure {
        reason: "FailedGetPodsMetric",
        outer: format!("failed to get pods metric value: {inner}"),
        inner,
    };
    let source = spec.pods.as_ref().ok_or_else(|| failure(no_source()))?;
    let metric = &source.metric;
    let goal = Goal::Milli(source.target.average_value.as_ref().map_or(0, milli));
    let samples = samples(reading).map_err(|why| failure(format!("unable to get metric {}: {why}", metric.name)))?;
    let (replicas, average) = by_samples(&samples, "", goal, view, |_| Ok(0)).map_err(failure)?;
    let current = MetricValueStatus { average_value: quantity(average.milli), ..MetricValueStatus::default() };
    let status = MetricStatus {
        type_: spec.type_.clone(),
        pods: Some(PodsMetricStatus { metric: metric.clone(), current }),
        ..MetricStatus::default()
    };
    Ok(Proposal { replicas, name: format!("pods metric {}", metric.name), status })
}

/// A total that is to have a value, or of which each replica is to have a part.
fn of_total(
    target: &MetricTarget,
    total_milli: i64,
    view: &View<'_>,
) -> Option<Result<(i32, MetricValueStatus), String>> {
    if let Some(part) = &target.average_value {
        let (replicas, part) = by_part(view.present, total_milli, milli(part), view.tolerances);
        return Some(Ok((
            replicas,
            MetricValueStatus { average_value: quantity(part), ..MetricValueStatus::default() },
        )));
    }
    let ready = || pods::ready_count(view.pods);
    let replicas = by_total(view.wanted, total_milli, milli(target.value.as_ref()?), view.tolerances, ready);
    let current = MetricValueStatus { value: quantity(total_milli), ..MetricValueStatus::default() };
    Some(replicas.map(|replicas| (replicas, current)))
}

fn of_object(spec: &MetricSpec, reading: Result<Reading, String>, view: &View<'_>) -> Result<Proposal, Failure> {
    let failure = |inner: String| Failure {
        reason: "FailedGetObjectMetric",
        outer: format!("failed to get object metric value: {inner}"),
        inner,
    };
    let source = spec.object.as_ref().ok_or_else(|| failure(no_source()))?;
    let (metric, described) = (&source.metric, &source.described_object);
    let total = total(reading).map_err(|why| {
        failure(format!(
            "unable to get metric {}: {} on {} {}/{why}",
            metric.name, described.kind, view.namespace, described.name
        ))
    })?;
    let judged = of_total(&source.target, total, view).unwrap_or_else(|| {
        Err("invalid object metric source: neither a value target nor an average value target was set".to_owned())
    });
    let (replicas, current) = judged.map_err(failure)?;
    let name = match current.value {
        Some(_) => format!("{} metric {}", described.kind, metric.name),
        None => external_name(metric),
    };
    let status = MetricStatus {
        type_: spec.type_.clone(),
        object: Some(ObjectMetricStatus { described_object: described.clone(), metric: metric.clone(), current }),
        ..MetricStatus::default()
    };
    Ok(Proposal { replicas, name, status })
}

fn external(spec: &MetricSpec, reading: Result<Reading, String>, view: &View<'_>) -> Result<Proposal, Failure> {
    let source = spec.external.as_ref();
    let name = source.map_or("", |source| source.metric.name.as_str());
    // Upstream words the two kinds of target apart.
    let what = match source.is_some_and(|source| source.target.average_value.is_some()) {
        true => format!("{name} external metric"),
        false => format!("external metric {name}"),
    };
    let failure = |inner: String| Failure {
        reason: "FailedGetExternalMetric",
        outer: format!("failed to get {name} external metric value: failed to get {what}: {inner}"),
        inner,
    };
    let source = source.ok_or_else(|| failure(no_source()))?;
    let metric = &source.metric;
    let total = total(reading).map_err(|why| {
        let selector = selector_text(metric.selector.as_ref());
        failure(format!("unable to get external metric {}/{name}/{selector}: {why}", view.namespace))
    })?;
    let judged = of_total(&source.target, total, view).unwrap_or_else(|| {
        Err("invalid external metric source: neither a value target nor an average value target was set".to_owned())
    });
    let (replicas, current) = judged.map_err(failure)?;
    let status = MetricStatus {
        type_: spec.type_.clone(),
        external: Some(ExternalMetricStatus { metric: metric.clone(), current }),
        ..MetricStatus::default()
    };
    Ok(Proposal { replicas, name: external_name(metric), status })
}

fn external_name(metric: &MetricIdentifier) -> String {
    format!("external metric {}({})", metric.name, selector_text(metric.selector.as_ref()))
}

/// As upstream's messages print a selector, who prints its own structure.
fn selector_text(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".to_owned() };
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {value},")).collect();
    let expressions = selector.match_expressions.iter().flatten();
    let expressions: String = expressions
        .map(|own| {
            let values = own.values.as_deref().unwrap_or_default().join(" ");
            format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", own.key, own.operator)
        })
        .collect();
    let expressions = format!("MatchExpressions:[]LabelSelectorRequirement{{{expressions}}}");
    format!("&LabelSelector{{MatchLabels:map[string]string{{{labels}}},{expressions},}}")
}

/// Of a container, or where that is empty of all containers of a pod together.
pub(super) fn sample(
    containers: &[(Box<str>, Usage)],
    (resource, container): (&str, &str),
    at: Timestamp,
    window: k8s_openapi::jiff::SignedDuration,
) -> Option<Sample> {
    let own = containers.iter().filter(|(name, _)| container.is_empty() || **name == *container);
    let amount = |usage: &Usage| usage.iter().find(|(name, _)| **name == *resource).map(|(_, milli)| *milli);
    // A sum over a part of the containers would mislead.
    let parts: Option<Vec<i64>> = own.map(|(_, usage)| amount(usage)).collect();
    let parts = parts.filter(|parts| !parts.is_empty())?;
    Some(Sample { milli: parts.into_iter().fold(0, i64::saturating_add), at, window })
}

/// Amounts by resource, in thousandths.
pub(super) type Usage = Vec<(Box<str>, i64)>;
