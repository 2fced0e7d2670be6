//! What a pod uses, and what a quota demands that its containers say.
//!
//! A pod that has ended uses nothing but its place in the store; one that was told to end uses what it has until its
//! grace is over, so that a lost node's pods do not keep their namespace full.

use super::measure::{Amounts, Measured, ONE, parsed};
use super::scope::Traits;
use api::Object;
use api::core::pod::{container_limits, container_requests, qos_class};
use api::core::resources::is_extended;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodAffinityTerm, PodSpec, ResourceRequirements, WeightedPodAffinityTerm,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

const HUGE_PAGES: &str = "hugepages-";
const REQUESTS: &str = "requests.";
const LIMITS: &str = "limits.";
/// What a container asks for counts under its own name too.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Resources that every container must name once a quota bounds them.
const DEMANDED: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
/// What a pod may ask for as a whole.
const OF_PODS: [&str; 2] = ["cpu", "memory"];

/// Whether a quota on this name bounds pods.
pub(super) fn bounds(name: &str) -> bool {
    let (requested, limited) = (name.strip_prefix(REQUESTS), name.strip_prefix(LIMITS));
    name == "pods"
        || COMPUTE.contains(&requested.or(limited).unwrap_or(name))
        || requested.unwrap_or(name).starts_with(HUGE_PAGES)
        || requested.is_some_and(is_extended)
}

pub(super) fn measure(object: &dyn Object, measured: &mut Measured, now: Timestamp) {
    let Some(pod) = object.downcast::<Pod>() else { return };
    let spec = pod.spec.as_ref();
    measured.now.traits = Traits::Pod {
        is_bounded_in_time: spec.and_then(|spec| spec.active_deadline_seconds).is_some_and(|seconds| seconds >= 0),
        is_best_effort: spec.is_none_or(|spec| qos_class(spec) == "BestEffort"),
        priority_class: spec.and_then(|spec| spec.priority_class_name.clone()).filter(|name| !name.is_empty()),
        looks_abroad: spec.is_some_and(looks_abroad),
    };
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Failed" | "Succeeded")) {
        return;
    }
    let ends = ends_at(pod);
    if ends.is_some_and(|ends| ends < now) {
        return;
    }
    let ended = measured.now.clone();
    measured.now.amounts.insert("pods".to_owned(), ONE);
    if let Some(spec) = spec {
        compute(pod, spec, &mut measured.now.amounts);
    }
    measured.later = ends.map(|ends| (ends, ended));
}

/// When a pod that was told to end no longer counts, as upstream reckons it: a grace after the end of its grace.
fn ends_at(pod: &Pod) -> Option<Timestamp> {
    let (until, grace) = (pod.metadata.deletion_timestamp.as_ref()?, pod.metadata.deletion_grace_period_seconds?);
    until.0.checked_add(SignedDuration::from_secs(grace)).ok()
}

fn compute(pod: &Pod, spec: &PodSpec, used: &mut Amounts) {
    let resized = resized(pod, spec);
    let actual = resized.as_ref().unwrap_or(spec);
    let own = spec.resources.as_ref();
    let requests = whole(container_requests(actual), own.and_then(|own| own.requests.as_ref()), spec, false);
    let limits = whole(container_limits(actual), own.and_then(|own| own.limits.as_ref()), spec, true);
    add_named(&requests, &limits, used);
}

/// Under the names that quotas know.
fn add_named(requests: &Amounts, limits: &Amounts, used: &mut Amounts) {
    for (name, amount) in requests {
        if COMPUTE.contains(&name.as_str()) || name.starts_with(HUGE_PAGES) {
            used.insert(name.clone(), *amount);
            used.insert(format!("{REQUESTS}{name}"), *amount);
        } else if is_extended(name) {
            used.insert(format!("{REQUESTS}{name}"), *amount);
        }
    }
    for (name, amount) in limits.iter().filter(|(name, _)| COMPUTE.contains(&name.as_str())) {
        used.insert(format!("{LIMITS}{name}"), *amount);
    }
}

type List = BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

/// What the pod as a whole says goes before the sum of its containers; its overhead comes on top, of limits only where
/// there is one.
fn whole(mut sum: Amounts, own: Option<&List>, spec: &PodSpec, only_present: bool) -> Amounts {
    let of_pods = |name: &str| OF_PODS.contains(&name) || name.starts_with(HUGE_PAGES);
    sum.extend(parsed(own).into_iter().filter(|(name, _)| of_pods(name)));
    for (name, more) in parsed(spec.overhead.as_ref()) {
        match sum.get_mut(&name) {
            Some(amount) => *amount = amount.checked_add(more).unwrap_or(*amount),
            None if !only_present => drop(sum.insert(name, more)),
            None => {}
        }
    }
    sum
}

/// The spec as the node still holds it while a resize is under way: the most of what is asked for, what was promised
/// and what is in force. `None` where nothing is known to differ.
fn resized(pod: &Pod, spec: &PodSpec) -> Option<PodSpec> {
    let status = pod.status.as_ref()?;
    let statuses = || {
        let lists = [&status.container_statuses, &status.init_container_statuses];
        lists.into_iter().flatten().flatten()
    };
    let says = |status: &ContainerStatus| status.resources.is_some() || status.allocated_resources.is_some();
    if !statuses().any(says) {
        return None;
    }
    let is_infeasible =
        status.conditions.iter().flatten().any(|condition| {
            condition.type_ == "PodResizePending" && condition.reason.as_deref() == Some("Infeasible")
        });
    let mut actual = spec.clone();
    let containers = actual.containers.iter_mut().chain(actual.init_containers.iter_mut().flatten());
    for container in containers {
        if let Some(status) = statuses().find(|status| status.name == container.name).filter(|status| says(status)) {
            container.resources = Some(in_force(container, status, is_infeasible));
        }
    }
    Some(actual)
}

/// A resize that the node cannot grant holds nothing.
fn in_force(container: &Container, status: &ContainerStatus, is_infeasible: bool) -> ResourceRequirements {
    let asked = container.resources.clone().unwrap_or_default();
    let actual = status.resources.clone().unwrap_or_default();
    let most = |lists: [Option<&List>; 3]| {
        let mut most = Amounts::new();
        for (name, amount) in lists.into_iter().flat_map(parsed) {
            let entry = most.entry(name).or_insert(amount);
            *entry = (*entry).max(amount);
        }
        Some(most.into_iter().map(|(name, amount)| (name, amount.into())).collect())
    };
    let wanted = |list| Option::filter(list, |_| !is_infeasible);
    ResourceRequirements {
        requests: most([
            wanted(asked.requests.as_ref()),
            status.allocated_resources.as_ref(),
            actual.requests.as_ref(),
        ]),
        limits: most([wanted(asked.limits.as_ref()), actual.limits.as_ref(), None]),
        claims: asked.claims,
    }
}

fn looks_abroad(spec: &PodSpec) -> bool {
    let Some(affinity) = &spec.affinity else { return false };
    let abroad = |term: &PodAffinityTerm| {
        term.namespaces.as_ref().is_some_and(|names| !names.is_empty()) || term.namespace_selector.is_some()
    };
    let weighted = |term: &WeightedPodAffinityTerm| abroad(&term.pod_affinity_term);
    let near = affinity.pod_affinity.as_ref().is_some_and(|own| {
        own.required_during_scheduling_ignored_during_execution.iter().flatten().any(abroad)
            || own.preferred_during_scheduling_ignored_during_execution.iter().flatten().any(weighted)
    });
    let far = affinity.pod_anti_affinity.as_ref().is_some_and(|own| {
        own.required_during_scheduling_ignored_during_execution.iter().flatten().any(abroad)
            || own.preferred_during_scheduling_ignored_during_execution.iter().flatten().any(weighted)
    });
    near || far
}

/// What of a quota's names some container leaves unsaid, in upstream's words. A pod that speaks for its containers
/// says enough.
pub(super) fn unsaid<'a>(pod: &Pod, hard: impl Iterator<Item = &'a String>) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let speaks = |own: &ResourceRequirements| {
        let names = own.requests.iter().flatten().chain(own.limits.iter().flatten()).map(|(name, _)| name);
        names.into_iter().any(|name| OF_PODS.contains(&name.as_str()) || name.starts_with(HUGE_PAGES))
    };
    if spec.resources.as_ref().is_some_and(speaks) {
        return None;
    }
    let demanded: Vec<&str> = hard.map(String::as_str).filter(|name| DEMANDED.contains(name)).collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        let own = container.resources.as_ref();
        let mut said = Amounts::new();
        let requests = parsed(own.and_then(|own| own.requests.as_ref()));
        add_named(&requests, &parsed(own.and_then(|own| own.limits.as_ref())), &mut said);
        for name in demanded.iter().filter(|name| !said.contains_key(**name)) {
            missing.entry(name).or_default().insert(&container.name);
        }
    }
    let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(",");
    let texts: Vec<String> = missing.iter().map(|(name, of)| format!("{name} for: {}", list(of))).collect();
    (!texts.is_empty()).then(|| format!("must specify {}", texts.join("; ")))
}
