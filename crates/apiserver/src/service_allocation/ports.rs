//! Node ports, and the health check port of a load balancer that keeps traffic on the node.

use super::ServiceRanges;
use super::taken::Claimed;
use api::field::{FieldError, FieldPath};
use k8s_openapi::api::core::v1::ServiceSpec;
use std::ops::Range;

/// As for addresses: the ports at the range's beginning are left to those who ask.
fn bands(ranges: &ServiceRanges) -> [Range<u128>; 2] {
    let (first, last) = (u128::from(*ranges.node_ports.start()), u128::from(*ranges.node_ports.end()));
    let size = last - first + 1;
    let reserved = if size <= 16 { 0 } else { (size / 32).clamp(16, 128) };
    [first + reserved..last + 1, first..first + reserved]
}

fn wants_node_ports(spec: &ServiceSpec) -> bool {
    match spec.type_.as_deref() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec.allocate_load_balancer_node_ports.unwrap_or(true),
        _ => false,
    }
}

fn wants_health_port(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("LoadBalancer") && spec.external_traffic_policy.as_deref() == Some("Local")
}

/// `own` are those that the service has already.
pub(super) fn set(
    spec: &mut ServiceSpec,
    ranges: &ServiceRanges,
    own: &[u16],
    claimed: &mut Claimed,
) -> Result<(), Vec<FieldError>> {
    let wanted = wants_node_ports(spec);
    let path = FieldPath::new("spec").child("ports");
    // A number that is asked for must not be given away by choice before it is read.
    let mut given: Vec<((i32, String), i32)> = Vec::new();
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        if let Some(number) = port.node_port.filter(|number| *number > 0) {
            let at = path.index(index).child("nodePort");
            asked(at, number, ranges, own, claimed)?;
            given.push(((port.port, port.protocol.clone().unwrap_or_default()), number));
        }
    }
    if wanted {
        for (index, port) in spec.ports.iter_mut().flatten().enumerate() {
            if port.node_port.is_some_and(|number| number > 0) {
                continue;
            }
            // One port over two protocols gets one number, where the other has left it free.
            let protocol = port.protocol.clone().unwrap_or_default();
            let shared = given.iter().find(|((number, other), _)| *number == port.port && *other != protocol);
            let taken_by_own =
                |number: i32| given.iter().any(|((_, other), node_port)| *node_port == number && *other == protocol);
            let number = match shared.map(|(_, number)| *number).filter(|number| !taken_by_own(*number)) {
                Some(number) => number,
                None => i32::from(claimed.any_port(bands(ranges)).ok_or_else(|| full(&path, index))?),
            };
            port.node_port = Some(number);
            given.push(((port.port, protocol), number));
        }
    }
    if wants_health_port(spec) {
        let at = FieldPath::new("spec").child("healthCheckNodePort");
        match spec.health_check_node_port.filter(|number| *number > 0) {
            Some(number) => asked(at, number, ranges, own, claimed)?,
            None => {
                let number = claimed.any_port(bands(ranges)).ok_or_else(|| full(&at, 0))?;
                spec.health_check_node_port = Some(i32::from(number));
            }
        }
    }
    Ok(())
}

fn full(path: &FieldPath, index: usize) -> Vec<FieldError> {
    let why = "failed to allocate a nodePort: range is full";
    vec![FieldError::invalid(path.index(index).child("nodePort"), &0, why)]
}

fn asked(
    path: FieldPath,
    number: i32,
    ranges: &ServiceRanges,
    own: &[u16],
    claimed: &mut Claimed,
) -> Result<(), Vec<FieldError>> {
    let port = u16::try_from(number).unwrap_or_default();
    if own.contains(&port) {
        return Ok(());
    }
    let why = if !ranges.node_ports.contains(&port) {
        let (first, last) = (ranges.node_ports.start(), ranges.node_ports.end());
        format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")
    } else if claimed.port(port) {
        return Ok(());
    } else {
        "provided port is already allocated".to_owned()
    };
    Err(vec![FieldError::invalid(path, &number, why)])
}
