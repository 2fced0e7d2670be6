//! A pod as a service's backend. Pure.

use client::PodView;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

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
pub(super) fn stands(pod: &PodView) -> bool {
    !pod.is_terminal() && !pod.addresses.is_empty()
}

/// Whether endpoints show that a pod has changed; `None`: it was not behind the service.
pub(super) fn differs(old: Option<&PodView>, new: &PodView) -> bool {
    match old.filter(|old| stands(old)) {
        Some(old) => !stands(new) || face(old) != face(new),
        None => stands(new),
    }
}

/// What endpoints show of a pod, apart from its ports, which never change.
fn face(pod: &PodView) -> impl PartialEq + use<'_> {
    (&pod.uid, &pod.addresses, (pod.is_ready(), pod.is_ending()), (&pod.node, &pod.hostname, &pod.spec.subdomain))
}

/// The service's ports as the pod has them, in order; a port that it names and the pod lacks is left out.
pub(super) fn ports(service: &Service, pod: &PodView) -> Vec<Port> {
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

fn number(port: &ServicePort, pod: &PodView) -> Option<i32> {
    let name = match &port.target_port {
        None | Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let mut ports = pod.spec.staying().flat_map(|container| container.ports.iter().flatten());
    let same = ports.find(|declared| {
        declared.name.as_ref() == Some(name) && declared.protocol.as_deref().unwrap_or("TCP") == protocol(port)
    });
    same.map(|declared| declared.container_port)
}

/// The name by which DNS knows the pod behind this service.
pub(super) fn hostname(service: &Service, pod: &PodView) -> Option<String> {
    let known = Some(&*pod.spec.subdomain) == service.metadata.name.as_deref();
    (known && !pod.hostname.is_empty()).then(|| pod.hostname.to_string())
}

pub(super) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub(super) fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}
