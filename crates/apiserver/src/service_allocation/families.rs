//! `ipFamilies` and `ipFamilyPolicy`: what a service asks for, within what the cluster has.

use super::ServiceRanges;
use api::field::{FieldError, FieldPath};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ServiceSpec;
use std::net::IpAddr;

pub(super) const HEADLESS: &str = "None";

pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

pub(super) fn range_family(range: &IpNet) -> &'static str {
    family(range.network())
}

pub(super) fn is_headless(spec: &ServiceSpec) -> bool {
    let first = spec.cluster_ips.as_ref().and_then(|ips| ips.first()).or(spec.cluster_ip.as_ref());
    first.is_some_and(|ip| ip == HEADLESS)
}

/// Fills in what is left out.
pub(super) fn set(spec: &mut ServiceSpec, ranges: &ServiceRanges) -> Result<(), Vec<FieldError>> {
    if spec.type_.as_deref() == Some("ExternalName") {
        return Ok(());
    }
    let configured: Vec<&str> = ranges.addresses.iter().map(range_family).collect();
    let selectorless = spec.selector.as_ref().is_none_or(|selector| selector.is_empty());
    if is_headless(spec) && selectorless {
        // Its endpoints are made by hand, and may be of any family.
        if spec.ip_family_policy.is_none() && spec.ip_families.is_none() {
            spec.ip_family_policy = Some("RequireDualStack".to_owned());
        }
        fill(spec, &configured, &["IPv4", "IPv6"]);
        return Ok(());
    }
    check(spec, &configured)?;
    fill(spec, &configured, &configured);
    Ok(())
}

fn check(spec: &ServiceSpec, configured: &[&str]) -> Result<(), Vec<FieldError>> {
    let path = FieldPath::new("spec");
    let mut errors = Vec::new();
    if spec.ip_family_policy.as_deref() == Some("RequireDualStack") && configured.len() < 2 {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid(path.child("ipFamilyPolicy"), "RequireDualStack", why));
    }
    for (index, family) in spec.ip_families.iter().flatten().enumerate() {
        if !configured.contains(&family.as_str()) {
            let why = "not configured on this cluster";
            errors.push(FieldError::invalid(path.child("ipFamilies").index(index), family, why));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn fill(spec: &mut ServiceSpec, configured: &[&str], possible: &[&str]) {
    let given: Vec<&str> = spec.cluster_ips.iter().flatten().filter_map(|text| text.parse().ok()).map(family).collect();
    let families = spec.ip_families.get_or_insert_default();
    if families.is_empty() {
        *families = given.iter().map(|family| (*family).to_owned()).collect();
    }
    if families.is_empty() {
        families.extend(configured.first().map(|family| (*family).to_owned()));
    }
    let policy = spec.ip_family_policy.get_or_insert_with(|| {
        if families.len() > 1 { "RequireDualStack".to_owned() } else { "SingleStack".to_owned() }
    });
    if policy != "SingleStack" && families.len() == 1 {
        families.extend(possible.iter().find(|other| **other != families[0]).map(|other| (*other).to_owned()));
    }
    if policy == "SingleStack" {
        families.truncate(1);
    }
}
