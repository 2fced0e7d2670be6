//! What is odd about an object though it is valid: one row per kind, in upstream's words. Pure.
//!
//! A change through the object's own path is looked at; templates only when the spec has changed.

mod pods;
#[cfg(test)]
mod tests;

use crate::core::resources::ResourceList;
use crate::field::FieldPath;
use crate::quantity::Quantity;
use crate::{Kind, Object, ResourceDef};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod, PodTemplate,
    PodTemplateSpec, ReplicationController, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::node::v1::RuntimeClass;

type Say = fn(&dyn Object, Option<&dyn Object>) -> Option<Vec<String>>;

/// Each row speaks of one kind and is silent about all others.
const TABLE: &[Say] = &[pod, made_of_template, service, ingress, volume, claim, account, runtime_class];

/// Where a kind keeps the template of its pods; `None`: it is of another kind, or has none.
type Find = fn(&dyn Object) -> Option<&PodTemplateSpec>;

struct Templated {
    def: &'static ResourceDef,
    path: &'static [&'static str],
    find: Find,
    /// Whether its pods' names begin with its own.
    lends_its_name: bool,
}

const fn templated(
    def: &'static ResourceDef,
    path: &'static [&'static str],
    lends_its_name: bool,
    find: Find,
) -> Templated {
    Templated { def, path, find, lends_its_name }
}

const TEMPLATES: &[Templated] = &[
    templated(&PodTemplate::DEF, &["template"], false, |object| object.downcast::<PodTemplate>()?.template.as_ref()),
    templated(&ReplicationController::DEF, &["spec", "template"], true, |object| {
        object.downcast::<ReplicationController>()?.spec.as_ref()?.template.as_ref()
    }),
    templated(&ReplicaSet::DEF, &["spec", "template"], true, |object| {
        object.downcast::<ReplicaSet>()?.spec.template.as_ref()
    }),
    templated(&Deployment::DEF, &["spec", "template"], true, |object| {
        Some(&object.downcast::<Deployment>()?.spec.template)
    }),
    templated(&DaemonSet::DEF, &["spec", "template"], false, |object| {
        Some(&object.downcast::<DaemonSet>()?.spec.template)
    }),
    templated(&StatefulSet::DEF, &["spec", "template"], false, |object| {
        Some(&object.downcast::<StatefulSet>()?.spec.template)
    }),
    templated(&Job::DEF, &["spec", "template"], true, |object| {
        Some(&object.downcast::<Job>()?.spec.as_ref()?.template)
    }),
    templated(&CronJob::DEF, &["spec", "jobTemplate", "spec", "template"], true, |object| {
        Some(&object.downcast::<CronJob>()?.spec.job_template.spec.as_ref()?.template)
    }),
];

/// The template by which an object of whatever kind makes pods.
pub fn template(object: &dyn Object) -> Option<&PodTemplateSpec> {
    TEMPLATES.iter().find_map(|row| (row.find)(object))
}

/// Whether objects of the kind make pods by a template.
pub fn is_templated(def: &ResourceDef) -> bool {
    TEMPLATES.iter().any(|row| row.def.group == def.group && row.def.plural == def.plural)
}

/// What there is to warn of, of an object about to be stored.
pub fn of(object: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
    TABLE.iter().find_map(|say| say(object, old)).unwrap_or_default()
}

const DEPRECATED_NODE_LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
];
const STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

fn deprecated_node_label(label: &str) -> Option<&'static str> {
    DEPRECATED_NODE_LABELS.iter().find(|(own, _)| *own == label).map(|(_, message)| *message)
}

/// `below`: the field between the list's element and the term.
fn node_selector_terms<'a>(
    path: &FieldPath,
    terms: impl Iterator<Item = &'a NodeSelectorTerm>,
    below: &str,
) -> Vec<String> {
    let mut said = Vec::new();
    for (index, term) in terms.enumerate() {
        let path = path.index(index);
        let path = if below.is_empty() { path } else { path.child(below) };
        for (index, expression) in term.match_expressions.iter().flatten().enumerate() {
            if let Some(message) = deprecated_node_label(&expression.key) {
                let path = path.child("matchExpressions").index(index).child("key");
                said.push(format!("{path}: {} is {message}", expression.key));
            }
        }
    }
    said
}

/// An amount of bytes that is not whole.
fn fraction(path: &FieldPath, list: Option<&ResourceList>, resource: &str) -> Option<String> {
    let amount = Quantity::try_from(list?.get(resource)?).ok()?;
    let text = || {
        format!("{}: fractional byte value {:?} is invalid, must be an integer", path.key(resource), amount.to_string())
    };
    (amount.milli_value() % 1000 != 0).then(text)
}

fn pod(object: &dyn Object, old: Option<&dyn Object>) -> Option<Vec<String>> {
    object.downcast::<Pod>().map(|pod| pods::of_pod(pod, old.is_none()))
}

fn made_of_template(object: &dyn Object, old: Option<&dyn Object>) -> Option<Vec<String>> {
    let (row, template) = TEMPLATES.iter().find_map(|row| Some((row, (row.find)(object)?)))?;
    let mut said = Vec::new();
    if row.lends_its_name && old.is_none() {
        said.extend(pods::name(object.meta().name.as_deref(), "Pod names and hostnames"));
    }
    if old.is_none_or(|old| (row.find)(old) != Some(template)) {
        let mut path = FieldPath::default();
        for field in row.path {
            path = path.child(field);
        }
        said.extend(pods::of_template(&path, template));
    }
    if object.downcast::<StatefulSet>().is_some_and(|set| set.spec.revision_history_limit.is_some_and(|most| most < 0))
    {
        let why = "a negative value retains all historical revisions; a value >= 0 is recommended";
        said.push(format!("spec.revisionHistoryLimit: {why}"));
    }
    Some(said)
}

fn has(object: &dyn Object, annotation: &str) -> bool {
    object.meta().annotations.as_ref().is_some_and(|own| own.contains_key(annotation))
}

/// An IPv6 address or prefix that is not written as it would be printed.
fn address(path: &FieldPath, text: &str, what: &str, printed: Option<String>) -> Option<String> {
    let printed = printed.filter(|printed| printed.contains(':') && printed != text)?;
    Some(format!(
        "{path}: IPv6 {what} {text:?} is not in RFC 5952 canonical format ({printed:?}), which may cause controller \
         apply-loops"
    ))
}

fn ip(path: &FieldPath, text: &str) -> Option<String> {
    address(path, text, "address", text.parse::<std::net::IpAddr>().ok().map(|own| own.to_string()))
}

fn cidr(path: &FieldPath, text: &str) -> Option<String> {
    let (address_text, length) = text.split_once('/')?;
    let parsed = address_text.parse::<std::net::IpAddr>().ok()?;
    address(path, text, "prefix", Some(format!("{parsed}/{length}")))
}

fn service(object: &dyn Object, _: Option<&dyn Object>) -> Option<Vec<String>> {
    let spec = object.downcast::<Service>()?.spec.as_ref()?;
    let mut said = Vec::new();
    let path = FieldPath::new("spec");
    if has(object, TOPOLOGY_HINTS) {
        said.push(format!("annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"));
    }
    let lists = [("clusterIPs", &spec.cluster_ips), ("externalIPs", &spec.external_ips)];
    let ips = |(field, list): (&str, &Option<Vec<String>>)| -> Vec<String> {
        let list = list.iter().flatten().filter(|text| *text != "None").enumerate();
        list.filter_map(|(index, text)| ip(&path.child(field).index(index), text)).collect()
    };
    let [cluster_ips, external_ips] = lists;
    said.extend(ips(cluster_ips));
    let balancer = spec.load_balancer_ip.as_deref().filter(|text| !text.is_empty());
    let has_external_ips = spec.external_ips.as_ref().is_some_and(|list| !list.is_empty());
    if spec.cluster_ip.as_deref() == Some("None") && spec.type_.as_deref() == Some("ClusterIP") {
        let ignored = [
            (balancer.is_some(), "loadBalancerIP"),
            (has_external_ips, "externalIPs"),
            (spec.session_affinity.as_deref().is_some_and(|affinity| affinity != "None"), "SessionAffinity"),
        ];
        let ignored = ignored.into_iter().filter(|(is_set, _)| *is_set);
        said.extend(ignored.map(|(_, field)| format!("spec.{field} is ignored for headless services")));
    }
    said.extend(ips(external_ips));
    said.extend(balancer.and_then(|text| ip(&path.child("loadBalancerIP"), text)));
    for (index, text) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        said.extend(cidr(&path.child("loadBalancerSourceRanges").index(index), text));
    }
    let is_external = spec.type_.as_deref() == Some("ExternalName");
    if is_external && has_external_ips {
        said.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !is_external && spec.external_name.as_deref().is_some_and(|name| !name.is_empty()) {
        said.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.traffic_distribution.as_deref() == Some("PreferClose") {
        said.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
    Some(said)
}

fn ingress(object: &dyn Object, old: Option<&dyn Object>) -> Option<Vec<String>> {
    object.downcast::<Ingress>()?;
    let is_odd = old.is_none() && has(object, INGRESS_CLASS);
    let text = || format!("annotation {INGRESS_CLASS:?} is deprecated, please use 'spec.ingressClassName' instead");
    Some(is_odd.then(text).into_iter().collect())
}

fn old_storage_class(object: &dyn Object) -> Option<String> {
    let text = || {
        format!(
            "metadata.annotations[{STORAGE_CLASS}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        )
    };
    has(object, STORAGE_CLASS).then(text)
}

fn volume(object: &dyn Object, _: Option<&dyn Object>) -> Option<Vec<String>> {
    let spec = object.downcast::<PersistentVolume>()?.spec.as_ref()?;
    let mut said = Vec::from_iter(old_storage_class(object));
    if spec.persistent_volume_reclaim_policy.as_deref() == Some("Recycle") {
        let why = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
        said.push(format!("spec.persistentVolumeReclaimPolicy: {why}"));
    }
    if let Some(required) = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref()) {
        let path = FieldPath::new("spec").child("nodeAffinity").child("required").child("nodeSelectorTerms");
        said.extend(node_selector_terms(&path, required.node_selector_terms.iter(), ""));
    }
    Some(said)
}

fn claim(object: &dyn Object, _: Option<&dyn Object>) -> Option<Vec<String>> {
    let spec = object.downcast::<PersistentVolumeClaim>()?.spec.as_ref()?;
    let mut said = Vec::from_iter(old_storage_class(object));
    said.extend(claim_spec(&FieldPath::new("spec"), spec));
    Some(said)
}

fn claim_spec(path: &FieldPath, spec: &PersistentVolumeClaimSpec) -> Vec<String> {
    let path = path.child("resources");
    let own = spec.resources.as_ref();
    let requests = fraction(&path.child("requests"), own.and_then(|own| own.requests.as_ref()), "storage");
    let limits = fraction(&path.child("limits"), own.and_then(|own| own.limits.as_ref()), "storage");
    requests.into_iter().chain(limits).collect()
}

fn account(object: &dyn Object, _: Option<&dyn Object>) -> Option<Vec<String>> {
    object.downcast::<ServiceAccount>()?;
    let text = || {
        format!(
            "metadata.annotations[{MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate \
             access to mounted secrets"
        )
    };
    Some(has(object, MOUNTABLE_SECRETS).then(text).into_iter().collect())
}

fn runtime_class(object: &dyn Object, _: Option<&dyn Object>) -> Option<Vec<String>> {
    let class = object.downcast::<RuntimeClass>()?;
    let labels = class.scheduling.iter().flat_map(|own| own.node_selector.iter().flatten()).map(|(label, _)| label);
    let said = labels.filter_map(|label| deprecated_node_label(label));
    Some(said.map(|message| format!("scheduling.nodeSelector: {message}")).collect())
}
