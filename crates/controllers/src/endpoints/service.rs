//! EndpointSlices of services that select pods.

use super::HEADLESS;
use super::backend::{self, Port};
use super::members::Members;
use super::slices::{self, Changes, Endpoints, Group, MANAGED_BY, SERVICE_NAME};
use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, Change, PodView};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, in_batches, owner};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) const CONTROLLER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";
/// A burst of changes is written together: every write goes to every node.
const REST: Duration = Duration::from_millis(50);

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (services, pods, nodes) = (client.cache::<Service>(), client.cache::<PodView>(), client.cache::<Node>());
    let owned = Index::new(|slice: &EndpointSlice| slices_service(slice, CONTROLLER));
    let members: Arc<Members> = Arc::default();
    let (follower, zoned) = (members.clone(), members.clone());
    Controller::new("endpointslice", Services { members, nodes: nodes.clone(), slices: owned.clone() })
        .rests(REST)
        .source(move |feed| follower.follow(services, pods, feed))
        .indexes(client.cache::<EndpointSlice>(), &owned, |change| owners(change, CONTROLLER))
        .watches(nodes, move |change| if zone_changed(change) { zoned.on_node(&change.key) } else { Vec::new() })
}

/// The service whose slice this is, if it is made by `controller`.
pub(super) fn slices_service(slice: &EndpointSlice, controller: &str) -> Option<String> {
    let labels = crate::labels(&slice.metadata);
    let ours = labels.get(MANAGED_BY).is_some_and(|by| by == controller);
    let service = labels.get(SERVICE_NAME).filter(|_| ours)?;
    Some(format!("{}/{service}", slice.metadata.namespace.as_deref().unwrap_or_default()))
}

pub(super) fn owners(change: &Change<EndpointSlice>, controller: &str) -> Vec<Key> {
    let states = [&change.old, &change.new].into_iter().flatten();
    let mut keys: Vec<Key> = states.filter_map(|slice| slices_service(slice, controller)).map(Key::from).collect();
    keys.dedup();
    keys
}

fn zone_changed(change: &Change<Node>) -> bool {
    let zone =
        |node: &Option<Arc<Node>>| node.as_ref().and_then(|node| crate::labels(&node.metadata).get(ZONE).cloned());
    zone(&change.old) != zone(&change.new)
}

struct Services {
    members: Arc<Members>,
    nodes: Cache<Node>,
    slices: Arc<Index<EndpointSlice>>,
}

#[async_trait]
impl Reconcile for Services {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let existing = self.slices.get(key);
        let members = self.members.get(key).filter(|(service, _)| backend::selector(service).is_some());
        let changes = match members {
            // Without a selector the slices are somebody else's; ours of before are not wanted any more.
            None => Changes { delete: existing, ..Changes::default() },
            Some((service, _)) if service.metadata.deletion_timestamp.is_some() => return Ok(Action::Done),
            Some((service, pods)) => {
                let zone =
                    |node: &str| self.nodes.get("", node).and_then(|n| crate::labels(&n.metadata).get(ZONE).cloned());
                slices::changes(&existing, groups(&service, &pods, &zone), &meta(&service), slices::ENDPOINTS_MAX)
            }
        };
        write(ctx, changes).await?;
        Ok(Action::Done)
    }
}

/// Creates and updates side by side, so that they share commits; deletes only when what replaces a slice is there.
pub(super) async fn write(ctx: &Context, changes: Changes) -> Result<(), Error> {
    let make = |slice: EndpointSlice| {
        let ctx = ctx.clone();
        async move {
            match ctx.create(&slice).await {
                Err(status) if crate::namespace_terminating(&status) => Ok(()),
                answer => answer.map(drop).map_err(Error::api("creating an endpoint slice")),
            }
        }
    };
    let update = |slice: EndpointSlice| {
        let ctx = ctx.clone();
        async move { ctx.update(&slice).await.map(drop).map_err(Error::api("updating an endpoint slice")) }
    };
    let (_, failed) = in_batches(changes.create, ctx.failures(), make).await;
    failed.map_or(Ok(()), Err)?;
    let (_, failed) = in_batches(changes.update, ctx.failures(), update).await;
    failed.map_or(Ok(()), Err)?;
    for slice in &changes.delete {
        ctx.delete(&**slice, None).await.map_err(Error::api("deleting an endpoint slice"))?;
    }
    Ok(())
}

fn meta(service: &Service) -> ObjectMeta {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    if backend::is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    ObjectMeta {
        generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or_default())),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels),
        owner_references: Some(vec![owner::reference(service)]),
        ..ObjectMeta::default()
    }
}

/// The endpoints of each of the service's address families, by ports; each family has at least one group.
fn groups(
    service: &Service,
    pods: &[Arc<PodView>],
    zone: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<Group, Endpoints> {
    let mut groups: BTreeMap<Group, Endpoints> = BTreeMap::new();
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    let v6 = families.is_some_and(|families| families.iter().any(|family| family == "IPv6"));
    let v4 = families.is_none_or(|families| families.is_empty() || families.iter().any(|family| family == "IPv4"));
    for family in [v4.then_some("IPv4"), v6.then_some("IPv6")].into_iter().flatten() {
        let mut any = false;
        for pod in pods {
            let is_of_family = |ip: &IpAddr| ip.is_ipv4() == (family == "IPv4");
            let Some(ip) = pod.addresses.iter().copied().find(is_of_family) else { continue };
            let ports: Vec<Port> = backend::ports(service, pod);
            let endpoint = endpoint(service, pod, ip, zone);
            groups.entry((family, ports)).or_default().insert(slices::identity(&endpoint), endpoint);
            any = true;
        }
        if !any {
            groups.insert((family, Vec::new()), Endpoints::new());
        }
    }
    groups
}

fn endpoint(service: &Service, pod: &PodView, ip: IpAddr, zone: &dyn Fn(&str) -> Option<String>) -> Endpoint {
    let (serving, terminating) = (pod.is_ready(), pod.is_ending());
    let node = pod.has_node().then(|| pod.node.to_string());
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(backend::publishes_not_ready(service) || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: backend::hostname(service, pod),
        zone: node.as_deref().and_then(zone),
        node_name: node,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace().to_owned()),
            name: Some(pod.name().to_owned()),
            uid: Some(pod.uid.to_string()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "d"}, "spec": spec})).unwrap()
    }

    fn pod(ip: &str, fields: Value) -> Arc<PodView> {
        let mut pod = json!({
            "metadata": {"name": ip, "namespace": "d", "uid": ip, "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIPs": [{"ip": ip}, {"ip": "fd00::1"}], "conditions": [{"type": "Ready", "status": "True"}]},
        });
        for (pointer, value) in fields.as_object().unwrap() {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    /// `address ready serving terminating ports` of every endpoint.
    fn check(service: &Service, pods: Vec<Arc<PodView>>, want: &[&str]) {
        let pods: Vec<Arc<PodView>> = pods.into_iter().filter(|pod| backend::stands(pod)).collect();
        let groups = groups(service, &pods, &|node| Some(format!("zone-of-{node}")));
        let mut lines = Vec::new();
        for ((_, ports), endpoints) in &groups {
            let ports: Vec<String> =
                ports.iter().map(|port| format!("{}={}/{}", port.name, port.number, port.protocol)).collect();
            for endpoint in endpoints.values() {
                let conditions = endpoint.conditions.as_ref().unwrap();
                let states = [conditions.ready, conditions.serving, conditions.terminating]
                    .map(|state| if state.unwrap() { 'y' } else { 'n' });
                lines.push(format!(
                    "{} {} {}",
                    endpoint.addresses[0],
                    states.iter().collect::<String>(),
                    ports.join(",")
                ));
            }
        }
        assert_eq!(lines, want);
    }

    #[test]
    fn endpoints_tell_what_their_pods_are_doing() {
        let plain = service(json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}));
        let unready = json!({"/status/conditions": [{"type": "Ready", "status": "False"}]});
        let ending = json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"});
        let pods = || {
            vec![
                pod("10.0.0.1", json!({})),
                pod("10.0.0.2", unready.clone()),
                pod("10.0.0.3", ending.clone()),
                pod("10.0.0.4", json!({"/status/phase": "Failed"})),
                pod("10.0.0.6", json!({"/status/podIPs": []})),
            ]
        };
        check(&plain, pods(), &["10.0.0.1 yyn =8080/TCP", "10.0.0.2 nnn =8080/TCP", "10.0.0.3 nyy =8080/TCP"]);
        let published =
            service(json!({"selector": {"app": "web"}, "publishNotReadyAddresses": true, "clusterIP": "None"}));
        check(&published, pods(), &["10.0.0.1 yyn ", "10.0.0.2 ynn ", "10.0.0.3 yyy "]);
        assert_eq!(meta(&published).labels.unwrap()[HEADLESS], "");
    }

    #[test]
    fn pods_with_other_ports_are_in_other_slices() {
        let named = service(json!({"selector": {"app": "web"}, "ports": [
            {"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 90}]}));
        let other = json!({"/spec/containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 9090}]}]});
        let without = json!({"/spec/containers": [{"name": "c"}]});
        let pods = vec![pod("10.0.0.1", json!({})), pod("10.0.0.2", other), pod("10.0.0.3", without)];
        check(
            &named,
            pods,
            &["10.0.0.1 yyn a=8080/TCP,b=90/TCP", "10.0.0.2 yyn a=9090/TCP,b=90/TCP", "10.0.0.3 yyn b=90/TCP"],
        );
        let dual =
            service(json!({"selector": {"app": "web"}, "ipFamilies": ["IPv4", "IPv6"], "ports": [{"port": 80}]}));
        check(&dual, vec![pod("10.0.0.1", json!({}))], &["10.0.0.1 yyn =80/TCP", "fd00::1 yyn =80/TCP"]);
        let empty = groups(&dual, &[], &|_| None);
        assert_eq!(empty.keys().cloned().collect::<Vec<_>>(), [("IPv4", Vec::new()), ("IPv6", Vec::new())]);
    }
}
