//! A node lost with its share of 1,000 replicas: the real server over TLS, and nodes without machines, each with a
//! certificate that it asked for with a join token.

use crate::harness::{PATIENCE, possible};
use bench::hollow::{Containers, HollowNode, Room};
use bench::own::{OwnCluster, Role};
use client::{Cache, CacheScope, Client, Config, Credentials, Remote, Servers};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kubelet::certificates::{Bootstrap, bootstrap};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const NODES: usize = 20;
const REPLICAS: usize = 1_000;
/// The server is told to take a node for lost after 4 seconds; a loaded machine may take a while over one of them.
const HEARTBEAT: Duration = Duration::from_secs(1);
const FLAGS: [&str; 4] = ["--node-monitor-grace", "4", "--eviction-after", "1"];

/// The server, and what a person would look at.
struct World {
    own: OwnCluster,
    pods: Cache<Pod>,
    slices: Cache<EndpointSlice>,
    folder: tempfile::TempDir,
    token: String,
}

impl World {
    async fn start() -> (World, Client) {
        let folder = tempfile::tempdir().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_sampan"));
        let own = OwnCluster::start(binary, folder.path(), Role::Server(&FLAGS)).await.unwrap();
        let token = own.command(&["token", "create"]).await.unwrap();
        // What the machine would check of the server with the rest, this test knows: it started the server.
        let token = token.trim().rsplit_once('.').unwrap().0.to_owned();
        let client = own.client().unwrap();
        // Not those of the API's own service.
        let label_selector = "kubernetes.io/service-name=many".to_owned();
        let slices = client.cache_of(CacheScope { label_selector, ..CacheScope::default() });
        (World { own, pods: client.cache(), slices, folder, token }, client)
    }

    /// With a certificate of its own, a connection of its own, and the rights of a node alone.
    async fn node(&self, index: usize) -> Client {
        let admin = self.own.config().unwrap();
        let identity = bootstrap(Bootstrap {
            servers: Arc::new(Servers::new(&admin.server, [""; 0])),
            ca_pem: admin.ca_pem.clone(),
            token: self.token.clone(),
            node_name: node_name(index),
            data_dir: self.folder.path().join(node_name(index)),
            timeout: PATIENCE,
        });
        let credentials = Credentials::Resolver(identity.await.unwrap());
        Client::new(Arc::new(Remote::new(Config { credentials, ..admin }).unwrap()))
    }

    /// Waits until pods and slices satisfy the look at them; fails with what it said last.
    async fn until(&self, what: &str, look: impl Fn(&Seen) -> Result<(), String>) -> Seen {
        let (mut pods, mut slices) = (self.pods.changes(), self.slices.changes());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = Seen { pods: self.pods.list(), slices: self.slices.list() };
            let Err(last) = look(&seen) else { return seen };
            let changed = async {
                tokio::select! { _ = pods.next() => {}, _ = slices.next() => {} }
            };
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                panic!("not within {PATIENCE:?}: {what}; last seen: {last}\n{}", self.own.log());
            }
            while pods.try_next().is_some() || slices.try_next().is_some() {}
        }
    }
}

/// One look at the cluster.
struct Seen {
    pods: Vec<Arc<Pod>>,
    slices: Vec<Arc<EndpointSlice>>,
}

impl Seen {
    fn ready(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.iter().filter(|pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
    }

    /// Addresses by whether the slices call them ready; how many endpoints there are in all.
    fn endpoints(&self) -> (Vec<&str>, usize) {
        let all: Vec<_> = self.slices.iter().flat_map(|slice| slice.endpoints.iter().flatten()).collect();
        let ready = all.iter().filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|at| at.ready == Some(true)));
        (ready.flat_map(|endpoint| endpoint.addresses.iter().map(String::as_str)).collect(), all.len())
    }

    fn on(&self, node: &str) -> Vec<&Arc<Pod>> {
        self.pods.iter().filter(|pod| node_of(pod) == node).collect()
    }

    /// All replicas are ready, none of them on `without`, and the slices call exactly them ready, each once.
    fn whole(&self, without: &str) -> Result<(), String> {
        let ready: Vec<&Arc<Pod>> = self.ready().collect();
        let lost = ready.iter().filter(|pod| node_of(pod) == without).count();
        if ready.len() != REPLICAS || lost > 0 {
            return Err(format!("{} of {} pods are ready, {lost} of them on {without}", ready.len(), self.pods.len()));
        }
        let own: BTreeSet<&str> = ready.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref()).collect();
        let (endpoints, _) = self.endpoints();
        let called: BTreeSet<&str> = endpoints.iter().copied().collect();
        if called != own || endpoints.len() != REPLICAS || own.len() != REPLICAS {
            let stray = called.symmetric_difference(&own).count();
            return Err(format!(
                "{} pods have {} addresses; {} endpoints are ready at {} addresses, of which {stray} differ",
                ready.len(),
                own.len(),
                endpoints.len(),
                called.len()
            ));
        }
        Ok(())
    }
}

fn node_name(index: usize) -> String {
    format!("hollow-{index:02}")
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap()
}

async fn deploy(client: &Client) {
    let labels = serde_json::json!({"app": "many"});
    let deployment: Deployment = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "many", "namespace": "default"},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}},
    }))
    .unwrap();
    let service: Service = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "many", "namespace": "default"},
        "spec": {"selector": labels, "ports": [{"port": 80}]},
    }))
    .unwrap();
    client.create(&deployment).await.unwrap();
    client.create(&service).await.unwrap();
}

/// Everybody's name and address is their own.
fn assert_all_different(seen: &Seen) {
    let mut by_address: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for pod in &seen.pods {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
        by_address.entry(address).or_default().push(pod.metadata.name.as_deref().unwrap());
    }
    let shared: Vec<_> = by_address.iter().filter(|(_, names)| names.len() > 1).collect();
    assert!(shared.is_empty(), "addresses of more than one pod: {shared:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_lost_with_its_share_of_a_thousand_replicas_is_made_up_for_and_returns_empty() {
    if !possible() {
        return;
    }
    let (world, admin) = World::start().await;
    let mut nodes = Vec::new();
    let mut clients = Vec::new();
    for index in 0..NODES {
        let client = world.node(index).await;
        let (name, room) = (node_name(index), Room::default());
        nodes.push(HollowNode::start(&client, &name, HEARTBEAT, &room, Containers::default()).await.unwrap());
        clients.push(client);
    }
    deploy(&admin).await;
    let before = world.until("all replicas are ready", |seen| seen.whole("")).await;
    assert_all_different(&before);
    let name = node_name(NODES - 1);
    let old: BTreeSet<String> = before.on(&name).into_iter().map(|pod| uid(pod).to_owned()).collect();
    assert!(!old.is_empty(), "the node that will be lost has pods");

    let containers = nodes.pop().unwrap().lose().await.unwrap();
    assert_eq!(containers.uids().collect::<BTreeSet<_>>(), old.iter().map(String::as_str).collect(), "what it ran");
    let during = world.until("they are made up for elsewhere", |seen| seen.whole(&name)).await;
    assert_all_different(&during);
    let kept = during.ready().filter(|pod| before.pods.iter().any(|other| uid(other) == uid(pod))).count();
    assert_eq!(kept, REPLICAS - old.len(), "the other nodes' pods were left alone");
    // Nobody has confirmed that the lost node's containers ended.
    let waiting: BTreeSet<String> = during.on(&name).into_iter().map(|pod| uid(pod).to_owned()).collect();
    assert_eq!(waiting, old, "the lost pods are there until their node has spoken");
    assert!(during.on(&name).iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "they are being deleted");

    let client = clients.pop().unwrap();
    let returned = HollowNode::start(&client, &name, HEARTBEAT, &Room::default(), containers).await.unwrap();
    let after = world.until("the returned node has let go of them", |seen| {
        seen.whole("")?;
        match (seen.pods.len(), seen.endpoints().1) {
            (REPLICAS, REPLICAS) => Ok(()),
            (pods, endpoints) => Err(format!("{pods} pods, {endpoints} endpoints")),
        }
    });
    let after = after.await;
    assert_all_different(&after);
    assert!(after.pods.iter().all(|pod| !old.contains(uid(pod))), "none of the old pods came back");
    let left = returned.lose().await.unwrap();
    assert_eq!(left.uids().filter(|uid| old.contains(*uid)).count(), 0, "the node runs none of its old pods");

    for node in nodes {
        node.lose().await.unwrap();
    }
    world.own.stop().await.unwrap();
}
