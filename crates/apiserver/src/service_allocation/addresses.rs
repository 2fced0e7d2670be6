//! Cluster IPs: one per family, asked for or chosen.

use super::ServiceRanges;
use super::families::{HEADLESS, is_headless, range_family};
use super::taken::Claimed;
use api::field::{FieldError, FieldPath};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ServiceSpec;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Offsets beyond this are not given out by choice: a /108 of IPv6 is as much as anybody needs.
const OFFSET_MAX: u128 = 1 << 20;

/// The addresses at a range's beginning that are left to those who ask for one: chosen ones come from above, and from
/// here only when nothing else is left.
fn static_band(size: u128) -> u128 {
    if size <= 16 { 0 } else { (size / 16).clamp(16, 256) }
}

fn size(range: &IpNet) -> u128 {
    let bits = u32::from(range.max_prefix_len() - range.prefix_len());
    (1u128 << bits.min(64)).min(OFFSET_MAX)
}

fn at(range: &IpNet, offset: u128) -> Option<IpAddr> {
    match range.network() {
        IpAddr::V4(network) => {
            let number = u32::from(network).checked_add(u32::try_from(offset).ok()?)?;
            Some(IpAddr::V4(Ipv4Addr::from(number)))
        }
        IpAddr::V6(network) => Some(IpAddr::V6(Ipv6Addr::from(u128::from(network).checked_add(offset)?))),
    }
}

/// Without the network's own address and, in IPv4, its broadcast address.
fn bands(range: &IpNet) -> [Range<u128>; 2] {
    let size = size(range);
    let end = if range.network().is_ipv4() && size > 2 { size - 1 } else { size };
    let first = if size > 1 { 1 } else { 0 };
    let border = static_band(size).max(first).min(end);
    [border..end, first..border]
}

fn usable(range: &IpNet, address: IpAddr) -> bool {
    range.contains(&address)
        && (range.prefix_len() == range.max_prefix_len()
            || (address != range.network() && !(address.is_ipv4() && address == range.broadcast())))
}

/// `own` are those that the service has already.
pub(super) fn set(
    spec: &mut ServiceSpec,
    ranges: &ServiceRanges,
    own: &[IpAddr],
    claimed: &mut Claimed,
) -> Result<(), Vec<FieldError>> {
    if spec.type_.as_deref() == Some("ExternalName") {
        return Ok(());
    }
    if is_headless(spec) {
        spec.cluster_ip = Some(HEADLESS.to_owned());
        spec.cluster_ips = Some(vec![HEADLESS.to_owned()]);
        return Ok(());
    }
    let given: Vec<String> = match (&spec.cluster_ips, &spec.cluster_ip) {
        (Some(ips), _) if !ips.is_empty() => ips.clone(),
        (_, Some(ip)) if !ip.is_empty() => vec![ip.clone()],
        _ => Vec::new(),
    };
    let refuse = |why: String| vec![FieldError::invalid(FieldPath::new("spec").child("clusterIPs"), &given, why)];
    let mut chosen = Vec::new();
    for (index, family) in spec.ip_families.iter().flatten().enumerate() {
        let Some(found) = ranges.addresses.iter().position(|range| range_family(range) == family) else { continue };
        let range = &ranges.addresses[found];
        let address = match given.get(index).filter(|text| !text.is_empty()) {
            Some(text) => asked(text, range, own, claimed).map_err(refuse)?,
            None => claimed
                .any_address(found, bands(range), |offset| at(range, offset))
                .ok_or_else(|| refuse("failed to allocate a serviceIP: range is full".to_owned()))?,
        };
        chosen.push(address.to_string());
    }
    spec.cluster_ip = chosen.first().cloned();
    spec.cluster_ips = Some(chosen).filter(|ips| !ips.is_empty());
    Ok(())
}

fn asked(text: &str, range: &IpNet, own: &[IpAddr], claimed: &mut Claimed) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("failed to allocate IP {text}: not a valid IP address"))?;
    if own.contains(&address) {
        return Ok(address);
    }
    if !usable(range, address) {
        return Err(format!(
            "failed to allocate IP {text}: the provided IP ({text}) is not in the valid range. \
             The range of valid IPs is {range}"
        ));
    }
    if claimed.address(address) {
        Ok(address)
    } else {
        Err(format!("failed to allocate IP {text}: provided IP is already allocated"))
    }
}
