//! Nodes against an in-memory server: their ranges, their silence, and what becomes of their pods.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use api::k8s_openapi::api::coordination::v1::Lease;
use api::k8s_openapi::api::core::v1::{Node, Pod};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use client::testing::Fake;
use client::{Client, DeleteOptions};
use controllers::{Handle, Options};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn start(fake: &Fake, client: &Client) -> Handle {
    let server = fake.clone();
    let options = Options {
        cluster_cidrs: vec!["10.42.0.0/16".parse().unwrap()],
        node_monitor_grace: Duration::from_secs(40),
        ..Options::default()
    };
    controllers::start(client.clone(), reconcile::Clock::new(move || server.now()), options)
}

async fn create_node(client: &Client, name: &str) {
    let node = json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    client.create::<Node>(&serde_json::from_value(node).unwrap()).await.unwrap();
    let lease = json!({"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {"holderIdentity": name}});
    client.create::<Lease>(&serde_json::from_value(lease).unwrap()).await.unwrap();
}

async fn create_pod(client: &Client, name: &str, node: &str, tolerations: Value) {
    let pod = json!({"metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [], "tolerations": tolerations},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    client.create::<Pod>(&serde_json::from_value(pod).unwrap()).await.unwrap();
}

/// Renews leases every ten seconds, as kubelets do, until it is aborted.
fn renew(fake: &Fake, client: &Client, names: &[&str]) -> tokio::task::JoinHandle<()> {
    let (fake, client) = (fake.clone(), client.clone());
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    tokio::spawn(async move {
        loop {
            for name in &names {
                let mut lease: Lease = client.get("kube-node-lease", name).await.unwrap();
                lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(fake.now()));
                client.update(&lease).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    })
}

fn taints(fake: &Fake, node: &str) -> BTreeSet<String> {
    let node: Node = fake.get("", node).unwrap();
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    taints.iter().map(|taint| format!("{}:{}", taint.key.rsplit('/').next().unwrap(), taint.effect)).collect()
}

fn ready(fake: &Fake, name: &str) -> Option<String> {
    let pod = fake.get::<Pod>("default", name)?;
    let conditions = pod.status.unwrap().conditions.unwrap();
    Some(conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap().status)
}

/// Deleted, or told to end.
fn is_evicted(fake: &Fake, name: &str) -> bool {
    fake.get::<Pod>("default", name).is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_loses_its_pods_and_one_that_is_back_is_clean() {
    let (fake, client) = Fake::start();
    for name in ["a", "b"] {
        create_node(&client, name).await;
    }
    create_pod(&client, "impatient", "a", json!([])).await;
    create_pod(&client, "patient", "a", json!([{"operator": "Exists", "tolerationSeconds": 60}])).await;
    create_pod(&client, "steadfast", "a", json!([{"operator": "Exists"}])).await;
    create_pod(&client, "elsewhere", "b", json!([])).await;
    let handle = start(&fake, &client);
    let (only_a, only_b) = (renew(&fake, &client, &["a"]), renew(&fake, &client, &["b"]));
    seconds(300).await;
    assert_eq!((taints(&fake, "a"), taints(&fake, "b")), (BTreeSet::new(), BTreeSet::new()));
    let writes = fake.calls("update nodes") + fake.calls("update nodes/status");
    only_a.abort();
    seconds(30).await;
    assert_eq!(taints(&fake, "a"), BTreeSet::new(), "not before its grace has ended");
    seconds(15).await;
    let unreachable = ["unreachable:NoExecute", "unreachable:NoSchedule"].map(str::to_owned);
    assert_eq!(taints(&fake, "a"), BTreeSet::from(unreachable));
    assert_eq!(fake.calls("update nodes") + fake.calls("update nodes/status"), writes + 2);
    assert_eq!(ready(&fake, "steadfast").as_deref(), Some("False"), "nobody vouches for it");
    assert_eq!(
        ["impatient", "patient", "steadfast", "elsewhere"].map(|name| is_evicted(&fake, name)),
        [true, false, false, false]
    );
    seconds(60).await;
    assert!(is_evicted(&fake, "patient"));
    let again = renew(&fake, &client, &["a"]);
    let mut node: Node = fake.get("", "a").unwrap();
    for condition in node.status.as_mut().unwrap().conditions.as_mut().unwrap() {
        condition.status = if condition.type_ == "Ready" { "True" } else { "False" }.to_owned();
    }
    client.update_status(&node).await.unwrap();
    seconds(60).await;
    assert_eq!(taints(&fake, "a"), BTreeSet::new());
    assert!(!is_evicted(&fake, "steadfast") && !is_evicted(&fake, "elsewhere"));
    only_b.abort();
    again.abort();
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_all_nodes_are_silent_nothing_is_evicted() {
    let (fake, client) = Fake::start();
    for name in ["a", "b"] {
        create_node(&client, name).await;
        create_pod(&client, name, name, json!([])).await;
    }
    let handle = start(&fake, &client);
    seconds(600).await;
    for name in ["a", "b"] {
        assert_eq!(taints(&fake, name), BTreeSet::from(["unreachable:NoSchedule".to_owned()]));
        assert!(!is_evicted(&fake, name));
    }
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_are_removed() {
    let (fake, client) = Fake::start();
    for name in ["a", "b"] {
        create_node(&client, name).await;
        create_pod(&client, name, name, json!([{"operator": "Exists"}])).await;
    }
    let handle = start(&fake, &client);
    let renewing = renew(&fake, &client, &["a", "b"]);
    seconds(5).await;
    client.delete::<Node>("", "a", &DeleteOptions::default()).await.unwrap();
    seconds(30).await;
    assert!(fake.get::<Pod>("default", "a").is_some(), "the node may be about to come back");
    seconds(20).await;
    assert!(fake.get::<Pod>("default", "a").is_none());
    assert!(fake.get::<Pod>("default", "b").is_some());
    renewing.abort();
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_node_gets_a_range_of_its_own() {
    let (fake, client) = Fake::start();
    fake.set_lag(|_, revision| Duration::from_millis(revision * 7919 % 1000));
    let handle = start(&fake, &client);
    for n in 0..64 {
        create_node(&client, &format!("n{n}")).await;
    }
    seconds(30).await;
    let ranges = || -> Vec<String> {
        fake.all::<Node>().into_iter().filter_map(|node| node.spec.and_then(|spec| spec.pod_cidr)).collect()
    };
    let (all, distinct) = (ranges(), ranges().into_iter().collect::<BTreeSet<_>>());
    assert_eq!((all.len(), distinct.len()), (64, 64));
    create_node(&client, "one-too-many").await;
    seconds(30).await;
    assert_eq!(ranges().len(), 64, "the cluster's range is used up");
    client.delete::<Node>("", "n7", &DeleteOptions::default()).await.unwrap();
    seconds(60).await;
    assert_eq!(ranges().len(), 64, "a range is free again when its node is gone");
    handle.stop().await;
}
