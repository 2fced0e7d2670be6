//! EndpointSlice: some of the addresses behind a service.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::jiff::Timestamp;

/// Bounds of upstream's: endpoints of a slice, addresses of an endpoint, ports of a slice.
const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 100;
/// The zones or nodes for which one endpoint may be meant.
const HINTS_MAX: usize = 8;

impl Kind for EndpointSlice {
    const DEF: ResourceDef = ResourceDef {
        columns: &[
            Column::NAME,
            Column::text("AddressType").about("IPv4, IPv6 or FQDN."),
            Column::text("Ports").about("Its first ports."),
            Column::text("Endpoints").about("Its first addresses."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "discovery.k8s.io",
            "v1",
            "EndpointSlice",
            "endpointslices",
            "endpointslice",
            Scope::Namespaced,
            "k8s.io.api.discovery.v1.EndpointSlice",
        )
    };

    fn defaults(&mut self) {
        for port in self.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
    }

    fn prepare_create(&mut self) {
        drop_topology(self);
    }

    /// What an older version of the group left in endpoints stays for as long as they do.
    fn prepare_update(&mut self, old: &EndpointSlice) {
        if self.endpoints != old.endpoints {
            drop_topology(self);
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let types = &["FQDN", "IPv4", "IPv6"];
        check::supported(&mut errors, &FieldPath::new("addressType"), Some(&self.address_type), types);
        let all = self.endpoints.as_deref().unwrap_or_default();
        endpoints(&mut errors, &FieldPath::new("endpoints"), all, &self.address_type);
        ports(&mut errors, &FieldPath::new("ports"), self.ports.as_deref().unwrap_or_default());
        errors
    }

    fn validate_update(&self, old: &EndpointSlice) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("addressType"), &self.address_type, &old.address_type);
        errors
    }

    const GENERATION: bool = true;

    /// All of it is desired state, the labels as well.
    fn spec_differs(&self, old: &EndpointSlice) -> bool {
        !check::same(&self.endpoints, &old.endpoints)
            || !check::same(&self.ports, &old.ports)
            || !check::same(&self.metadata.labels, &old.metadata.labels)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let port = |port: &EndpointPort| match (port.port, &port.name) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) if !name.is_empty() => name.clone(),
            _ => "*".to_owned(),
        };
        let ports: Vec<String> = self.ports.iter().flatten().map(port).collect();
        let endpoints = self.endpoints.iter().flatten();
        let addresses: Vec<String> = endpoints.flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect();
        vec![
            columns::name(&self.metadata),
            Cell::from(self.address_type.as_str()),
            columns::first_three(&ports, "<unset>"),
            columns::first_three(&addresses, "<unset>"),
            columns::created(&self.metadata, now),
        ]
    }
}

/// This version of the group says zone and node in fields of their own.
fn drop_topology(slice: &mut EndpointSlice) {
    slice.endpoints.iter_mut().flatten().for_each(|endpoint| endpoint.deprecated_topology = None);
}

fn endpoints(errors: &mut Errors, path: &FieldPath, endpoints: &[Endpoint], address_type: &str) {
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(FieldError::too_many(path.clone(), endpoints.len(), ENDPOINTS_MAX));
        return;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = path.index(index);
        let field = path.child("addresses");
        match endpoint.addresses.len() {
            0 => errors.push(FieldError::required(field.clone(), "must contain at least 1 address")),
            count if count > ADDRESSES_MAX => {
                errors.push(FieldError::too_many(field.clone(), count, ADDRESSES_MAX));
            }
            _ => {}
        }
        for (index, text) in endpoint.addresses.iter().enumerate() {
            address(errors, &field.index(index), text, address_type);
        }
        if let Some(name) = &endpoint.hostname {
            check::dns1123_label(errors, &path.child("hostname"), name);
        }
        if let Some(name) = &endpoint.node_name {
            check::dns1123_subdomain(errors, &path.child("nodeName"), name);
        }
        if let Some(hints) = &endpoint.hints {
            let zones: Vec<&str> = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str()).collect();
            let nodes: Vec<&str> = hints.for_nodes.iter().flatten().map(|node| node.name.as_str()).collect();
            self::hints(errors, &path.child("hints").child("forZones"), &zones, crate::labels::label_value);
            let node_name = |name: &str| crate::labels::dns1123_subdomain(name, false);
            self::hints(errors, &path.child("hints").child("forNodes"), &nodes, node_name);
        }
    }
}

/// For whom an endpoint is meant: a few, each once.
fn hints(errors: &mut Errors, path: &FieldPath, names: &[&str], rule: impl Fn(&str) -> Vec<String>) {
    if names.len() > HINTS_MAX {
        errors.push(FieldError::too_many(path.clone(), names.len(), HINTS_MAX));
        return;
    }
    for (index, name) in names.iter().enumerate() {
        let path = path.index(index).child("name");
        if names[..index].contains(name) {
            errors.push(FieldError::duplicate(path.clone(), name));
        }
        check::each(errors, &path, name, rule(name));
    }
}

fn address(errors: &mut Errors, path: &FieldPath, text: &str, address_type: &str) {
    let parsed = text.parse::<std::net::IpAddr>();
    match address_type {
        "IPv4" | "IPv6" => {
            if !parsed.is_ok_and(|ip| ip.is_ipv4() == (address_type == "IPv4")) {
                let detail = format!("must be a valid {address_type} address");
                errors.push(FieldError::invalid(path.clone(), text, detail));
            }
            check::reachable_ip(errors, path, text);
        }
        "FQDN" => {
            let name = text.strip_suffix('.').unwrap_or(text);
            let complaints = crate::labels::dns1123_subdomain(name, false);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(path.clone(), name, complaints.join(",")));
            } else if !name.contains('.') {
                let detail = "should be a domain with at least two segments separated by dots";
                errors.push(FieldError::invalid(path.clone(), name, detail));
            }
        }
        _ => {}
    }
}

fn ports(errors: &mut Errors, path: &FieldPath, ports: &[EndpointPort]) {
    if ports.len() > PORTS_MAX {
        errors.push(FieldError::too_many(path.clone(), ports.len(), PORTS_MAX));
        return;
    }
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            check::dns1123_label(errors, &path.child("name"), name);
        }
        if ports[..index].iter().any(|other| other.name.as_deref().unwrap_or_default() == name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        check::supported(errors, &path.child("protocol"), port.protocol.as_deref(), check::PROTOCOLS);
        if let Some(protocol) = &port.app_protocol {
            check::label_key(errors, &path.child("appProtocol"), protocol);
        }
    }
}
