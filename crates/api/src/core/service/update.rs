//! What a change of a service keeps, and what it may not change.
//!
//! Clients that send a service without what the server has given it (addresses, node ports) mean to keep that.

use super::{HEADLESS, is_external, is_headless, is_load_balancer, is_name_only, needs_health_check};
use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};

/// `clusterIP` is the first of `clusterIPs`; whoever writes the one means both.
pub(super) fn one_address_is_a_list(spec: &mut ServiceSpec) {
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    if !ip.is_empty() && spec.cluster_ips.as_ref().is_none_or(Vec::is_empty) {
        spec.cluster_ips = Some(vec![ip.to_owned()]);
    }
}

/// Fills in what was given before, and drops what no longer applies.
pub(super) fn prepare(new: &mut ServiceSpec, old: &ServiceSpec) {
    drop_of_other_type(new, old);
    keep_given(new, old);
    match_addresses(new, old);
}

fn wants_node_ports(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("NodePort")
        || (is_load_balancer(spec) && spec.allocate_load_balancer_node_ports != Some(false))
}

/// A change of type takes along what belonged to the old one only, unless the writer changed that as well.
fn drop_of_other_type(new: &mut ServiceSpec, old: &ServiceSpec) {
    if !is_name_only(old) && is_name_only(new) {
        if new.cluster_ip == old.cluster_ip && new.cluster_ips == old.cluster_ips {
            new.cluster_ip = None;
            new.cluster_ips = None;
        }
        if new.ip_families == old.ip_families {
            new.ip_families = None;
        }
        if new.ip_family_policy == old.ip_family_policy {
            new.ip_family_policy = None;
        }
    }
    let ports = |spec: &ServiceSpec| -> Vec<i32> {
        spec.ports.iter().flatten().map(|port| port.node_port.unwrap_or_default()).collect()
    };
    if wants_node_ports(old) && !wants_node_ports(new) && ports(old) == ports(new) {
        new.ports.iter_mut().flatten().for_each(|port| port.node_port = None);
    }
    if needs_health_check(old) && !needs_health_check(new) && new.health_check_node_port == old.health_check_node_port {
        new.health_check_node_port = None;
    }
    if is_load_balancer(old) && !is_load_balancer(new) {
        if new.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            new.allocate_load_balancer_node_ports = None;
        }
        if new.load_balancer_class == old.load_balancer_class {
            new.load_balancer_class = None;
        }
    }
    if is_external(old) && !is_external(new) && new.external_traffic_policy == old.external_traffic_policy {
        new.external_traffic_policy = None;
    }
}

fn keep_given(new: &mut ServiceSpec, old: &ServiceSpec) {
    if !is_name_only(old) && !is_name_only(new) {
        if new.cluster_ip.as_deref().unwrap_or_default().is_empty() {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if new.cluster_ips.as_ref().is_none_or(Vec::is_empty) && new.cluster_ip == old.cluster_ip {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
        if new.ip_families.as_ref().is_none_or(Vec::is_empty) {
            new.ip_families.clone_from(&old.ip_families);
        }
        if new.ip_family_policy.is_none() {
            new.ip_family_policy.clone_from(&old.ip_family_policy);
        }
    }
    if wants_node_ports(old) && wants_node_ports(new) {
        keep_node_ports(new.ports.as_deref_mut().unwrap_or_default(), old.ports.as_deref().unwrap_or_default());
    }
    if needs_health_check(old) && needs_health_check(new) && new.health_check_node_port.unwrap_or_default() == 0 {
        new.health_check_node_port = old.health_check_node_port;
    }
}

/// Each port keeps the node's port that it had, unless another has claimed that meanwhile.
fn keep_node_ports(new: &mut [ServicePort], old: &[ServicePort]) {
    // Defaults come later: no protocol means TCP here as well.
    let protocol =
        |port: &ServicePort| port.protocol.clone().filter(|text| !text.is_empty()).unwrap_or("TCP".to_owned());
    let taken: Vec<(String, i32)> =
        new.iter().filter_map(|port| Some((protocol(port), port.node_port.filter(|number| *number != 0)?))).collect();
    for port in new.iter_mut().filter(|port| port.node_port.unwrap_or_default() == 0) {
        let before = old.iter().find(|other| other.port == port.port && protocol(other) == protocol(port));
        if let Some(number) = before.and_then(|before| before.node_port)
            && !taken.contains(&(protocol(port), number))
        {
            port.node_port = Some(number);
        }
    }
}

/// Whoever changes one of `clusterIP` and `clusterIPs` means both.
fn match_addresses(new: &mut ServiceSpec, old: &ServiceSpec) {
    one_address_is_a_list(new);
    if new.cluster_ip != old.cluster_ip && new.cluster_ips == old.cluster_ips {
        new.cluster_ips = new.cluster_ip.clone().filter(|ip| !ip.is_empty()).map(|ip| vec![ip]);
    } else if new.cluster_ip == old.cluster_ip
        && new.cluster_ips != old.cluster_ips
        && let Some(first) = new.cluster_ips.as_ref().and_then(|ips| ips.first())
    {
        new.cluster_ip = Some(first.clone());
    }
}

pub(super) fn validate(new: &ServiceSpec, old: &ServiceSpec) -> Errors {
    let mut errors = Errors::new();
    let path = FieldPath::new("spec");
    let named = is_name_only(new) || is_name_only(old);
    let both_headless = is_headless(new) && is_headless(old);
    if !named && !both_headless {
        let (after, before) = (new.cluster_ips.as_deref(), old.cluster_ips.as_deref());
        let (after, before) = (after.unwrap_or_default(), before.unwrap_or_default());
        addresses(&mut errors, &path, after, before, new.ip_family_policy.as_deref());
    }
    if !named && !is_headless(new) && !is_headless(old) {
        let (after, before) = (new.ip_families.as_deref(), old.ip_families.as_deref());
        let (after, before) = (after.unwrap_or_default(), before.unwrap_or_default());
        families(&mut errors, &path, after, before, new.ip_family_policy.as_deref());
    }
    if is_load_balancer(new) && is_load_balancer(old) && new.load_balancer_class != old.load_balancer_class {
        let path = path.child("loadBalancerClass");
        errors.push(FieldError::invalid(path, &new.load_balancer_class, "may not change once set"));
    }
    if needs_health_check(new) && needs_health_check(old) && new.health_check_node_port != old.health_check_node_port {
        errors.push(FieldError::forbidden(path.child("healthCheckNodePort"), "field is immutable"));
    }
    errors
}

fn addresses(errors: &mut Errors, path: &FieldPath, new: &[String], old: &[String], policy: Option<&str>) {
    let field = path.child("clusterIPs");
    if new.len() == old.len() {
        for (index, _) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
            errors.push(FieldError::invalid(field.index(index), new, "may not change once set"));
        }
        return;
    }
    if new.is_empty() {
        errors.push(FieldError::invalid(field.index(0), new, "primary clusterIP can not be unset"));
    }
    if let (Some(first), Some(before)) = (new.first(), old.first())
        && first != before
    {
        errors.push(FieldError::invalid(field.index(0), new, "may not change once set"));
    }
    if old.len() > new.len() && new.len() == 1 && new[0] != HEADLESS && policy != Some("SingleStack") {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        errors.push(FieldError::invalid(path.child("ipFamilyPolicy"), &policy, detail));
    }
}

fn families(errors: &mut Errors, path: &FieldPath, new: &[String], old: &[String], policy: Option<&str>) {
    let field = path.child("ipFamilies").index(0);
    if new.len() == old.len() {
        for _ in old.iter().zip(new).filter(|(old, new)| old != new) {
            errors.push(FieldError::invalid(field.clone(), new, "may not change once set"));
        }
        return;
    }
    if new.is_empty() {
        errors.push(FieldError::invalid(field.clone(), new, "primary ipFamily can not be unset"));
    }
    if let (Some(first), Some(before)) = (new.first(), old.first())
        && first != before
    {
        errors.push(FieldError::invalid(field, new, "may not change once set"));
    }
    if old.len() > new.len() && new.len() == 1 && policy != Some("SingleStack") {
        let detail = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        errors.push(FieldError::invalid(path.child("ipFamilyPolicy"), &policy, detail));
    }
}
