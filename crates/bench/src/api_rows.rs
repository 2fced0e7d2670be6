//! Rows of the API alone: create, patch, get, list, page, memory, delete.

use crate::figure::{Reporter, median};
use crate::load;
use crate::{Target, process};
use anyhow::{Context, Result};
use api::Kind;
use bytes::Bytes;
use client::{PatchType, Request, Verb};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use std::time::{Duration, Instant};

/// A pod of 2.76 KB as stored: environment, probes and volumes as charts have them. Nobody schedules it.
pub(crate) fn pod(name: &str) -> Bytes {
    let env: Vec<_> = (0..18)
        .map(|index| serde_json::json!({"name": format!("SETTING_{index:02}"), "value": format!("value-of-setting-{index:04}")}))
        .collect();
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench", "tier": "web", "release": "r1"},
                     "annotations": {"example.org/owner": "bench", "example.org/note": "x".repeat(120)}},
        "spec": {
            "schedulerName": "nobody", "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "registry.example.org/team/app:v1.2.3", "env": env,
                "ports": [{"containerPort": 8080, "name": "http"}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}],
            "volumes": [{"name": "scratch", "emptyDir": {}}]
        }
    });
    Bytes::from(serde_json::to_vec(&pod).expect("a literal encodes"))
}

/// A fresh namespace with its service account, so that rows do not meet what others left.
pub(crate) async fn make_namespace(target: &Target) -> Result<String> {
    let client = target.client()?;
    let name = format!("bench-{}", std::process::id());
    let namespace: Namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": name}}))?;
    client.create(&namespace).await.context("making the namespace")?;
    let account: ServiceAccount =
        serde_json::from_value(serde_json::json!({"metadata": {"name": "default", "namespace": name}}))?;
    match client.create(&account).await {
        Err(status) if status.reason != api::Reason::AlreadyExists => Err(status).context("making the service account"),
        _ => Ok(name),
    }
}

fn one(verb: Verb, namespace: &str, name: &str) -> Request {
    Request::new(verb, &Pod::DEF, namespace, name)
}

pub(crate) async fn measure(target: &Target, namespace: &str, reporter: &Reporter) -> Result<()> {
    let before = target.server_pid.map(process::rss_mib).transpose()?;
    let half = target.pods / 2;
    for (clients, from) in [(16, 0), (64, half)] {
        let own = namespace.to_owned();
        let made = load::run(target, clients, half, move |index| {
            let name = format!("p-{:06}", from + index);
            one(Verb::Create, &own, "").body(pod(&name))
        });
        let mut made = made.await?;
        let rate = made.per_second();
        reporter.report_with(&format!("create_pods_{clients}_clients"), rate, "1/s", &mut made.latencies);
    }
    if let (Some(pid), Some(before)) = (target.server_pid, before) {
        let now = process::rss_mib(pid)?;
        reporter.report(&format!("memory_at_{}_pods", target.pods), now, "MiB");
        reporter.report("memory_per_pod", (now - before) * 1024.0 / target.pods as f64, "KiB");
    }
    patches_and_gets(target, namespace, reporter).await?;
    lists(target, namespace, reporter).await
}

async fn patches_and_gets(target: &Target, namespace: &str, reporter: &Reporter) -> Result<()> {
    let (own, pods) = (namespace.to_owned(), target.pods);
    let mut patched = load::run(target, 16, 10_000, move |index| {
        let patch = format!(r#"{{"metadata":{{"annotations":{{"bench":"{index}"}}}}}}"#);
        one(Verb::Patch(PatchType::Merge), &own, &format!("p-{:06}", index % pods)).body(patch)
    })
    .await?;
    let rate = patched.per_second();
    reporter.report_with("merge_patch_16_clients", rate, "1/s", &mut patched.latencies);
    for clients in [16, 64] {
        let own = namespace.to_owned();
        let mut got =
            load::run(target, clients, 40_000, move |index| one(Verb::Get, &own, &format!("p-{:06}", index % pods)))
                .await?;
        let rate = got.per_second();
        reporter.report_with(&format!("get_pod_{clients}_clients"), rate, "1/s", &mut got.latencies);
    }
    Ok(())
}

async fn lists(target: &Target, namespace: &str, reporter: &Reporter) -> Result<()> {
    let client = target.client()?;
    let list = || Request::new(Verb::List, &Pod::DEF, namespace, "");
    for (figure, limit) in [("list_all_pods", None), ("list_page_of_500", Some("500"))] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..9 {
            let request = limit.map_or_else(list, |limit| list().query("limit", limit));
            let started = Instant::now();
            bytes = client.call(request).await.context("listing")?.len();
            times.push(started.elapsed());
        }
        reporter.report(figure, median(times).as_secs_f64() * 1e3, "ms");
        reporter.report(&format!("{figure}_size"), bytes as f64 / 1e6, "MB");
    }
    Ok(())
}

/// The collection, and then every pod's end: they have no node, so that they go at once.
pub(crate) async fn delete_all(target: &Target, namespace: &str, reporter: &Reporter) -> Result<()> {
    let client = target.client()?;
    let started = Instant::now();
    client.call(Request::new(Verb::DeleteCollection, &Pod::DEF, namespace, "")).await.context("deleting the pods")?;
    loop {
        let left = client.call(Request::new(Verb::List, &Pod::DEF, namespace, "").query("limit", "1")).await?;
        let left: serde_json::Value = serde_json::from_slice(&left)?;
        if left["items"].as_array().is_none_or(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reporter.report(&format!("delete_{}_pods", target.pods), started.elapsed().as_secs_f64(), "s");
    Ok(())
}
