//! A pod as a service's backend. Pure.

use crate::pod;
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A service's port as one pod serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) number: i32,
    pub(super) app_protocol: Option<String>,
}

/// The labels that a service's pods have; `None`: its endpoints are not ours to make.
pub(super) fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|labels| !labels.is_empty() && !external)
}

/// Whether a pod has an address to be told; those that are ending have, those that have ended do not.
pub(super) fn stands(pod: &Pod) -> bool {
    !pod::is_terminal(pod) && !addresses(pod).is_empty()
}

/// Whether endpoints show that a pod has changed; `None`: it was not behind the service.
pub(super) fn differs(old: Option<&Pod>, new: &Pod) -> bool {
    match old.filter(|old| stands(old)) {
        Some(old) => !stands(new) || face(old) != face(new),
        None => stands(new),
    }
}

/// What endpoints show of a pod, apart from its ports, which never change.
fn face(pod: &Pod) -> impl PartialEq + use<'_> {
    let spec = pod.spec.as_ref();
    (
        pod.metadata.uid.as_deref(),
        addresses(pod),
        (pod::is_ready(pod), pod.metadata.deletion_timestamp.is_some()),
        spec.map(|spec| (spec.node_name.as_deref(), spec.hostname.as_deref(), spec.subdomain.as_deref())),
    )
}

pub(super) fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut all: Vec<IpAddr> = listed.chain(status.pod_ip.as_deref()).filter_map(|ip| ip.parse().ok()).collect();
    all.dedup();
    all
}

/// The service's ports as the pod has them, in order; a port that it names and the pod lacks is left out.
pub(super) fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let declared = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let mut ports: Vec<Port> = declared
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol(port).to_owned(),
                number: number(port, pod)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None | Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let staying =
        spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(staying);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let same = ports.find(|declared| {
        declared.name.as_ref() == Some(name) && declared.protocol.as_deref().unwrap_or("TCP") == protocol(port)
    });
    same.map(|declared| declared.container_port)
}

/// The name by which DNS knows the pod behind this service.
pub(super) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|name| !name.is_empty())?;
    (spec.subdomain == service.metadata.name).then_some(hostname)
}

pub(super) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub(super) fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}
