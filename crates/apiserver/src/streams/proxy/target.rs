//! What a path of the `proxy` subresource names: an address of a pod, of one of a service's endpoints, or of a node.

use super::super::dial::Address;
use super::super::logs::no_access;
use super::super::pod;
use crate::call::Call;
use crate::callout;
use api::selector::{FieldSelector, Selector};
use api::{Kind, Status};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use registry::{ListQuery, ReadVersion, Selection};
use rustls::ClientConfig;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// `[SCHEME:]NAME[:PORT]`.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    tls: bool,
    name: &'a str,
    /// A number or a port's name; empty for none.
    port: &'a str,
}

impl<'a> Named<'a> {
    fn parse(text: &'a str) -> Option<Named<'a>> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match *parts.as_slice() {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return None,
        };
        let known = matches!(scheme, "" | "http" | "https");
        (known && !name.is_empty()).then_some(Named { tls: scheme == "https", name, port })
    }

    fn number(&self) -> Result<u16, Status> {
        let bad = || Status::bad_request(format!("invalid port {:?}", self.port));
        self.port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad)
    }

    fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }

    fn address(&self, host: &str, port: u16) -> Result<Address, Status> {
        let address = host.parse::<IpAddr>().ok().filter(may_be_proxied);
        let host = address.ok_or_else(|| Status::bad_request("address not allowed"))?.to_string();
        let tls = self.tls.then(unverified).transpose()?;
        Ok(Address { host, port, tls })
    }
}

/// What leads into this machine itself, or to everybody, is not a pod's address.
fn may_be_proxied(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

/// Whom a pod's certificate names is nobody's promise; upstream checks none either.
fn unverified() -> Result<Arc<ClientConfig>, Status> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = client::unverified_tls().map_err(Status::internal)?;
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

pub(super) async fn find(call: &Call<'_>) -> Result<Address, Status> {
    let text = call.info.name;
    let kind = call.def().singular;
    let named = Named::parse(text).ok_or_else(|| Status::bad_request(format!("invalid {kind} request {text:?}")))?;
    match call.def().plural {
        plural if plural == Pod::DEF.plural => of_pod(call, &named).await,
        plural if plural == Service::DEF.plural => of_service(call, &named).await,
        plural if plural == Node::DEF.plural => of_node(call, &named).await,
        _ => Err(Status::no_such_path()),
    }
}

async fn object<K: Kind>(call: &Call<'_>, name: &str) -> Result<K, Status> {
    let entry = call.registry().get(&call.resource, call.namespace(), name, ReadVersion::Latest).await?;
    let object = entry.decode(call.resource.kind).map_err(Status::internal)?;
    object.downcast::<K>().cloned().ok_or_else(Status::no_such_path)
}

async fn of_pod(call: &Call<'_>, named: &Named<'_>) -> Result<Address, Status> {
    let pod: Pod = object(call, named.name).await?;
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
    let port = if named.port.is_empty() {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let first = containers.flat_map(|container| container.ports.iter().flatten()).next();
        first.and_then(|port| u16::try_from(port.container_port).ok()).unwrap_or(named.default_port())
    } else {
        named.number()?
    };
    named.address(address, port)
}

async fn of_service(call: &Call<'_>, named: &Named<'_>) -> Result<Address, Status> {
    let service: Service = object(call, named.name).await?;
    // A number means the service's own port; endpoints know it by its name.
    let port_name = match named.port.parse::<i32>() {
        Ok(number) => {
            let none = || Status::unavailable(format!("no service port {number} found for service {:?}", named.name));
            callout::port_name(&service, number).ok_or_else(none)?
        }
        Err(_) => named.port,
    };
    let slices = slices(call, named.name).await?;
    if !slices.iter().any(|slice| slice.endpoints.iter().flatten().any(callout::is_ready)) {
        return Err(Status::unavailable(format!("no endpoints available for service {:?}", named.name)));
    }
    let none = || Status::unavailable(format!("no endpoints available for service {:?}", call.info.name));
    let (address, port) = callout::ready_endpoint(&slices, port_name).ok_or_else(none)?;
    named.address(address, port)
}

async fn slices(call: &Call<'_>, service: &str) -> Result<Vec<EndpointSlice>, Status> {
    let resource = call.registry().resource(&EndpointSlice::DEF)?;
    let labels = Selector::parse(&format!("kubernetes.io/service-name={service}")).map_err(Status::internal)?;
    let selection = Selection::new(call.namespace(), "", labels, FieldSelector::default());
    let listing = call.registry().list(&resource, &ListQuery::all(selection)).await?;
    let mut slices = Vec::with_capacity(listing.entries.len());
    for entry in listing.entries {
        let object = entry.decode(resource.kind).map_err(Status::internal)?;
        slices.extend(object.downcast::<EndpointSlice>().cloned());
    }
    Ok(slices)
}

/// Without a port, or with the kubelet's own: the kubelet, as this server's client of it.
async fn of_node(call: &Call<'_>, named: &Named<'_>) -> Result<Address, Status> {
    let (host, port) = pod::kubelet_address(call, named.name).await?;
    if named.port.is_empty() || named.port == port.to_string() {
        let access = call.backend.kubelets.as_ref().ok_or_else(no_access)?;
        return Ok(access.address(&host, port));
    }
    named.address(&host, named.number()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_a_scheme_and_a_port() {
        let check = |text: &'static str| Named::parse(text).map(|named| (named.tls, named.name, named.port));
        assert_eq!(check("web"), Some((false, "web", "")));
        assert_eq!(check("web:80"), Some((false, "web", "80")));
        assert_eq!(check("https:web:"), Some((true, "web", "")));
        assert_eq!(check("https:web:admin"), Some((true, "web", "admin")));
        for wrong in ["", ":80", "ftp:web:80", "a:b:c:d"] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_that_are_nobodys_are_refused() {
        let named = Named { tls: false, name: "web", port: "" };
        let check =
            |host: &str| named.address(host, 80).map(|address| address.authority()).map_err(|status| status.message);
        assert_eq!(check("10.42.0.7"), Ok("10.42.0.7:80".to_owned()));
        assert_eq!(check("fd00::7"), Ok("[fd00::7]:80".to_owned()));
        for wrong in ["", "127.0.0.1", "::1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "web"] {
            assert_eq!(check(wrong), Err("address not allowed".to_owned()), "{wrong}");
        }
    }
}
