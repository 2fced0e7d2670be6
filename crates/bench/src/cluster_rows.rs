//! Rows of controllers and scheduler: a Deployment's pods, and pods bound to simulated nodes.

use crate::Target;
use crate::figure::Reporter;
use anyhow::{Context, Result, bail};
use api::{Kind, Subresource};
use bytes::Bytes;
use client::{Client, PatchType, Request, Verb};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::time::{Duration, Instant};

const NODES: usize = 1_000;
const TIME_MAX: Duration = Duration::from_secs(120);

pub(crate) async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    let client = target.client()?;
    if reporter.wants("deployment_0_to_1000_pods") {
        let namespace = namespace(&client, "bench-deployment").await?;
        let started = Instant::now();
        client.create(&deployment(&namespace)?).await.context("making the Deployment")?;
        until(&client, &namespace, 1_000, |_| true).await?;
        reporter.report("deployment_0_to_1000_pods", started.elapsed().as_secs_f64(), "s");
        for (def, name) in [(&Deployment::DEF, "d"), (&ReplicaSet::DEF, "")] {
            let verb = if name.is_empty() { Verb::DeleteCollection } else { Verb::Delete };
            client.call(Request::new(verb, def, &namespace, name)).await.context("removing the Deployment")?;
        }
        client
            .call(Request::new(Verb::DeleteCollection, &Pod::DEF, &namespace, ""))
            .await
            .context("removing its pods")?;
    }
    if reporter.wants("schedule") {
        schedule(target, &client, reporter).await?;
    }
    Ok(())
}

async fn namespace(client: &Client, name: &str) -> Result<String> {
    let name = format!("{name}-{}", std::process::id());
    let body =
        serde_json::to_vec(&serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    client
        .call(Request::new(Verb::Create, &<k8s_openapi::api::core::v1::Namespace as Kind>::DEF, "", "").body(body))
        .await?;
    Ok(name)
}

fn deployment(namespace: &str) -> Result<Deployment> {
    Ok(serde_json::from_value(serde_json::json!({
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {"replicas": 1000, "selector": {"matchLabels": {"app": "d"}}, "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "x"}]}}}
    }))?)
}

/// Waits until so many pods of the namespace satisfy the test.
async fn until(client: &Client, namespace: &str, count: usize, test: fn(&serde_json::Value) -> bool) -> Result<()> {
    let deadline = Instant::now() + TIME_MAX;
    loop {
        let list = client.call(Request::new(Verb::List, &Pod::DEF, namespace, "")).await?;
        let list: serde_json::Value = serde_json::from_slice(&list)?;
        let done = list["items"].as_array().map_or(0, |items| items.iter().filter(|pod| test(pod)).count());
        if done >= count {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{done} of {count} pods after {TIME_MAX:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Pods are created beside the scheduler's work: the time is from the first create to the last binding.
async fn schedule(target: &Target, client: &Client, reporter: &Reporter) -> Result<()> {
    let nodes: Vec<String> = (0..NODES).map(|index| format!("bench-node-{index:04}")).collect();
    stream::iter(&nodes).map(|name| make_node(client, name)).buffer_unordered(32).try_collect::<()>().await?;
    let namespace = namespace(client, "bench-schedule").await?;
    let pods = target.pods;
    let own = namespace.clone();
    let started = Instant::now();
    crate::load::run(target, 32, pods, move |index| {
        Request::new(Verb::Create, &Pod::DEF, &own, "").body(plain_pod(&format!("s-{index:06}")))
    })
    .await?;
    until(client, &namespace, pods, |pod| pod["spec"]["nodeName"].is_string()).await?;
    let rate = pods as f64 / started.elapsed().as_secs_f64();
    reporter.report(&format!("schedule_{pods}_pods_{NODES}_nodes"), rate, "pods/s");
    stream::iter(&nodes)
        .map(|name| async move { client.call(Request::new(Verb::Delete, &Node::DEF, "", name)).await.map(drop) })
        .buffer_unordered(32)
        .try_collect::<()>()
        .await?;
    Ok(())
}

fn plain_pod(name: &str) -> Bytes {
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": false,
                 "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}
    });
    Bytes::from(serde_json::to_vec(&pod).expect("a literal encodes"))
}

async fn make_node(client: &Client, name: &str) -> Result<()> {
    let room = serde_json::json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    let labels = serde_json::json!({"kubernetes.io/hostname": name});
    let node: Node = serde_json::from_value(serde_json::json!({"metadata": {"name": name, "labels": labels}}))?;
    client.create(&node).await.with_context(|| format!("making node {name}"))?;
    let now = jiff::Timestamp::now().to_string();
    let ready =
        serde_json::json!({"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now});
    let status = serde_json::json!({"status": {"capacity": room, "allocatable": room, "conditions": [ready]}});
    let reported = client.patch::<Node>("", name, PatchType::Merge, Some(Subresource::Status), &status).await;
    reported.map(drop).with_context(|| format!("reporting for node {name}"))
}
