//! A node: its health, its capacity, and what its pods ask of it.

use super::page::{Page, items, sorted, time};
use crate::calls::{name_of, namespace_of, text};
use crate::convert::age;
use crate::print::display;
use api::core::pod::{container_limits, container_requests};
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;
use std::collections::BTreeMap;

const ROLE: &str = "node-role.kubernetes.io/";
const OLD_ROLE: &str = "kubernetes.io/role";
/// Named even where nothing asks for them.
const ALWAYS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

type Quantities = BTreeMap<String, Quantity>;

pub(super) fn describe(node: &Value, related: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(node));
    page.pair(0, "Roles", super::page::or_none(&roles(node).join(",")));
    page.labels_and_annotations(node);
    page.pair(0, "CreationTimestamp", time(text(node, "/metadata/creationTimestamp")));
    let mut taints: Vec<String> = items(node, "/spec/taints").iter().map(taint).collect();
    taints.sort();
    page.column("Taints", &taints);
    page.pair(0, "Unschedulable", node["spec"]["unschedulable"] == true);
    lease(related.iter().find(|one| one["kind"] == "Lease"), page);
    page.conditions(
        node,
        true,
        &[
            ("Type", "/type"),
            ("Status", "/status"),
            ("LastHeartbeatTime", "/lastHeartbeatTime"),
            ("LastTransitionTime", "/lastTransitionTime"),
            ("Reason", "/reason"),
            ("Message", "/message"),
        ],
    );
    page.line(0, "Addresses:");
    for address in items(node, "/status/addresses") {
        page.pair(1, text(address, "/type"), text(address, "/address"));
    }
    for (title, member) in [("Capacity", "/status/capacity"), ("Allocatable", "/status/allocatable")] {
        let quantities: Vec<_> = sorted(node.pointer(member)).collect();
        if !quantities.is_empty() {
            page.line(0, format_args!("{title}:"));
        }
        quantities.iter().for_each(|(name, quantity)| page.pair(1, name, display(quantity)));
    }
    system(node, page);
    for (label, pointer) in [("PodCIDR", "/spec/podCIDR"), ("ProviderID", "/spec/providerID")] {
        page.pair_of(0, label, node, pointer);
        if label == "PodCIDR" && !items(node, "/spec/podCIDRs").is_empty() {
            let ranges: Vec<&str> = items(node, "/spec/podCIDRs").iter().filter_map(Value::as_str).collect();
            page.pair(0, "PodCIDRs", ranges.join(","));
        }
    }
    let is_pod = |one: &&Value| one["kind"] == "Pod" && !matches!(text(one, "/status/phase"), "Succeeded" | "Failed");
    allocated(node, &related.iter().filter(is_pod).collect::<Vec<_>>(), page);
}

fn roles(node: &Value) -> Vec<String> {
    let role = |(key, value): (&String, &Value)| {
        let named = key.strip_prefix(ROLE).map(str::to_owned);
        named.or_else(|| (key == OLD_ROLE).then(|| display(value))).filter(|role| !role.is_empty())
    };
    let mut roles: Vec<String> = sorted(node.pointer("/metadata/labels")).filter_map(role).collect();
    roles.sort();
    roles.dedup();
    roles
}

fn taint(taint: &Value) -> String {
    let (key, value, effect) = (text(taint, "/key"), text(taint, "/value"), text(taint, "/effect"));
    let value = if value.is_empty() { String::new() } else { format!("={value}") };
    format!("{key}{value}:{effect}")
}

fn lease(lease: Option<&Value>, page: &mut Page) {
    let Some(lease) = lease else { return };
    page.line(0, "Lease:");
    let holder = text(lease, "/spec/holderIdentity");
    page.pair(1, "HolderIdentity", if holder.is_empty() { "<unset>" } else { holder });
    for (label, pointer) in [("AcquireTime", "/spec/acquireTime"), ("RenewTime", "/spec/renewTime")] {
        let when = text(lease, pointer);
        page.pair(1, label, if when.is_empty() { "<unset>".to_owned() } else { time(when) });
    }
}

fn system(node: &Value, page: &mut Page) {
    page.line(0, "System Info:");
    for (label, member) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        page.line(0, format_args!("  {label}:\t{}", text(node, &format!("/status/nodeInfo/{member}"))));
    }
    let swap = node.pointer("/status/nodeInfo/swap/capacity").and_then(Value::as_i64);
    if let Some(bytes) = swap {
        page.line(0, format_args!("  Swap:\t{}", Quantity::from_units(bytes, api::quantity::Format::BinarySI)));
    }
}

/// What a pod's containers ask for, and what they may take at most.
fn of_pod(pod: &Value) -> (Quantities, Quantities) {
    let spec = serde_json::from_value::<PodSpec>(pod["spec"].clone()).unwrap_or_default();
    (container_requests(&spec), container_limits(&spec))
}

fn of(quantities: &Quantities, name: &str) -> Quantity {
    quantities.get(name).copied().unwrap_or(Quantity::ZERO)
}

/// `100m (5%)`.
fn share(quantity: Quantity, whole: f64) -> String {
    let percent = if whole > 0.0 { (quantity.as_f64() / whole * 100.0) as i64 } else { 0 };
    format!("{quantity} ({percent}%)")
}

fn allocated(node: &Value, pods: &[&Value], page: &mut Page) {
    let allocatable = node.pointer("/status/allocatable").or_else(|| node.pointer("/status/capacity"));
    let whole = |name: &str| {
        let quantity = allocatable.and_then(|all| Quantity::parse(&display(all.get(name)?)).ok());
        quantity.map(Quantity::as_f64).unwrap_or_default()
    };
    page.pair(0, "Non-terminated Pods", format_args!("({} in total)", pods.len()));
    page.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    page.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut requests, mut limits) = (Quantities::new(), Quantities::new());
    for pod in pods {
        let own = of_pod(pod);
        let cell = |quantities: &Quantities, name: &str| share(of(quantities, name), whole(name));
        let cells = ["cpu", "memory"].map(|name| format!("{}\t{}", cell(&own.0, name), cell(&own.1, name)));
        let age = age(text(pod, "/metadata/creationTimestamp"));
        page.line(1, format_args!("{}\t{}\t\t{}\t{age}", namespace_of(pod), name_of(pod), cells.join("\t")));
        for (sum, own) in [(&mut requests, own.0), (&mut limits, own.1)] {
            for (name, quantity) in own {
                let before = sum.get(&name).copied();
                let after = before.map_or(Some(quantity), |before| before.checked_add(quantity));
                sum.insert(name, after.unwrap_or(quantity));
            }
        }
    }
    page.line(0, "Allocated resources:");
    page.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    page.line(1, "Resource\tRequests\tLimits");
    page.line(1, "--------\t--------\t------");
    for name in ALWAYS {
        let (request, limit) = (share(of(&requests, name), whole(name)), share(of(&limits, name), whole(name)));
        page.line(1, format_args!("{name}\t{request}\t{limit}"));
    }
    let is_other = |name: &&String| !ALWAYS.contains(&name.as_str()) && name.as_str() != "pods";
    for (name, _) in sorted(allocatable).filter(|(name, _)| is_other(name)) {
        page.line(1, format_args!("{name}\t{}\t{}", of(&requests, name), of(&limits, name)));
    }
}
