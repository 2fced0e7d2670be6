//! Endpoints: the addresses behind a service, in their old form.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints};
use k8s_openapi::jiff::Timestamp;

impl Kind for Endpoints {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        deprecation: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        short_names: &["ep"],
        columns: &[Column::NAME, Column::text("Endpoints").about("Its first addresses and ports."), Column::AGE],
        ..ResourceDef::new(
            "",
            "v1",
            "Endpoints",
            "endpoints",
            "endpoints",
            Scope::Namespaced,
            "k8s.io.api.core.v1.Endpoints",
        )
    };

    fn defaults(&mut self) {
        let subsets = self.subsets.iter_mut().flatten();
        for port in subsets.flat_map(|subset| subset.ports.iter_mut().flatten()) {
            if port.protocol.as_deref().unwrap_or_default().is_empty() {
                port.protocol = Some("TCP".to_owned());
            }
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for (index, subset) in self.subsets.iter().flatten().enumerate() {
            let path = FieldPath::new("subsets").index(index);
            let ready = subset.addresses.as_deref().unwrap_or_default();
            let others = subset.not_ready_addresses.as_deref().unwrap_or_default();
            if ready.is_empty() && others.is_empty() {
                let detail = "must specify `addresses` or `notReadyAddresses`";
                errors.push(FieldError::required(path.clone(), detail));
            }
            addresses(&mut errors, &path.child("addresses"), ready);
            addresses(&mut errors, &path.child("notReadyAddresses"), others);
            ports(&mut errors, &path.child("ports"), subset.ports.as_deref().unwrap_or_default());
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let mut all = Vec::new();
        for subset in self.subsets.iter().flatten() {
            for port in subset.ports.iter().flatten() {
                let ips = subset.addresses.iter().flatten().map(|address| address.ip.as_str());
                all.extend(ips.map(|ip| host_port(ip, port.port)));
            }
        }
        vec![
            columns::name(&self.metadata),
            columns::first_three(&all, if self.subsets.as_ref().is_none_or(Vec::is_empty) { "<none>" } else { "" }),
            columns::created(&self.metadata, now),
        ]
    }
}

fn host_port(ip: &str, port: i32) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn addresses(errors: &mut Errors, path: &FieldPath, addresses: &[EndpointAddress]) {
    for (index, address) in addresses.iter().enumerate() {
        let path = path.index(index);
        check::ip(errors, &path.child("ip"), &address.ip);
        if let Some(name) = address.hostname.as_deref().filter(|name| !name.is_empty()) {
            check::dns1123_label(errors, &path.child("hostname"), name);
        }
        if let Some(name) = &address.node_name {
            check::dns1123_subdomain(errors, &path.child("nodeName"), name);
        }
        check::reachable_ip(errors, &path.child("ip"), &address.ip);
    }
}

fn ports(errors: &mut Errors, path: &FieldPath, ports: &[EndpointPort]) {
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        match port.name.as_deref().unwrap_or_default() {
            "" if ports.len() > 1 => errors.push(FieldError::required(path.child("name"), "")),
            "" => {}
            name => check::dns1123_label(errors, &path.child("name"), name),
        }
        check::each(errors, &path.child("port"), &port.port, labels::port_number(port.port));
        check::supported(errors, &path.child("protocol"), port.protocol.as_deref(), check::PROTOCOLS);
        if let Some(protocol) = &port.app_protocol {
            check::label_key(errors, &path.child("appProtocol"), protocol);
        }
    }
}
