//! Rows of real pods: from create to Running, one by one and at once, and what a pod costs beside its application.

use crate::figure::Reporter;
use crate::following::Following;
use crate::load;
use crate::target::{self, Target};
use anyhow::{Context, Result, bail};
use api::Kind;
use bench::own::rss_mib;
use client::{ListOptions, Request, Verb};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use std::time::{Duration, Instant};

const ONE_BY_ONE: usize = 20;
const AT_ONCE: usize = 50;
/// One machine's pods.
const MANY: usize = 1_000;
const RUNNING: &str = "status.phase=Running";

pub(crate) async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    can_run_pods(target).await?;
    target.import_image().await?;
    if ["pod_create_to_running", "pods_50_to_running"].iter().any(|figure| reporter.wants(figure)) {
        let namespace = target.namespace("pods").await?;
        let times = one_by_one(target, &namespace).await?;
        reporter.report_times("pod_create_to_running", times);
        let took = at_once(target, &namespace, AT_ONCE).await?;
        reporter.report("pods_50_to_running", took.as_secs_f64(), "s");
        clear(target, &namespace).await?;
    }
    many(target, reporter).await
}

/// A machine whose disk is nearly full takes no pods: better said than waited for.
async fn can_run_pods(target: &Target) -> Result<()> {
    let nodes = target.client()?.list::<Node>("", ListOptions::default()).await.context("looking at the nodes")?;
    let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let free = |node: &Node| taints(node).iter().all(|taint| taint.effect == "PreferNoSchedule");
    if nodes.items.iter().any(free) {
        return Ok(());
    }
    let keys: Vec<String> = nodes.items.iter().flat_map(taints).map(|taint| taint.key).collect();
    bail!("every node has a taint that keeps pods away: {}", keys.join(", "))
}

/// The first pod of a cluster.
pub(crate) async fn one(target: &Target) -> Result<Duration> {
    let namespace = target.namespace("first").await?;
    at_once(target, &namespace, 1).await
}

fn request(target: &Target, namespace: &str, name: &str) -> Request {
    // `pause` has no other command.
    let mut container = json!({"name": "c", "image": target.image});
    if target.own.is_some() {
        container["command"] = json!(["sleep", "1000000"]);
    }
    target::create::<Pod>(
        namespace,
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}),
    )
}

async fn one_by_one(target: &Target, namespace: &str) -> Result<Vec<Duration>> {
    let client = target.client()?;
    let mut running = Following::pods(target.client()?, namespace, RUNNING).await?;
    let mut times = Vec::new();
    // The first is not counted: another cluster may pull the image.
    for index in 0..=ONE_BY_ONE {
        let started = Instant::now();
        client.call(request(target, namespace, &format!("one-{index:02}"))).await.context("making a pod")?;
        times.push(running.until(index + 1).await? - started);
    }
    Ok(times.split_off(1))
}

/// Until the last runs.
async fn at_once(target: &Target, namespace: &str, count: usize) -> Result<Duration> {
    let running = Following::pods(target.client()?, namespace, RUNNING).await?;
    let requests: Vec<Request> =
        (0..count).map(|index| request(target, namespace, &format!("together-{index:04}"))).collect();
    let started = Instant::now();
    let all = running.present() + count;
    let last = running.reaching(all);
    load::run(target, count.min(8), count, move |index| requests[index].clone()).await?;
    Ok(last.await.context("the watching task")?? - started)
}

/// Deletes the namespace's pods and waits until they have ended.
async fn clear(target: &Target, namespace: &str) -> Result<()> {
    let mut following = Following::pods(target.client()?, namespace, "").await?;
    let client = target.client()?;
    client.call(Request::new(Verb::DeleteCollection, &Pod::DEF, namespace, "")).await.context("deleting the pods")?;
    following.until(0).await?;
    target.forget(namespace).await
}

/// What only a cluster of our own tells is left out of others.
async fn many(target: &Target, reporter: &Reporter) -> Result<()> {
    let names = ["pods_1000_to_running", "shim_pss_per_pod", "node_memory_per_pod"];
    let Some(own) = target.own.as_ref().filter(|_| names.iter().any(|name| reporter.wants(name))) else {
        return Ok(());
    };
    let namespace = target.namespace("thousand").await?;
    let node = own.pid("node")?;
    let before = rss_mib(node)?;
    let took = at_once(target, &namespace, MANY).await?;
    reporter.report(names[0], took.as_secs_f64(), "s");
    let (pss, shims) = own.shims_pss_mib()?;
    reporter.report(names[1], pss * 1024.0 / shims as f64, "KiB");
    reporter.report(names[2], (rss_mib(node)? - before) * 1024.0 / MANY as f64, "KiB");
    let started = Instant::now();
    clear(target, &namespace).await?;
    reporter.report("pods_1000_to_gone", started.elapsed().as_secs_f64(), "s");
    Ok(())
}
