//! Endpoints: the old form, one object per service, for those who still read it.

use super::backend::{self, Port};
use crate::pod;
use crate::table::Start;
use async_trait::async_trait;
use client::Cache;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, split};
use std::collections::BTreeMap;
use std::sync::Arc;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";
const HEADLESS: &str = "service.kubernetes.io/headless";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one object; upstream cuts there too, and says so in an annotation.
const ADDRESSES_MAX: usize = 1000;

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (services, pods, endpoints) = (client.cache::<Service>(), client.cache::<Pod>(), client.cache::<Endpoints>());
    let selected = services.clone();
    let reconciler = Legacy { services: services.clone(), pods: pods.clone(), endpoints: endpoints.clone() };
    Controller::new("endpoint", reconciler)
        .watches(services, reconcile::each)
        .watches(endpoints, reconcile::each)
        .watches(pods, move |change| super::selecting(&selected, change))
}

struct Legacy {
    services: Cache<Service>,
    pods: Cache<Pod>,
    endpoints: Cache<Endpoints>,
}

#[async_trait]
impl Reconcile for Legacy {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let existing = self.endpoints.get_key(key);
        let Some(service) = self.services.get_key(key) else {
            // Those that a user made without a service are his.
            let ours =
                existing.filter(|e| crate::labels(&e.metadata).get(MANAGED_BY).is_some_and(|by| by == CONTROLLER));
            if let Some(ours) = ours {
                ctx.delete(&*ours, None).await.map_err(Error::api("deleting endpoints"))?;
            }
            return Ok(Action::Done);
        };
        if backend::selector(&service).is_none() || service.metadata.deletion_timestamp.is_some() {
            return Ok(Action::Done);
        }
        let pods = backend::of_service(&service, self.pods.list_namespace(split(key).0));
        let wanted = endpoints(&service, &pods, existing.as_deref());
        let answer = match existing {
            Some(existing) if *existing == wanted => return Ok(Action::Done),
            Some(_) => ctx.update(&wanted).await,
            None => ctx.create(&wanted).await,
        };
        match answer {
            Err(status) if crate::namespace_terminating(&status) => Ok(Action::Done),
            answer => answer.map(|_| Action::Done).map_err(Error::api("writing endpoints")),
        }
    }
}

fn endpoints(service: &Service, pods: &[Arc<Pod>], existing: Option<&Endpoints>) -> Endpoints {
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
    let mut subsets: BTreeMap<Vec<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>)> = BTreeMap::new();
    let living: Vec<&Arc<Pod>> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    let mut annotations = meta.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if living.len() > ADDRESSES_MAX {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    }
    meta.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    for pod in living.into_iter().take(ADDRESSES_MAX) {
        let Some(address) = address(service, pod) else { continue };
        let (ready, not_ready) = subsets.entry(backend::ports(service, pod)).or_default();
        let is_ready = pod::is_ready(pod) || backend::publishes_not_ready(service);
        if is_ready { ready.push(address) } else { not_ready.push(address) }
    }
    let subsets: Vec<EndpointSubset> = subsets.into_iter().map(subset).collect();
    Endpoints { metadata: meta, subsets: Some(subsets).filter(|subsets| !subsets.is_empty()) }
}

fn subset((ports, (ready, not_ready)): (Vec<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>))) -> EndpointSubset {
    let sorted = |mut addresses: Vec<EndpointAddress>| {
        addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
        Some(addresses).filter(|addresses| !addresses.is_empty())
    };
    let port = |port: Port| EndpointPort {
        name: Some(port.name).filter(|name| !name.is_empty()),
        port: port.number,
        protocol: Some(port.protocol),
        app_protocol: port.app_protocol,
    };
    EndpointSubset {
        addresses: sorted(ready),
        not_ready_addresses: sorted(not_ready),
        ports: Some(ports.into_iter().map(port).collect::<Vec<_>>()).filter(|ports| !ports.is_empty()),
    }
}

/// The pod's address of the service's first family.
fn address(service: &Service, pod: &Pod) -> Option<EndpointAddress> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    let v6 = families.and_then(|families| families.first()).is_some_and(|family| family == "IPv6");
    let ip = backend::addresses(pod).into_iter().find(|ip| ip.is_ipv6() == v6)?;
    Some(EndpointAddress {
        ip: ip.to_string(),
        hostname: backend::hostname(service, pod),
        node_name: Some(pod::node_name(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
    })
}
