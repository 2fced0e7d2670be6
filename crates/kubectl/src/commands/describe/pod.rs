//! A pod: where it runs, what its containers do, and what they were given.

use super::page::{Page, items, time};
use super::template::{containers, resources, spread, tolerations};
use super::volumes;
use super::workloads::controlled;
use crate::calls::text;
use crate::convert::age;
use crate::print::display;
use serde_json::Value;

pub(super) fn describe(pod: &Value, _: &[Value], page: &mut Page) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    page.name(pod);
    page.pair_of(0, "Priority", spec, "/priority");
    page.pair_of(0, "Priority Class Name", spec, "/priorityClassName");
    page.pair_of(0, "Runtime Class Name", spec, "/runtimeClassName");
    page.pair_of(0, "Service Account", spec, "/serviceAccountName");
    match text(spec, "/nodeName") {
        "" => page.pair(0, "Node", "<none>"),
        node => page.pair(0, "Node", format_args!("{node}/{}", text(status, "/hostIP"))),
    }
    if !text(status, "/startTime").is_empty() {
        page.pair(0, "Start Time", time(text(status, "/startTime")));
    }
    page.labels_and_annotations(pod);
    phase(pod, page);
    page.pair_of(0, "Reason", status, "/reason");
    page.pair_of(0, "Message", status, "/message");
    let profile = &spec["securityContext"]["seccompProfile"];
    page.pair_of(0, "SeccompProfile", profile, "/type");
    page.pair_of(0, "LocalhostProfile", profile, "/localhostProfile");
    addresses(status, page);
    controlled(pod, page);
    page.pair_of(0, "NominatedNodeName", status, "/nominatedNodeName");
    if let Some(whole) = spec.get("resources") {
        page.line(0, "Resources:");
        resources(whole, 1, page);
    }
    all_containers(pod, page);
    gates(pod, page);
    page.conditions(pod, false, &[("Type", "/type"), ("Status", "/status")]);
    volumes::describe(items(spec, "/volumes"), "", page);
    page.pair(0, "QoS Class", text(status, "/qosClass"));
    page.labels("Node-Selectors", spec.get("nodeSelector"));
    tolerations("Tolerations", spec, page);
    spread(spec, "", page);
}

fn phase(pod: &Value, page: &mut Page) {
    let (phase, deleted) = (text(pod, "/status/phase"), text(pod, "/metadata/deletionTimestamp"));
    if deleted.is_empty() || matches!(phase, "Failed" | "Succeeded") {
        return page.pair(0, "Status", phase);
    }
    page.pair(0, "Status", format_args!("Terminating (lasts {})", age(deleted)));
    let grace = display(&pod["metadata"]["deletionGracePeriodSeconds"]);
    page.pair(0, "Termination Grace Period", format_args!("{grace}s"));
}

fn addresses(status: &Value, page: &mut Page) {
    page.pair(0, "IP", text(status, "/podIP"));
    let all = items(status, "/podIPs");
    page.line(0, format_args!("IPs:{}", if all.is_empty() { "\t<none>" } else { "" }));
    all.iter().for_each(|one| page.pair(1, "IP", text(one, "/ip")));
}

fn all_containers(pod: &Value, page: &mut Page) {
    for (title, list, statuses) in [
        ("Init Containers", "/spec/initContainers", "/status/initContainerStatuses"),
        ("Containers", "/spec/containers", "/status/containerStatuses"),
        ("Ephemeral Containers", "/spec/ephemeralContainers", "/status/ephemeralContainerStatuses"),
    ] {
        if title == "Containers" || !items(pod, list).is_empty() {
            containers(title, items(pod, list), items(pod, statuses), Some(pod), page);
        }
    }
}

fn gates(pod: &Value, page: &mut Page) {
    let gates = items(pod, "/spec/readinessGates");
    if !gates.is_empty() {
        page.line(0, "Readiness Gates:");
        page.line(1, "Type\tStatus");
    }
    for gate in gates {
        let condition = text(gate, "/conditionType");
        let found = items(pod, "/status/conditions").iter().find(|one| one["type"] == condition);
        page.line(1, format_args!("{condition} \t{} ", found.map_or("<none>", |one| text(one, "/status"))));
    }
}
