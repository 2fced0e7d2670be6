//! 100 of 1,000 simulated nodes die at once: how long after the grace their pods are bound elsewhere.

use crate::figure::Reporter;
use crate::following::Following;
use crate::target::{self, Target};
use anyhow::{Context, Result};
use bench::hollow::{Containers, HollowNode, Room};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use std::time::{Duration, Instant};

const NODES: usize = 1_000;
const LOST: usize = 100;
const DEPLOYMENTS: usize = 10;
const PODS: usize = 10_000;
const GRACE: Duration = Duration::from_secs(10);
/// As a kubelet of this grace does.
const HEARTBEAT: Duration = Duration::from_millis(2_500);
/// Nodes that share a connection, as a machine has few.
const NODES_PER_CONNECTION: usize = 20;
/// A range for each of so many nodes.
pub(crate) const FLAGS: [&str; 6] =
    ["--node-monitor-grace", "10", "--pod-cidr", "10.0.0.0/8", "--service-cidr", "172.30.0.0/16"];

pub(crate) async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    let mut nodes = start_nodes(target).await?;
    let namespace = target.namespace("lost").await?;
    let client = target.client()?;
    let mut running = Following::pods(target.client()?, &namespace, "status.phase=Running").await?;
    for index in 0..DEPLOYMENTS {
        let request = target::create::<Deployment>(&namespace, &deployment(index));
        client.call(request).await.context("making a Deployment")?;
    }
    running.until(PODS).await.context("the pods' first start")?;
    drop(running);
    let mut bound = Following::pods(target.client()?, &namespace, "spec.nodeName!=").await?;
    let dying = nodes.split_off(NODES - LOST);
    let ended = stream::iter(dying).map(HollowNode::lose).buffer_unordered(LOST).try_collect::<Vec<Containers>>();
    let lost: usize = ended.await.context("losing nodes")?.iter().map(Containers::len).sum();
    // Of so many nodes, one was heard of just now; the others' grace ends a little earlier.
    let grace_ends = Instant::now() + GRACE;
    let last = bound.until(PODS + lost).await.context("the lost pods' successors")?;
    reporter.report("lost_100_of_1000_nodes_pods", lost as f64, "pods");
    let after = last.saturating_duration_since(grace_ends);
    reporter.report("lost_100_of_1000_nodes", after.as_secs_f64(), "s");
    for node in nodes {
        node.lose().await.context("a node that was to live")?;
    }
    Ok(())
}

async fn start_nodes(target: &Target) -> Result<Vec<HollowNode>> {
    let clients = (0..NODES / NODES_PER_CONNECTION).map(|_| target.client()).collect::<Result<Vec<_>>>()?;
    let starting = (0..NODES).map(|index| {
        let client = clients[index / NODES_PER_CONNECTION].clone();
        async move {
            let name = format!("hollow-{index:04}");
            HollowNode::start(&client, &name, HEARTBEAT, &Room::default(), Containers::default()).await
        }
    });
    stream::iter(starting).buffered(32).try_collect().await.context("starting the nodes")
}

/// Its pods leave a lost node as soon as it counts as lost.
fn deployment(index: usize) -> serde_json::Value {
    let labels = json!({"app": format!("d-{index}")});
    let tolerations: Vec<_> = ["not-ready", "unreachable"]
        .map(|key| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}))
        .into();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("d-{index}")},
        "spec": {"replicas": PODS / DEPLOYMENTS, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"tolerations": tolerations, "automountServiceAccountToken": false,
                     "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}}}
    })
}
