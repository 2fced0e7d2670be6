//! Addresses and ports of services: filled in or checked on every write of one, inside its write loop.
//!
//! Invariants: an address or port belongs to at most one service; what stored services have is learned from the
//! cache's own changes, what is being written is claimed until the write is applied or given up. Of several servers over
//! one store each knows the others' only when it has their changes: what they give away is `unique` in the store, and a
//! write that meets it there is tried again with what this server has learned.

mod addresses;
mod families;
mod ports;
mod taken;

use api::field::FieldError;
use api::{Kind, Object, Status};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Service;
use parking_lot::Mutex;
use registry::{Claim, Hook, Resource};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use taken::{Claimed, Taken};

/// What services may be given.
#[derive(Clone, Debug)]
pub struct ServiceRanges {
    /// One, or one of each family; the first is the default one.
    pub addresses: Vec<IpNet>,
    pub node_ports: RangeInclusive<u16>,
    /// Whether choice begins anywhere in a range rather than at its start: so that servers that share the ranges seldom
    /// choose the same.
    pub scattered: bool,
}

impl ServiceRanges {
    pub const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

    pub fn new(addresses: Vec<IpNet>) -> ServiceRanges {
        ServiceRanges { addresses, node_ports: Self::NODE_PORTS, scattered: false }
    }
}

pub(crate) struct Services {
    ranges: ServiceRanges,
    taken: Arc<Mutex<Taken>>,
}

impl Services {
    pub(crate) fn new(ranges: ServiceRanges) -> Services {
        let taken = Taken::new(ranges.scattered);
        Services { ranges, taken: Arc::new(Mutex::new(taken)) }
    }
}

/// What a service has, whatever its state.
fn addresses_of(service: &Service) -> Vec<IpAddr> {
    let texts = service.spec.as_ref().and_then(|spec| spec.cluster_ips.as_deref()).unwrap_or_default();
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn ports_of(service: &Service) -> Vec<u16> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ports = spec.ports.iter().flatten().filter_map(|port| port.node_port);
    let ports = ports.chain(spec.health_check_node_port);
    ports.filter_map(|port| u16::try_from(port).ok()).filter(|port| *port > 0).collect()
}

fn owner(service: &Service) -> String {
    let meta = &service.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

impl Hook for Services {
    fn claim(
        &self,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
        _dry_run: bool,
    ) -> Result<Option<Claim>, Status> {
        let Some(service) = object.downcast_mut::<Service>() else { return Ok(None) };
        let old = old.and_then(|old| old.downcast::<Service>());
        let name = service.metadata.name.clone().unwrap_or_default();
        let refuse = |errors: Vec<FieldError>| Status::invalid(&Service::DEF, &name, &errors);
        let Some(spec) = &mut service.spec else { return Ok(None) };
        families::set(spec, &self.ranges).map_err(refuse)?;
        let mut claimed = Claimed::new(self.taken.clone());
        let own_addresses = old.map(addresses_of).unwrap_or_default();
        addresses::set(spec, &self.ranges, &own_addresses, &mut claimed).map_err(refuse)?;
        let own_ports = old.map(ports_of).unwrap_or_default();
        ports::set(spec, &self.ranges, &own_ports, &mut claimed).map_err(refuse)?;
        Ok(Some(Claim::new(claimed)))
    }

    fn unique(&self, object: &dyn Object) -> Vec<String> {
        let Some(service) = object.downcast::<Service>() else { return Vec::new() };
        let addresses = addresses_of(service).into_iter().map(|address| format!("service-address/{address}"));
        let ports = ports_of(service).into_iter().map(|port| format!("node-port/{port}"));
        addresses.chain(ports).collect()
    }

    fn observe(&self, _resource: &Resource, before: Option<&dyn Object>, after: Option<&dyn Object>) {
        let mut taken = self.taken.lock();
        if let Some(service) = before.and_then(|object| object.downcast::<Service>()) {
            taken.release(&owner(service), &addresses_of(service), &ports_of(service));
        }
        if let Some(service) = after.and_then(|object| object.downcast::<Service>()) {
            taken.hold(&owner(service), &addresses_of(service), &ports_of(service));
        }
    }
}

#[cfg(test)]
mod tests;
