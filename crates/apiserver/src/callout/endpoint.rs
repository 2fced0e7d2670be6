//! Which of a service's endpoints a connection goes to: any that is ready.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use rand::seq::IteratorRandom;

/// The name of a service's port, by which its endpoints know it; empty for a port without one.
pub(crate) fn port_name(service: &Service, number: i32) -> Option<&str> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let port = ports.iter().find(|port| port.port == number)?;
    Some(port.name.as_deref().unwrap_or_default())
}

pub(crate) fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// An address and port behind a service's port; every ready endpoint is as likely as any other.
pub(crate) fn ready_endpoint<'a>(slices: &'a [EndpointSlice], port_name: &str) -> Option<(&'a str, u16)> {
    let candidates = slices.iter().flat_map(|slice| {
        let ports = slice.ports.iter().flatten();
        let ports = ports.filter(|port| port.name.as_deref().unwrap_or_default() == port_name);
        let number = ports.filter_map(|port| port.port).next();
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint));
        ready.filter_map(move |endpoint| Some((endpoint.addresses.first()?.as_str(), u16::try_from(number?).ok()?)))
    });
    candidates.choose(&mut rand::rng())
}
