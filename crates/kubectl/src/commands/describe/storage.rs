//! Claims, volumes and their classes, and the storage drivers of a node.

use super::page::{Page, items, joined, number, or_none, pairs, time};
use super::volumes;
use crate::calls::{name_of, text};
use crate::convert::age;
use crate::print::display;
use serde_json::Value;

/// Where a class was named before it had a member.
const OLD_CLASS: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
const DEFAULT_CLASS: [&str; 2] = [
    "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
    "/metadata/annotations/storageclass.beta.kubernetes.io~1is-default-class",
];
/// In upstream's order.
const MODES: [(&str, &str); 4] =
    [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];

fn class(object: &Value) -> &str {
    let old = text(object, OLD_CLASS);
    if old.is_empty() { text(object, "/spec/storageClassName") } else { old }
}

fn status(object: &Value, page: &mut Page) {
    match text(object, "/metadata/deletionTimestamp") {
        "" => page.pair(0, "Status", text(object, "/status/phase")),
        deleted => page.pair(0, "Status", format_args!("Terminating (lasts {})", age(deleted))),
    }
}

fn finalizers(object: &Value, page: &mut Page) {
    page.pair(0, "Finalizers", format_args!("[{}]", joined(object, "/metadata/finalizers", " ")));
}

fn modes(object: &Value, pointer: &str) -> String {
    let has = |mode: &str| items(object, pointer).iter().any(|one| one == mode);
    MODES.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn quantity(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).map_or_else(|| "0".to_owned(), display)
}

pub(super) fn claim(claim: &Value, pods: &[Value], page: &mut Page) {
    page.name(claim);
    page.pair(0, "StorageClass", class(claim));
    status(claim, page);
    let volume = text(claim, "/spec/volumeName");
    page.pair(0, "Volume", volume);
    page.labels_and_annotations(claim);
    finalizers(claim, page);
    let is_bound = !volume.is_empty();
    page.pair(0, "Capacity", if is_bound { quantity(claim, "/status/capacity/storage") } else { String::new() });
    page.pair(0, "Access Modes", if is_bound { modes(claim, "/status/accessModes") } else { String::new() });
    page.pair_of(0, "VolumeMode", claim, "/spec/volumeMode");
    if let Some(source) = claim.pointer("/spec/dataSource").filter(|source| !source.is_null()) {
        page.line(0, "DataSource:");
        page.pair_of(1, "APIGroup", source, "/apiGroup");
        page.pair(1, "Kind", text(source, "/kind"));
        page.pair(1, "Name", text(source, "/name"));
    }
    page.column("Used By", &users(claim, pods));
    claim_conditions(items(claim, "/status/conditions"), page);
}

/// The pods that mount it, and those that own it.
fn users(claim: &Value, pods: &[Value]) -> Vec<String> {
    let mounts = |pod: &Value| {
        let volumes = items(pod, "/spec/volumes").iter();
        volumes.filter(|volume| text(volume, "/persistentVolumeClaim/claimName") == name_of(claim)).count()
    };
    let owns = |pod: &Value| {
        let mut owners = items(claim, "/metadata/ownerReferences").iter();
        owners.any(|owner| owner["kind"] == "Pod" && owner["uid"] == pod["metadata"]["uid"])
    };
    // One that mounts it twice is named twice.
    let times = |pod: &Value| mounts(pod).max(usize::from(owns(pod)));
    let mut names: Vec<String> =
        pods.iter().flat_map(|pod| std::iter::repeat_n(name_of(pod).to_owned(), times(pod))).collect();
    names.sort();
    names
}

fn claim_conditions(conditions: &[Value], page: &mut Page) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
    // Upstream underlines the third title so.
    page.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let [kind, status, reason] = ["/type", "/status", "/reason"].map(|member| text(condition, member));
        let [probe, transition] = ["/lastProbeTime", "/lastTransitionTime"].map(|member| time(text(condition, member)));
        let message = text(condition, "/message");
        page.line(1, format_args!("{kind} \t{status} \t{probe} \t{transition} \t{reason} \t{message}"));
    }
}

pub(super) fn volume(volume: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(volume));
    page.labels_and_annotations(volume);
    finalizers(volume, page);
    page.pair(0, "StorageClass", class(volume));
    status(volume, page);
    let claim = volume.pointer("/spec/claimRef").filter(|claim| !claim.is_null());
    let claim = claim.map(|claim| format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")));
    page.pair(0, "Claim", claim.unwrap_or_default());
    page.pair(0, "Reclaim Policy", text(volume, "/spec/persistentVolumeReclaimPolicy"));
    page.pair(0, "Access Modes", modes(volume, "/spec/accessModes"));
    page.pair_of(0, "VolumeMode", volume, "/spec/volumeMode");
    page.pair(0, "Capacity", quantity(volume, "/spec/capacity/storage"));
    affinity(volume.pointer("/spec/nodeAffinity/required"), page);
    page.pair(0, "Message", text(volume, "/status/message"));
    page.line(0, "Source:");
    volumes::persistent(&volume["spec"], page);
}

fn affinity(required: Option<&Value>, page: &mut Page) {
    let Some(required) = required.filter(|required| !required.is_null()) else {
        return page.pair(0, "Node Affinity", "<none>");
    };
    page.pair(0, "Node Affinity", "");
    let found = items(required, "/nodeSelectorTerms");
    page.pair(1, "Required Terms", if found.is_empty() { "<none>" } else { "" });
    terms(found, "/matchExpressions", 2, page);
}

/// What each term asks of a node, one demand a line.
fn terms(terms: &[Value], member: &str, level: usize, page: &mut Page) {
    for (index, term) in terms.iter().enumerate() {
        let demands: Vec<String> = items(term, member).iter().map(demand).collect();
        page.pair(level, &format!("Term {index}"), or_none(demands.first().map_or("", String::as_str)));
        demands.iter().skip(1).for_each(|demand| page.line(level, format_args!("\t{demand}")));
    }
}

fn demand(demand: &Value) -> String {
    // A topology's demand names no operator.
    let operator = Some(text(demand, "/operator").to_lowercase()).filter(|operator| !operator.is_empty());
    let (key, operator) = (text(demand, "/key"), operator.as_deref().unwrap_or("in"));
    match joined(demand, "/values", ", ").as_str() {
        "" => format!("{key} {operator}"),
        values => format!("{key} {operator} [{values}]"),
    }
}

pub(super) fn storage_class(class: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(class));
    let is_default = DEFAULT_CLASS.iter().any(|pointer| text(class, pointer) == "true");
    page.pair(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    page.pair(0, "Annotations", pairs(class.pointer("/metadata/annotations")));
    page.pair(0, "Provisioner", text(class, "/provisioner"));
    page.pair(0, "Parameters", pairs(class.get("parameters")));
    let expands = match class.get("allowVolumeExpansion").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    page.pair(0, "AllowVolumeExpansion", expands);
    match items(class, "/mountOptions") {
        [] => page.pair(0, "MountOptions", "<none>"),
        options => {
            page.line(0, "MountOptions:");
            options.iter().for_each(|option| page.line(1, display(option)));
        }
    }
    page.pair_of(0, "ReclaimPolicy", class, "/reclaimPolicy");
    page.pair_of(0, "VolumeBindingMode", class, "/volumeBindingMode");
    if class.get("allowedTopologies").is_some_and(Value::is_array) {
        let allowed = items(class, "/allowedTopologies");
        page.pair(0, "AllowedTopologies", if allowed.is_empty() { "<none>" } else { "" });
        terms(allowed, "/matchLabelExpressions", 1, page);
    }
}

pub(super) fn attributes_class(class: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(class));
    page.pair(0, "Annotations", pairs(class.pointer("/metadata/annotations")));
    page.pair(0, "DriverName", text(class, "/driverName"));
    page.pair(0, "Parameters", pairs(class.get("parameters")));
}

pub(super) fn csi_node(node: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(node));
    page.labels_and_annotations(node);
    page.pair(0, "CreationTimestamp", time(text(node, "/metadata/creationTimestamp")));
    page.line(0, "Spec:");
    if !node["spec"]["drivers"].is_array() {
        return;
    }
    page.line(1, "Drivers:");
    for driver in items(node, "/spec/drivers") {
        page.line(2, format_args!("{}:", text(driver, "/name")));
        page.pair(3, "Node ID", text(driver, "/nodeID"));
        if driver.pointer("/allocatable/count").is_some() {
            page.line(3, "Allocatables:");
            page.pair(4, "Count", number(driver, "/allocatable/count"));
        }
        page.pair_of(3, "Topology Keys", driver, "/topologyKeys");
    }
}
