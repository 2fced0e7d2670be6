//! Endpoints of the cluster's DNS, which every node answers itself: no pods stand behind `kube-dns`, but nodes.

use super::backend::Port;
use super::service::{self, slices_service};
use super::slices::{self, Endpoints, Group, MANAGED_BY, SERVICE_NAME};
use crate::node;
use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, Change};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, owner, split};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const SERVICE: &str = "kube-system/kube-dns";
const CONTROLLER: &str = "dns.sampan.dev";
const PORT: i32 = 53;

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (services, nodes) = (client.cache::<Service>(), client.cache::<Node>());
    let owned = Index::new(|slice: &EndpointSlice| slices_service(slice, CONTROLLER));
    let reconciler = Dns { services: services.clone(), nodes: nodes.clone(), slices: owned.clone() };
    Controller::new("dns-endpoints", reconciler)
        .watches(services, |change| if *change.key == *SERVICE { vec![change.key.clone()] } else { Vec::new() })
        .watches(nodes, |change| if answers_change(change) { vec![SERVICE.into()] } else { Vec::new() })
        .indexes(client.cache::<EndpointSlice>(), &owned, |change| service::owners(change, CONTROLLER))
}

/// Heartbeats change nothing here.
fn answers_change(change: &Change<Node>) -> bool {
    let state = |node: &Option<Arc<Node>>| node.as_ref().map(|node| (node::is_ready(node), node::internal_ips(node)));
    state(&change.old) != state(&change.new)
}

struct Dns {
    services: Cache<Service>,
    nodes: Cache<Node>,
    slices: Arc<Index<EndpointSlice>>,
}

#[async_trait]
impl Reconcile for Dns {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let existing = self.slices.get(key);
        let service = self.services.get_key(key);
        // With a selector, the user runs a DNS of his own in pods.
        let service = service.filter(|service| super::backend::selector(service).is_none());
        let (wanted, meta) = match &service {
            Some(service) => (groups(&self.nodes.list()), meta(key, service)),
            None => (BTreeMap::new(), ObjectMeta::default()),
        };
        service::write(ctx, slices::changes(&existing, wanted, &meta, slices::ENDPOINTS_MAX)).await?;
        Ok(Action::Done)
    }
}

fn meta(key: &Key, service: &Service) -> ObjectMeta {
    let (namespace, name) = split(key);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([label(SERVICE_NAME, name), label(MANAGED_BY, CONTROLLER)])),
        owner_references: Some(vec![owner::reference(service)]),
        ..ObjectMeta::default()
    }
}

fn groups(nodes: &[Arc<Node>]) -> BTreeMap<Group, Endpoints> {
    let port = |name: &str, protocol: &str| Port {
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        number: PORT,
        app_protocol: None,
    };
    let mut ports = vec![port("dns", "UDP"), port("dns-tcp", "TCP")];
    ports.sort();
    let mut groups: BTreeMap<Group, Endpoints> = BTreeMap::new();
    for node in nodes {
        for ip in node::internal_ips(node) {
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let endpoint = endpoint(node, ip);
            groups.entry((family, ports.clone())).or_default().insert(slices::identity(&endpoint), endpoint);
        }
    }
    groups
}

fn endpoint(node: &Node, ip: IpAddr) -> Endpoint {
    let ready = Some(node::is_ready(node));
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready, serving: ready, terminating: Some(false) }),
        node_name: node.metadata.name.clone(),
        ..Endpoint::default()
    }
}
