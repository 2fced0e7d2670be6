//! EndpointSlices of Endpoints that somebody writes by hand: the backends of a service that selects no pods.
//!
//! Invariant: the slices say what the Endpoints say while these are to be mirrored, and go as soon as they are not.

use super::backend::Port;
use super::service::{self, slices_service};
use super::slices::{self, Changes, Group, MANAGED_BY, SERVICE_NAME};
use crate::table::Start;
use async_trait::async_trait;
use client::Cache;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, Severity, owner};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Such Endpoints are a lock that processes compete for, and lead nowhere.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that say something about the Endpoints alone.
const NOT_COPIED: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"];
/// Addresses of one subset, and endpoints of one slice, which must not have more: a subset is a slice.
const ADDRESSES_MAX: usize = 1000;

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (services, endpoints) = (client.cache::<Service>(), client.cache::<Endpoints>());
    let owned = Index::new(|slice: &EndpointSlice| slices_service(slice, CONTROLLER));
    let reconciler = Mirror { services: services.clone(), endpoints: endpoints.clone(), slices: owned.clone() };
    Controller::new("endpointslicemirroring", reconciler)
        .watches(services, reconcile::each)
        .watches(endpoints, reconcile::each)
        .indexes(client.cache::<EndpointSlice>(), &owned, |change| service::owners(change, CONTROLLER))
}

struct Mirror {
    services: Cache<Service>,
    endpoints: Cache<Endpoints>,
    slices: Arc<Index<EndpointSlice>>,
}

#[async_trait]
impl Reconcile for Mirror {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let existing = self.slices.get(key);
        let service = self.services.get_key(key);
        let endpoints = self.endpoints.get_key(key).filter(|endpoints| is_mirrored(endpoints, service.as_deref()));
        let Some(endpoints) = endpoints else {
            service::write(ctx, Changes { delete: existing, ..Changes::default() }).await?;
            return Ok(Action::Done);
        };
        let wanted = wanted(endpoints.subsets.as_deref().unwrap_or_default());
        tell(ctx, &endpoints, &wanted);
        service::write(ctx, slices::changes(&existing, wanted.groups, &meta(&endpoints), ADDRESSES_MAX)).await?;
        Ok(Action::Done)
    }
}

/// Whether there is a service whose endpoints these are, and nobody else makes its slices.
fn is_mirrored(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let selects = |service: &Service| {
        service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|labels| !labels.is_empty())
    };
    let meta = &endpoints.metadata;
    let skipped = crate::labels(meta).get(SKIP).is_some_and(|skip| skip == "true");
    let lock = meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(LEADER));
    // Slices of Endpoints that are ending would hold back that end, being made anew whenever they are collected.
    service.is_some_and(|service| !selects(service)) && !skipped && !lock && meta.deletion_timestamp.is_none()
}

/// What the slices are to say, and how many addresses they cannot.
#[derive(Default)]
struct Wanted {
    groups: BTreeMap<Group, slices::Endpoints>,
    invalid: usize,
    too_many: usize,
}

/// The endpoints by address family and ports. A family without addresses has no slice.
fn wanted(subsets: &[EndpointSubset]) -> Wanted {
    let mut wanted = Wanted::default();
    for subset in subsets {
        let mut ports: Vec<Port> = subset.ports.iter().flatten().map(port).collect();
        ports.sort();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let others = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        let mut added = 0;
        for (address, is_ready) in ready.chain(others) {
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                wanted.invalid += 1;
                continue;
            };
            if added == ADDRESSES_MAX {
                wanted.too_many += 1;
                continue;
            }
            added += 1;
            let ip = ip.to_canonical();
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let endpoint = endpoint(address, ip, is_ready);
            let group = wanted.groups.entry((family, ports.clone())).or_default();
            // An address that is told twice is ready if it is so anywhere.
            let told = group.entry(slices::identity(&endpoint)).or_insert_with(|| endpoint.clone());
            if is_ready {
                *told = endpoint;
            }
        }
    }
    wanted
}

fn port(port: &EndpointPort) -> Port {
    Port {
        name: port.name.clone().unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        number: port.port,
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn meta(endpoints: &Endpoints) -> ObjectMeta {
    let meta = &endpoints.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !NOT_COPIED.contains(&name.as_str()));
    let mut labels = meta.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: meta.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![owner::reference(endpoints)]),
        ..ObjectMeta::default()
    }
}

/// Whoever wrote the addresses hears which lead nowhere.
fn tell(ctx: &Context, endpoints: &Endpoints, wanted: &Wanted) {
    let warn = |reason, message| ctx.events().event(endpoints, Severity::Warning, reason, message);
    if wanted.invalid > 0 {
        let message = format!("Skipped {} invalid IP addresses when mirroring to EndpointSlices", wanted.invalid);
        warn("InvalidIPAddress", message);
    }
    if wanted.too_many > 0 {
        let message = format!(
            "A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
            wanted.too_many
        );
        warn("TooManyAddressesToMirror", message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn subsets(subsets: Value) -> Vec<EndpointSubset> {
        serde_json::from_value(subsets).unwrap()
    }

    /// `family ports: addresses` of every group, those that are not ready with a question mark.
    fn lines(wanted: &Wanted) -> Vec<String> {
        let of_group = |((family, ports), endpoints): (&Group, &slices::Endpoints)| {
            let ports: Vec<String> = ports.iter().map(|p| format!("{}={}/{}", p.name, p.number, p.protocol)).collect();
            let address = |endpoint: &Endpoint| {
                let ready = endpoint.conditions.as_ref().unwrap().ready.unwrap();
                format!("{}{}", endpoint.addresses[0], if ready { "" } else { "?" })
            };
            let addresses: Vec<String> = endpoints.values().map(address).collect();
            format!("{family} {}: {}", ports.join(","), addresses.join(" "))
        };
        wanted.groups.iter().map(of_group).collect()
    }

    #[test]
    fn every_family_and_set_of_ports_is_a_group() {
        let http = json!([{"port": 80}]);
        let both = json!([{"name": "b", "port": 2, "protocol": "UDP"}, {"name": "a", "port": 1}]);
        let ip = |ip: &str| json!({"ip": ip});
        let table: Vec<(&str, Value, &[&str], usize)> = vec![
            ("nothing", json!([]), &[], 0),
            ("ports without addresses", json!([{"ports": http}]), &[], 0),
            ("no ports", json!([{"addresses": [ip("10.0.0.1")]}]), &["IPv4 : 10.0.0.1"], 0),
            (
                "ready and not",
                json!([{"ports": http, "addresses": [ip("10.0.0.1")], "notReadyAddresses": [ip("10.0.0.2")]}]),
                &["IPv4 =80/TCP: 10.0.0.1 10.0.0.2?"],
                0,
            ),
            (
                "both families",
                json!([{"ports": http, "addresses": [ip("10.0.0.1"), ip("FD00:0::1"), ip("::ffff:10.0.0.2")]}]),
                &["IPv4 =80/TCP: 10.0.0.1 10.0.0.2", "IPv6 =80/TCP: fd00::1"],
                0,
            ),
            (
                "the same ports twice, and one address ready there",
                json!([{"ports": both, "notReadyAddresses": [ip("10.0.0.1")]},
                    {"ports": [both[1], both[0]], "addresses": [ip("10.0.0.1"), ip("10.0.0.2")]}]),
                &["IPv4 a=1/TCP,b=2/UDP: 10.0.0.1 10.0.0.2"],
                0,
            ),
            (
                "other ports",
                json!([{"ports": http, "addresses": [ip("10.0.0.1")]},
                    {"ports": both, "addresses": [ip("10.0.0.1")]}]),
                &["IPv4 =80/TCP: 10.0.0.1", "IPv4 a=1/TCP,b=2/UDP: 10.0.0.1"],
                0,
            ),
            (
                "no address",
                json!([{"ports": http, "addresses": [ip("10.0.0"), ip("10.0.0.1")]}]),
                &["IPv4 =80/TCP: 10.0.0.1"],
                1,
            ),
        ];
        for (what, given, want, invalid) in table {
            let wanted = wanted(&subsets(given));
            assert_eq!(
                (lines(&wanted), wanted.invalid, wanted.too_many),
                (want.iter().map(ToString::to_string).collect(), invalid, 0),
                "{what}"
            );
        }
    }

    #[test]
    fn a_subset_has_a_thousand_addresses_and_the_ready_ones_come_first() {
        let addresses = |third: usize, count: usize| {
            let ip = |n: usize| json!({"ip": format!("10.{third}.{}.{}", n / 250, n % 250)});
            (0..count).map(ip).collect::<Vec<_>>()
        };
        let wanted = wanted(&subsets(json!([
            {"ports": [{"port": 80}], "addresses": addresses(1, 990), "notReadyAddresses": addresses(2, 30)},
            {"ports": [{"port": 81}], "addresses": addresses(3, 5)},
        ])));
        let sizes: Vec<usize> = wanted.groups.values().map(BTreeMap::len).collect();
        assert_eq!((sizes, wanted.too_many, wanted.invalid), (vec![1000, 5], 20, 0));
    }

    #[test]
    fn only_those_of_a_service_that_selects_nothing_are_mirrored() {
        let free = json!({"ports": [{"port": 80}]});
        let selecting = json!({"selector": {"app": "web"}});
        let empty = json!({"selector": {}});
        let table: Vec<(&str, Value, Option<&Value>, bool)> = vec![
            ("by hand", json!({}), Some(&free), true),
            ("no service", json!({}), None, false),
            ("a selector", json!({}), Some(&selecting), false),
            ("an empty selector", json!({}), Some(&empty), true),
            ("not wanted", json!({"labels": {SKIP: "true"}}), Some(&free), false),
            ("wanted aloud", json!({"labels": {SKIP: "false"}}), Some(&free), true),
            ("a lock", json!({"annotations": {LEADER: "{}"}}), Some(&free), false),
            ("ending", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), Some(&free), false),
        ];
        for (what, meta, spec, want) in table {
            let endpoints: Endpoints = serde_json::from_value(json!({"metadata": meta})).unwrap();
            let service = spec.map(|spec| serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap());
            assert_eq!(is_mirrored(&endpoints, service.as_ref()), want, "{what}");
        }
    }

    #[test]
    fn what_is_told_of_an_address_and_of_all_is_carried() {
        let address = json!({"ip": "10.0.0.1", "hostname": "a", "nodeName": "n1",
            "targetRef": {"kind": "Pod", "name": "p", "uid": "u"}});
        let wanted = wanted(&subsets(json!([{"ports": [{"port": 80}], "addresses": [address]}])));
        let endpoint = serde_json::to_value(wanted.groups.values().next().unwrap().values().next().unwrap()).unwrap();
        let want = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "hostname": "a", "nodeName": "n1",
            "targetRef": {"kind": "Pod", "name": "p", "uid": "u"}});
        assert_eq!(endpoint, want);
        let endpoints: Endpoints = serde_json::from_value(json!({"metadata": {
            "name": "db", "namespace": "d", "uid": "u1", "labels": {"team": "a", SERVICE_NAME: "wrong"},
            "annotations": {NOT_COPIED[0]: "{}", NOT_COPIED[1]: "now", "note": "x"}}}))
        .unwrap();
        let want = json!({"generateName": "db-", "namespace": "d", "annotations": {"note": "x"},
            "labels": {"team": "a", SERVICE_NAME: "db", MANAGED_BY: CONTROLLER},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Endpoints", "name": "db", "uid": "u1",
                "controller": true, "blockOwnerDeletion": true}]});
        assert_eq!(serde_json::to_value(meta(&endpoints)).unwrap(), want);
    }
}
