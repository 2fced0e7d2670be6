//! Kinds that say little: services, config maps, secrets, service accounts, namespaces.

use super::page::{Page, items, joined, number, or_none, pairs, sorted};
use crate::calls::text;
use crate::print::display;
use base64::Engine;
use serde_json::Value;

pub(super) fn service(service: &Value, slices: &[Value], page: &mut Page) {
    let spec = &service["spec"];
    page.name(service);
    page.labels_and_annotations(service);
    page.pair(0, "Selector", pairs(spec.get("selector")));
    page.pair(0, "Type", text(spec, "/type"));
    page.pair_of(0, "IP Family Policy", spec, "/ipFamilyPolicy");
    page.pair(0, "IP Families", or_none(&joined(spec, "/ipFamilies", ",")));
    page.pair(0, "IP", text(spec, "/clusterIP"));
    page.pair(0, "IPs", or_none(&joined(spec, "/clusterIPs", ",")));
    if !items(spec, "/externalIPs").is_empty() {
        page.pair(0, "External IPs", joined(spec, "/externalIPs", ","));
    }
    page.pair_of(0, "Desired LoadBalancer IP", spec, "/loadBalancerIP");
    page.pair_of(0, "External Name", spec, "/externalName");
    let ingress: Vec<&str> = items(service, "/status/loadBalancer/ingress")
        .iter()
        .map(|one| [text(one, "/ip"), text(one, "/hostname")].into_iter().find(|word| !word.is_empty()).unwrap_or(""))
        .collect();
    if !ingress.is_empty() {
        page.pair(0, "LoadBalancer Ingress", ingress.join(", "));
    }
    items(spec, "/ports").iter().for_each(|port| self::port(port, slices, page));
    page.pair(0, "Session Affinity", text(spec, "/sessionAffinity"));
    page.pair_of(0, "External Traffic Policy", spec, "/externalTrafficPolicy");
    page.pair_of(0, "Internal Traffic Policy", spec, "/internalTrafficPolicy");
    page.pair_of(0, "Traffic Distribution", spec, "/trafficDistribution");
    page.pair_of(0, "HealthCheck NodePort", spec, "/healthCheckNodePort");
    if !items(spec, "/loadBalancerSourceRanges").is_empty() {
        page.pair(0, "LoadBalancer Source Ranges", joined(spec, "/loadBalancerSourceRanges", ","));
    }
}

fn port(port: &Value, slices: &[Value], page: &mut Page) {
    let (name, protocol) = (text(port, "/name"), text(port, "/protocol"));
    let shown = if name.is_empty() { "<unset>" } else { name };
    page.pair(0, "Port", format_args!("{shown}\t{}/{protocol}", number(port, "/port")));
    page.pair(0, "TargetPort", format_args!("{}/{protocol}", display(&port["targetPort"])));
    if number(port, "/nodePort") != 0 {
        page.pair(0, "NodePort", format_args!("{shown}\t{}/{protocol}", number(port, "/nodePort")));
    }
    let endpoints = endpoints(slices, name);
    page.pair(0, "Endpoints", endpoints);
}

/// Up to three addresses that are ready, and how many more there are.
pub(super) fn endpoints<'a>(slices: impl IntoIterator<Item = &'a Value>, port: &str) -> String {
    const SHOWN_MAX: usize = 3;
    let mut slices = slices.into_iter().peekable();
    if slices.peek().is_none() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for slice in slices {
        let ports = items(slice, "/ports").iter().filter(|one| text(one, "/name") == port);
        for number in ports.map(|one| number(one, "/port")) {
            let ready =
                items(slice, "/endpoints").iter().filter(|one| one.pointer("/conditions/ready") != Some(&false.into()));
            let addresses = ready.flat_map(|one| items(one, "/addresses")).filter_map(Value::as_str);
            all.extend(addresses.map(|address| match address.contains(':') {
                true => format!("[{address}]:{number}"),
                false => format!("{address}:{number}"),
            }));
        }
    }
    let more = all.len().saturating_sub(SHOWN_MAX);
    all.truncate(SHOWN_MAX);
    let more = if more > 0 { format!(" + {more} more...") } else { String::new() };
    format!("{}{more}", all.join(","))
}

pub(super) fn config_map(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    page.line(0, "\nData\n====");
    for (key, value) in sorted(object.get("data")) {
        page.line(0, format_args!("{key}:\n----\n{}\n", value.as_str().unwrap_or_default()));
    }
    page.line(0, "\nBinaryData\n====");
    for (key, value) in sorted(object.get("binaryData")) {
        page.line(0, format_args!("{key}: {} bytes", decoded(value).len()));
    }
    page.line(0, "");
}

fn decoded(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

pub(super) fn secret(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    page.line(0, format_args!("\nType:\t{}\n\nData\n====", text(object, "/type")));
    let is_account = text(object, "/type") == "kubernetes.io/service-account-token";
    for (key, value) in sorted(object.get("data")) {
        let value = decoded(value);
        if is_account && key == "token" {
            page.pair(0, key, String::from_utf8_lossy(&value));
        } else {
            page.pair(0, key, format_args!("{} bytes", value.len()));
        }
    }
}

pub(super) fn service_account(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    let secrets = items(object, "/imagePullSecrets").iter().map(|one| text(one, "/name").to_owned());
    page.column("Image pull secrets", &secrets.collect::<Vec<_>>());
}
