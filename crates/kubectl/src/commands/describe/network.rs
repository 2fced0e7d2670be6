//! Who is reached, and by whom: ingresses, network policies, endpoints, addresses.

use super::page::{Page, items, joined, moment, number, or_none, or_unset, time};
use super::plain::endpoints;
use super::workloads::selector_text;
use crate::calls::{name_of, text};
use crate::print::display;
use serde_json::Value;
use std::collections::BTreeSet;

const SERVICE_NAME: &str = "/metadata/labels/kubernetes.io~1service-name";

/// `related`: the namespace's services and endpoint slices.
pub(super) fn ingress(ingress: &Value, related: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(ingress));
    page.labels("Labels", ingress.pointer("/metadata/labels"));
    page.pair(0, "Namespace", text(ingress, "/metadata/namespace"));
    let addresses: BTreeSet<&str> = items(ingress, "/status/loadBalancer/ingress")
        .iter()
        .filter_map(|one| [text(one, "/ip"), text(one, "/hostname")].into_iter().find(|word| !word.is_empty()))
        .collect();
    page.pair(0, "Address", addresses.into_iter().collect::<Vec<_>>().join(","));
    page.pair(0, "Ingress Class", ingress["spec"]["ingressClassName"].as_str().unwrap_or("<none>"));
    let default = ingress.pointer("/spec/defaultBackend").filter(|backend| !backend.is_null());
    let default = default.map_or_else(|| "<default>".to_owned(), |default| backend(default, related));
    page.pair(0, "Default backend", &default);
    tls(items(ingress, "/spec/tls"), page);
    page.line(0, "Rules:");
    page.table(1, &["Host", "Path", "Backends"], []);
    let rules: Vec<&Value> = items(ingress, "/spec/rules").iter().filter(|rule| rule["http"].is_object()).collect();
    for rule in &rules {
        let host = Some(text(rule, "/host")).filter(|host| !host.is_empty());
        page.line(1, format_args!("{}\t", host.unwrap_or("*")));
        for path in items(rule, "/http/paths") {
            page.line(2, format_args!("\t{} \t{}", text(path, "/path"), backend(&path["backend"], related)));
        }
    }
    if rules.is_empty() {
        page.line(1, format_args!("*\t*\t{default}"));
    }
    page.annotations("Annotations", ingress.pointer("/metadata/annotations"));
}

fn tls(tls: &[Value], page: &mut Page) {
    if !tls.is_empty() {
        page.line(0, "TLS:");
    }
    for one in tls {
        let (secret, hosts) = (text(one, "/secretName"), joined(one, "/hosts", ","));
        match secret {
            "" => page.line(1, format_args!("SNI routes {hosts}")),
            secret => page.line(1, format_args!("{secret} terminates {hosts}")),
        }
    }
}

/// A service's port with what is behind it, or an object of any kind.
fn backend(backend: &Value, related: &[Value]) -> String {
    if let Some(resource) = backend.get("resource") {
        let group = resource["apiGroup"].as_str().unwrap_or("<none>");
        return format!("APIGroup: {group}, Kind: {}, Name: {}", text(resource, "/kind"), text(resource, "/name"));
    }
    let (name, by_number) = (text(backend, "/service/name"), number(backend, "/service/port/number"));
    let by_name = text(backend, "/service/port/name");
    let shown = if by_number == 0 { format!("{name}:{by_name}") } else { format!("{name}:{by_number}") };
    let service = related.iter().find(|one| one["kind"] == "Service" && name_of(one) == name);
    let Some(service) = service else {
        return format!("{shown} (<error: services {name:?} not found>)");
    };
    let is_meant = |port: &&Value| {
        (by_number != 0 && by_number == number(port, "/port"))
            || (!by_name.is_empty() && by_name == text(port, "/name"))
    };
    let port = items(service, "/spec/ports").iter().rfind(is_meant).map_or("", |port| text(port, "/name"));
    let slices = related.iter().filter(|one| one["kind"] == "EndpointSlice" && text(one, SERVICE_NAME) == name);
    format!("{shown} ({})", endpoints(slices, port))
}

pub(super) fn ingress_class(class: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(class));
    page.labels_and_annotations(class);
    page.pair(0, "Controller", text(class, "/spec/controller"));
    if let Some(parameters) = class.pointer("/spec/parameters").filter(|parameters| !parameters.is_null()) {
        page.line(0, "Parameters:");
        page.pair_of(1, "APIGroup", parameters, "/apiGroup");
        page.pair(1, "Kind", text(parameters, "/kind"));
        page.pair(1, "Name", text(parameters, "/name"));
    }
}

/// How one direction of traffic reads.
struct Direction {
    policy_type: &'static str,
    word: &'static str,
    rules: &'static str,
    peers: &'static str,
    peer: &'static str,
    end: &'static str,
}

const DIRECTIONS: [Direction; 2] = [
    Direction {
        policy_type: "Ingress",
        word: "ingress",
        rules: "/spec/ingress",
        peers: "/from",
        peer: "From",
        end: "source",
    },
    Direction {
        policy_type: "Egress",
        word: "egress",
        rules: "/spec/egress",
        peers: "/to",
        peer: "To",
        end: "destination",
    },
];

pub(super) fn policy(policy: &Value, _: &[Value], page: &mut Page) {
    page.name(policy);
    page.pair(0, "Created on", moment(text(policy, "/metadata/creationTimestamp")));
    page.labels_and_annotations(policy);
    page.line(0, "Spec:");
    let selected = match selector_text(&policy["spec"]["podSelector"]) {
        all if all == "<none>" => "<none> (Allowing the specific traffic to all pods in this namespace)".to_owned(),
        selector => selector,
    };
    page.line(1, format_args!("PodSelector:     {selected}"));
    for direction in &DIRECTIONS {
        let word = direction.word;
        if items(policy, "/spec/policyTypes").iter().any(|one| one == direction.policy_type) {
            page.line(1, format_args!("Allowing {word} traffic:"));
            traffic(items(policy, direction.rules), direction, page);
        } else {
            page.line(1, format_args!("Not affecting {word} traffic"));
        }
    }
    page.line(1, format_args!("Policy Types: {}", or_none(&joined(policy, "/spec/policyTypes", ", "))));
}

fn traffic(rules: &[Value], direction: &Direction, page: &mut Page) {
    if rules.is_empty() {
        let word = direction.word;
        return page.line(2, format_args!("<none> (Selected pods are isolated for {word} connectivity)"));
    }
    for (index, rule) in rules.iter().enumerate() {
        if index > 0 {
            page.line(2, "----------");
        }
        if items(rule, "/ports").is_empty() {
            page.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        items(rule, "/ports").iter().for_each(|port| policy_port(port, page));
        let (peer, end) = (direction.peer, direction.end);
        if items(rule, direction.peers).is_empty() {
            page.line(2, format_args!("{peer}: <any> (traffic not restricted by {end})"));
        }
        for one in items(rule, direction.peers) {
            page.line(2, format_args!("{peer}:"));
            policy_peer(one, page);
        }
    }
}

fn policy_port(port: &Value, page: &mut Page) {
    let (from, protocol) = (display(&port["port"]), port["protocol"].as_str().unwrap_or("TCP"));
    match port.get("endPort") {
        Some(end) => page.line(2, format_args!("To Port Range: {from}-{end}/{protocol}")),
        None => page.line(2, format_args!("To Port: {from}/{protocol}")),
    }
}

fn policy_peer(peer: &Value, page: &mut Page) {
    let selectors = [("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")];
    let selectors: Vec<_> =
        selectors.into_iter().filter_map(|(label, member)| Some((label, peer.get(member)?))).collect();
    for (label, selector) in &selectors {
        page.line(3, format_args!("{label}: {}", selector_text(selector)));
    }
    if let Some(block) = peer.get("ipBlock").filter(|_| selectors.is_empty()) {
        page.line(3, "IPBlock:");
        page.line(4, format_args!("CIDR: {}", text(block, "/cidr")));
        page.line(4, format_args!("Except: {}", joined(block, "/except", ", ")));
    }
}

/// Ports by name, number and protocol.
fn ports(ports: &[Value], level: usize, page: &mut Page) {
    let row = |port: &Value| {
        let name = Some(text(port, "/name")).filter(|name| !name.is_empty()).unwrap_or("<unset>");
        vec![name.to_owned(), or_unset(port, "/port"), text(port, "/protocol").to_owned()]
    };
    page.table(level, &["Name", "Port", "Protocol"], ports.iter().map(row));
}

pub(super) fn slice(slice: &Value, _: &[Value], page: &mut Page) {
    page.name(slice);
    page.labels_and_annotations(slice);
    page.pair(0, "AddressType", text(slice, "/addressType"));
    if items(slice, "/ports").is_empty() {
        page.line(0, "Ports: <unset>");
    } else {
        page.line(0, "Ports:");
        ports(items(slice, "/ports"), 1, page);
    }
    if items(slice, "/endpoints").is_empty() {
        return page.line(0, "Endpoints: <none>");
    }
    page.line(0, "Endpoints:");
    for endpoint in items(slice, "/endpoints") {
        page.pair(1, "- Addresses", or_none(&joined(endpoint, "/addresses", ", ")));
        page.line(2, "Conditions:");
        page.pair(3, "Ready", or_unset(endpoint, "/conditions/ready"));
        page.pair(2, "Hostname", or_unset(endpoint, "/hostname"));
        if let Some(target) = endpoint.get("targetRef").filter(|target| !target.is_null()) {
            page.pair(2, "TargetRef", format_args!("{}/{}", text(target, "/kind"), text(target, "/name")));
        }
        page.pair(2, "NodeName", or_unset(endpoint, "/nodeName"));
        page.pair(2, "Zone", or_unset(endpoint, "/zone"));
    }
}

pub(super) fn old_endpoints(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    page.line(0, "Subsets:");
    for subset in items(object, "/subsets") {
        for (label, member) in [("Addresses", "/addresses"), ("NotReadyAddresses", "/notReadyAddresses")] {
            let addresses: Vec<&str> = items(subset, member).iter().map(|address| text(address, "/ip")).collect();
            page.pair(1, label, or_none(&addresses.join(",")));
        }
        if !items(subset, "/ports").is_empty() {
            page.line(1, "Ports:");
            ports(items(subset, "/ports"), 2, page);
        }
        page.line(0, "");
    }
}

pub(super) fn service_range(range: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(range));
    page.labels_and_annotations(range);
    page.pair(0, "CIDRs", joined(range, "/spec/cidrs", ", "));
    let conditions = items(range, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Status:");
    page.line(0, "Conditions:");
    let row = |condition: &Value| {
        let [kind, status, reason, message] =
            ["/type", "/status", "/reason", "/message"].map(|member| text(condition, member).to_owned());
        vec![kind, status, time(text(condition, "/lastTransitionTime")), reason, message]
    };
    page.table(1, &["Type", "Status", "LastTransitionTime", "Reason", "Message"], conditions.iter().map(row));
}

pub(super) fn address(address: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(address));
    page.labels_and_annotations(address);
    if let Some(parent) = address.pointer("/spec/parentRef").filter(|parent| !parent.is_null()) {
        page.line(0, "Parent Reference:");
        for (label, member) in
            [("Group", "/group"), ("Resource", "/resource"), ("Namespace", "/namespace"), ("Name", "/name")]
        {
            page.pair(1, label, text(parent, member));
        }
    }
}
