//! Whether a service makes sense, its addresses and node ports given.

use super::{HEADLESS, is_external, is_headless, is_load_balancer, is_name_only, needs_health_check};
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use serde_json::json;
use std::net::IpAddr;

const AFFINITY_SECONDS_MAX: i32 = 24 * 60 * 60;
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub(super) fn service(service: &Service) -> Errors {
    let mut errors = Errors::new();
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    let path = FieldPath::new("spec");
    let all_ports = spec.ports.as_deref().unwrap_or_default();
    if all_ports.is_empty() && !is_headless(spec) && !is_name_only(spec) {
        errors.push(FieldError::required(path.child("ports"), ""));
    }
    of_type(&mut errors, &path, spec);
    ports(&mut errors, &path.child("ports"), all_ports);
    check::label_map(&mut errors, &path.child("selector"), spec.selector.as_ref());
    affinity(&mut errors, &path, spec);
    if !is_name_only(spec) {
        addresses(&mut errors, &path, spec);
    }
    for (index, ip) in spec.external_ips.iter().flatten().enumerate() {
        let path = path.child("externalIPs").index(index);
        let complaints = labels::ip(ip);
        if complaints.is_empty() {
            check::reachable_ip(&mut errors, &path, ip);
        }
        check::each(&mut errors, &path, ip, complaints);
    }
    check::supported(&mut errors, &path.child("type"), spec.type_.as_deref(), TYPES);
    repeated_ports(&mut errors, &path.child("ports"), spec, all_ports);
    load_balancer(&mut errors, &path, spec);
    traffic_policies(&mut errors, &path, spec);
    errors
}

fn of_type(errors: &mut Errors, path: &FieldPath, spec: &ServiceSpec) {
    let kind = spec.type_.as_deref().unwrap_or_default();
    if matches!(kind, "LoadBalancer" | "NodePort") && is_headless(spec) {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid(path.child("clusterIPs").index(0), HEADLESS, detail));
    }
    if !is_name_only(spec) {
        return;
    }
    for (field, set) in [
        ("clusterIPs", spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty())),
        ("ipFamilies", spec.ip_families.as_ref().is_some_and(|families| !families.is_empty())),
        ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ] {
        if set {
            errors.push(FieldError::forbidden(path.child(field), "may not be set for ExternalName services"));
        }
    }
    let name = spec.external_name.as_deref().unwrap_or_default();
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(FieldError::required(path.child("externalName"), "")),
        name => check::dns1123_subdomain(errors, &path.child("externalName"), name),
    }
}

fn ports(errors: &mut Errors, path: &FieldPath, ports: &[ServicePort]) {
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        match port.name.as_deref().unwrap_or_default() {
            "" if ports.len() > 1 => errors.push(FieldError::required(path.child("name"), "")),
            "" => {}
            name => {
                check::dns1123_label(errors, &path.child("name"), name);
                if ports[..index].iter().any(|other| other.name.as_deref() == Some(name)) {
                    errors.push(FieldError::duplicate(path.child("name"), name));
                }
            }
        }
        check::each(errors, &path.child("port"), &port.port, labels::port_number(port.port));
        check::supported(errors, &path.child("protocol"), port.protocol.as_deref(), check::PROTOCOLS);
        if let Some(target) = &port.target_port {
            check::port_or_name(errors, &path.child("targetPort"), target);
        }
        if let Some(protocol) = &port.app_protocol {
            check::label_key(errors, &path.child("appProtocol"), protocol);
        }
    }
}

fn repeated_ports(errors: &mut Errors, path: &FieldPath, spec: &ServiceSpec, ports: &[ServicePort]) {
    let node_port = |port: &ServicePort| port.node_port.filter(|number| *number != 0);
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let before = &ports[..index];
        if let Some(number) = node_port(port) {
            if spec.type_.as_deref() == Some("ClusterIP") {
                let detail = "may not be used when `type` is 'ClusterIP'";
                errors.push(FieldError::forbidden(at.child("nodePort"), detail));
            }
            if before.iter().any(|other| node_port(other) == Some(number) && other.protocol == port.protocol) {
                errors.push(FieldError::duplicate(at.child("nodePort"), &number));
            }
        }
        if before.iter().any(|other| other.port == port.port && other.protocol == port.protocol) {
            let shown = json!({"protocol": port.protocol, "port": port.port, "targetPort": 0});
            errors.push(FieldError::duplicate(at, &shown));
        }
    }
}

fn affinity(errors: &mut Errors, path: &FieldPath, spec: &ServiceSpec) {
    let affinity = spec.session_affinity.as_deref();
    check::supported(errors, &path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let path = path.child("sessionAffinityConfig");
    match (affinity, &spec.session_affinity_config) {
        (Some("None"), Some(_)) => {
            errors.push(FieldError::forbidden(path, "must not be set when session affinity is None"));
        }
        (Some("ClientIP"), config) => {
            let path = path.child("clientIP").child("timeoutSeconds");
            let config = config.as_ref().and_then(|config| config.client_ip.as_ref());
            match config.and_then(|config| config.timeout_seconds) {
                None => errors.push(FieldError::required(path, "when session affinity type is ClientIP")),
                Some(seconds) if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                    errors.push(FieldError::invalid(path, &seconds, detail));
                }
                Some(_) => {}
            }
        }
        _ => {}
    }
}

fn addresses(errors: &mut Errors, path: &FieldPath, spec: &ServiceSpec) {
    let field = path.child("clusterIPs");
    let ips = spec.cluster_ips.as_deref().unwrap_or_default();
    let families = spec.ip_families.as_deref().unwrap_or_default();
    match (spec.cluster_ip.as_deref().unwrap_or_default(), ips) {
        ("", []) => {}
        ("", ips) => {
            errors.push(FieldError::invalid(field.clone(), ips, "must be empty when `clusterIP` is not specified"));
        }
        (_, []) => errors.push(FieldError::required(field.clone(), "")),
        (ip, [first, ..]) if ip != first => {
            errors.push(FieldError::invalid(field.clone(), ips, "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (index, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies").index(index);
        check::supported_if_set(errors, &path, Some(family), &["IPv4", "IPv6"]);
        if families[..index].contains(family) {
            errors.push(FieldError::duplicate(path, family));
        }
    }
    let policies = &["PreferDualStack", "RequireDualStack", "SingleStack"];
    check::supported_if_set(errors, &path.child("ipFamilyPolicy"), spec.ip_family_policy.as_deref(), policies);
    if ips.first().is_some_and(|ip| ip == HEADLESS) {
        if ips.len() > 1 {
            errors.push(FieldError::invalid(field, ips, "'None' must be the first and only value"));
        }
        return;
    }
    let before = errors.len();
    for (index, ip) in ips.iter().enumerate() {
        check::ip(errors, &field.index(index), ip);
    }
    if ips.len() > 2 {
        errors.push(FieldError::invalid(field.clone(), ips, "may only hold up to 2 values"));
    }
    if errors.len() == before {
        match_families(errors, &field, ips, families);
    }
}

fn match_families(errors: &mut Errors, path: &FieldPath, ips: &[String], families: &[String]) {
    let parsed: Vec<IpAddr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
    if let [first, second] = parsed.as_slice()
        && first.is_ipv4() == second.is_ipv4()
    {
        errors.push(FieldError::invalid(path.clone(), ips, "may specify no more than one IP for each IP family"));
    }
    for (index, (ip, family)) in parsed.iter().zip(families).enumerate() {
        if ip.is_ipv4() != (family == "IPv4") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(path.index(index), &ips[index], detail));
        }
    }
}

fn load_balancer(errors: &mut Errors, path: &FieldPath, spec: &ServiceSpec) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    let field = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !is_load_balancer(spec) {
        errors.push(FieldError::forbidden(field.clone(), ONLY));
    }
    for (index, range) in ranges.iter().enumerate() {
        check::cidr(errors, &field.index(index), range.trim());
    }
    if spec.allocate_load_balancer_node_ports.is_some() && !is_load_balancer(spec) {
        errors.push(FieldError::forbidden(path.child("allocateLoadBalancerNodePorts"), ONLY));
    }
    match &spec.load_balancer_class {
        Some(class) if is_load_balancer(spec) => check::label_key(errors, &path.child("loadBalancerClass"), class),
        Some(_) => errors.push(FieldError::forbidden(path.child("loadBalancerClass"), ONLY)),
        None => {}
    }
}

fn traffic_policies(errors: &mut Errors, path: &FieldPath, spec: &ServiceSpec) {
    let field = path.child("externalTrafficPolicy");
    let policy = spec.external_traffic_policy.as_deref().filter(|policy| !policy.is_empty());
    if is_external(spec) {
        check::supported(errors, &field, policy, &["Cluster", "Local"]);
    } else if let Some(policy) = policy {
        errors.push(FieldError::invalid(field, policy, "may only be set for externally-accessible services"));
    }
    let port = spec.health_check_node_port.unwrap_or_default();
    let field = path.child("healthCheckNodePort");
    match (needs_health_check(spec), port) {
        (true, 0) => errors.push(FieldError::required(field, "")),
        (true, port) => check::each(errors, &field, &port, labels::port_number(port)),
        (false, 0) => {}
        (false, port) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(field, &port, detail));
        }
    }
    let field = path.child("internalTrafficPolicy");
    let policy = spec.internal_traffic_policy.as_deref();
    if is_name_only(spec) {
        check::supported_if_set(errors, &field, policy, &["Cluster", "Local"]);
    } else {
        check::supported(errors, &field, policy, &["Cluster", "Local"]);
    }
    let distributions = &["PreferClose", "PreferSameNode", "PreferSameZone"];
    let distribution = spec.traffic_distribution.as_deref();
    check::supported_if_set(errors, &path.child("trafficDistribution"), distribution, distributions);
}

/// Where the balancer in front of a service is reached; a service of another type has none.
pub(super) fn status(errors: &mut Errors, service: &Service) {
    let path = FieldPath::new("status").child("loadBalancer").child("ingress");
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
    if !ingress.is_empty() && kind != Some("LoadBalancer") {
        errors.push(FieldError::forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"));
        return;
    }
    for (index, own) in ingress.iter().enumerate() {
        let path = path.index(index);
        check::reached_at(errors, &path, own.ip.as_deref(), own.hostname.as_deref());
        let Some(mode) = &own.ip_mode else { continue };
        if own.ip.as_deref().unwrap_or_default().is_empty() {
            let detail = "may not be specified when `ip` is not set";
            errors.push(FieldError::forbidden(path.child("ipMode"), detail));
        }
        check::supported_if_set(errors, &path.child("ipMode"), Some(mode), &["Proxy", "VIP"]);
    }
}
