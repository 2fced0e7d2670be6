//! Endpoints: the old form, one object per service, for those who still read it.
//!
//! Invariant: it says what the service's slices say; nothing here looks at a pod.

use super::HEADLESS;
use super::backend;
use super::service::{self, slices_service};
use crate::table::Start;
use api::Reason;
use async_trait::async_trait;
use client::Cache;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, owner};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one object; upstream cuts there too, and says so in an annotation.
const ADDRESSES_MAX: usize = 1000;
/// Every write is of all addresses, and whoever is in a hurry reads slices.
const REST: Duration = Duration::from_millis(500);

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (services, endpoints) = (client.cache::<Service>(), client.cache::<Endpoints>());
    let owned = Index::new(|slice: &EndpointSlice| slices_service(slice, service::CONTROLLER));
    let reconciler = Legacy { services: services.clone(), slices: owned.clone(), endpoints: endpoints.clone() };
    Controller::new("endpoint", reconciler)
        .rests(REST)
        .watches(services, reconcile::each)
        .watches(endpoints, reconcile::each)
        .indexes(client.cache::<EndpointSlice>(), &owned, |change| service::owners(change, service::CONTROLLER))
}

struct Legacy {
    services: Cache<Service>,
    slices: Arc<Index<EndpointSlice>>,
    endpoints: Cache<Endpoints>,
}

#[async_trait]
impl Reconcile for Legacy {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let existing = self.endpoints.get_key(key);
        let Some(service) = self.services.get_key(key) else {
            // Those that a user made without a service are his.
            let ours =
                |e: &Arc<Endpoints>| crate::labels(&e.metadata).get(MANAGED_BY).is_some_and(|by| by == CONTROLLER);
            if let Some(ours) = existing.filter(ours) {
                ctx.delete(&*ours, None).await.map_err(Error::api("deleting endpoints"))?;
            }
            return Ok(Action::Done);
        };
        if backend::selector(&service).is_none() || service.metadata.deletion_timestamp.is_some() {
            return Ok(Action::Done);
        }
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        let mut slices = self.slices.get(key);
        slices.retain(|slice| owner::is_controlled_by(&slice.metadata, uid));
        if slices.is_empty() {
            // A service always has one; that it is made wakes us.
            return Ok(Action::Done);
        }
        let wanted = endpoints(&service, &slices, existing.as_deref());
        let answer = match existing {
            Some(existing) if *existing == wanted => return Ok(Action::Done),
            Some(_) => ctx.update(&wanted).await,
            None => ctx.create(&wanted).await,
        };
        match answer {
            Err(status) if crate::namespace_terminating(&status) || status.reason == Reason::NotFound => {
                Ok(Action::Done)
            }
            answer => answer.map(|_| Action::Done).map_err(Error::api("writing endpoints")),
        }
    }
}

fn endpoints(service: &Service, slices: &[Arc<EndpointSlice>], existing: Option<&Endpoints>) -> Endpoints {
    let mut meta = existing.map(|existing| existing.metadata.clone()).unwrap_or_else(|| ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    });
    let labels = meta.labels.insert(service.metadata.labels.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    if backend::is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let (subsets, truncated) = subsets(service, slices);
    let mut annotations = meta.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if truncated {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    }
    meta.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    Endpoints { metadata: meta, subsets: Some(subsets).filter(|subsets| !subsets.is_empty()) }
}

/// Name, number, protocol and application protocol of each port.
type Ports = Vec<(String, i32, Option<String>, Option<String>)>;
type Addresses = Vec<EndpointAddress>;

/// The subsets by ports, the ready addresses of all before the others of any; whether some had to be left out.
fn subsets(service: &Service, slices: &[Arc<EndpointSlice>]) -> (Vec<EndpointSubset>, bool) {
    let spec = service.spec.as_ref();
    let family = spec.and_then(|spec| spec.ip_families.as_ref()?.first()).map_or("IPv4", String::as_str);
    let has_ports = spec.and_then(|spec| spec.ports.as_ref()).is_some_and(|ports| !ports.is_empty());
    let (mut ready, mut others) = (Vec::new(), Vec::new());
    for slice in slices.iter().filter(|slice| slice.address_type == family) {
        let ports = ports(slice);
        // Pods that have none of the service's ports serve nothing.
        if ports.is_empty() && has_ports {
            continue;
        }
        for endpoint in slice.endpoints.iter().flatten() {
            let conditions = endpoint.conditions.as_ref();
            let is = |condition: Option<bool>| condition == Some(true);
            let Some(address) = address(endpoint) else { continue };
            if is(conditions.and_then(|conditions| conditions.ready)) {
                ready.push((ports.clone(), address));
            } else if !is(conditions.and_then(|conditions| conditions.terminating)) {
                others.push((ports.clone(), address));
            }
        }
    }
    for addresses in [&mut ready, &mut others] {
        addresses.sort_by(|(_, a), (_, b)| a.ip.cmp(&b.ip));
    }
    let truncated = ready.len() + others.len() > ADDRESSES_MAX;
    ready.truncate(ADDRESSES_MAX);
    others.truncate(ADDRESSES_MAX - ready.len());
    let mut subsets: BTreeMap<Ports, (Addresses, Addresses)> = BTreeMap::new();
    for (ports, address) in ready {
        subsets.entry(ports).or_default().0.push(address);
    }
    for (ports, address) in others {
        subsets.entry(ports).or_default().1.push(address);
    }
    (subsets.into_iter().map(subset).collect(), truncated)
}

fn ports(slice: &EndpointSlice) -> Ports {
    let ports = slice.ports.iter().flatten().filter_map(|port| {
        Some((port.name.clone().unwrap_or_default(), port.port?, port.protocol.clone(), port.app_protocol.clone()))
    });
    let mut ports: Ports = ports.collect();
    ports.sort();
    ports
}

fn subset((ports, (ready, others)): (Ports, (Addresses, Addresses))) -> EndpointSubset {
    let port = |(name, port, protocol, app_protocol): (String, i32, Option<String>, Option<String>)| EndpointPort {
        name: Some(name).filter(|name| !name.is_empty()),
        port,
        protocol,
        app_protocol,
    };
    let ports: Vec<EndpointPort> = ports.into_iter().map(port).collect();
    EndpointSubset {
        addresses: Some(ready).filter(|addresses| !addresses.is_empty()),
        not_ready_addresses: Some(others).filter(|addresses| !addresses.is_empty()),
        ports: Some(ports).filter(|ports| !ports.is_empty()),
    }
}

fn address(endpoint: &Endpoint) -> Option<EndpointAddress> {
    Some(EndpointAddress {
        ip: endpoint.addresses.first()?.clone(),
        hostname: endpoint.hostname.clone(),
        node_name: endpoint.node_name.clone(),
        target_ref: endpoint.target_ref.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Each subset as `ports: ready | others`.
    fn check(ports: &Value, slices: &[Value], want: &[&str]) {
        let service: Service =
            serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {"ports": ports}})).unwrap();
        let slice = |slice: &Value| Arc::new(serde_json::from_value(slice.clone()).unwrap());
        let (subsets, truncated) = subsets(&service, &slices.iter().map(slice).collect::<Vec<_>>());
        assert!(!truncated);
        let ips = |addresses: &Option<Addresses>| {
            addresses.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>().join(",")
        };
        let line = |subset: &EndpointSubset| {
            let ports: Vec<String> = subset.ports.iter().flatten().map(|port| port.port.to_string()).collect();
            format!("{}: {} | {}", ports.join(","), ips(&subset.addresses), ips(&subset.not_ready_addresses))
        };
        assert_eq!(subsets.iter().map(line).collect::<Vec<_>>(), want);
    }

    fn slice(family: &str, ports: &[i32], endpoints: &[(&str, bool, bool)]) -> Value {
        let endpoint = |(ip, ready, terminating): &(&str, bool, bool)| json!({"addresses": [ip], "conditions": {"ready": ready, "serving": true, "terminating": terminating}});
        let ports: Vec<Value> =
            ports.iter().map(|port| json!({"name": port.to_string(), "port": port, "protocol": "TCP"})).collect();
        json!({"addressType": family, "ports": ports, "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>()})
    }

    #[test]
    fn the_old_form_says_what_the_slices_say() {
        let ports = json!([{"port": 80}]);
        let first =
            slice("IPv4", &[8080], &[("10.0.0.2", true, false), ("10.0.0.3", false, true), ("10.0.0.4", false, false)]);
        let second = slice("IPv4", &[8080], &[("10.0.0.1", true, false), ("10.0.0.5", true, true)]);
        let other = slice("IPv4", &[9090], &[("10.0.0.6", true, false)]);
        let portless = slice("IPv4", &[], &[("10.0.0.7", true, false)]);
        let v6 = slice("IPv6", &[8080], &[("fd00::1", true, false)]);
        let want = ["8080: 10.0.0.1,10.0.0.2,10.0.0.5 | 10.0.0.4", "9090: 10.0.0.6 | "];
        check(&ports, &[first, second, other, portless.clone(), v6], &want);
        check(&Value::Null, &[portless], &[": 10.0.0.7 | "]);
        check(&ports, &[slice("IPv4", &[], &[])], &[]);
    }
}
