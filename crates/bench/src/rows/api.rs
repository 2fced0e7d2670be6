//! Rows of the API alone: create, patch, get, list, page, memory, delete.

use crate::figure::Reporter;
use crate::following::Following;
use crate::load::{self, Measured};
use crate::target::Target;
use anyhow::{Context, Result};
use api::Kind;
use bytes::Bytes;
use client::{PatchType, Request, Verb};
use k8s_openapi::api::core::v1::Pod;
use std::time::Instant;

const MANY: usize = 50_000;

/// A pod of 2.76 KB as it is read, managed fields included, as charts have them. Nobody schedules it.
pub(crate) fn pod(name: &str) -> Bytes {
    let env: Vec<_> = (0..4)
        .map(|index| serde_json::json!({"name": format!("SETTING_{index:02}"), "value": format!("value-of-setting-{index:04}")}))
        .collect();
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench", "tier": "web", "release": "r1"}},
        "spec": {
            "schedulerName": "nobody", "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "registry.example.org/team/app:v1.2.3", "env": env,
                "ports": [{"containerPort": 8080, "name": "http"}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}],
            "volumes": [{"name": "scratch", "emptyDir": {}}]
        }
    });
    Bytes::from(serde_json::to_vec(&pod).expect("a literal encodes"))
}

fn one(verb: Verb, namespace: &str, name: &str) -> Request {
    Request::new(verb, &Pod::DEF, namespace, name)
}

pub(crate) async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    let namespace = target.namespace("api").await?;
    let before = target.memory_mib()?;
    let half = target.pods / 2;
    for (clients, from) in [(16, 0), (64, half)] {
        let mut made = create(target, &namespace, clients, from, half).await?;
        let rate = made.per_second();
        reporter.report_with(&format!("create_pods_{clients}_clients"), rate, "1/s", &mut made.latencies);
    }
    if let (Some(now), Some(before)) = (target.memory_mib()?, before) {
        reporter.report(&format!("memory_at_{}_pods", target.pods), now, "MiB");
        reporter.report("memory_per_pod", (now - before) * 1024.0 / target.pods as f64, "KiB");
    }
    patches_and_gets(target, &namespace, reporter).await?;
    list(target, &namespace, reporter, &format!("list_{}_pods", target.pods), None).await?;
    list(target, &namespace, reporter, "list_page_of_500", Some("500")).await?;
    super::watch::measure(target, &namespace, reporter).await?;
    super::process::restart(target, reporter, target.pods).await?;
    delete_all(target, &namespace, reporter).await?;
    target.forget(&namespace).await
}

/// So many pods that only size is a matter of.
pub(crate) async fn measure_many(target: &Target, reporter: &Reporter) -> Result<()> {
    let namespace = target.namespace("many").await?;
    create(target, &namespace, 32, 0, MANY).await?;
    if let Some(memory) = target.memory_mib()? {
        reporter.report(&format!("memory_at_{MANY}_pods"), memory, "MiB");
    }
    list(target, &namespace, reporter, &format!("list_{MANY}_pods"), None).await?;
    super::process::restart(target, reporter, MANY).await?;
    target.forget(&namespace).await
}

async fn create(target: &Target, namespace: &str, clients: usize, from: usize, count: usize) -> Result<Measured> {
    let own = namespace.to_owned();
    let made = load::run(target, clients, count, move |index| {
        let name = format!("p-{:06}", from + index);
        one(Verb::Create, &own, "").body(pod(&name))
    });
    made.await
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

async fn list(target: &Target, namespace: &str, reporter: &Reporter, figure: &str, limit: Option<&str>) -> Result<()> {
    let client = target.client()?;
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..9 {
        let list = Request::new(Verb::List, &Pod::DEF, namespace, "");
        let request = limit.map_or_else(|| list.clone(), |limit| list.clone().query("limit", limit));
        let started = Instant::now();
        bytes = client.call(request).await.context("listing")?.len();
        times.push(started.elapsed());
    }
    reporter.report_times(figure, times);
    reporter.report(&format!("{figure}_size"), bytes as f64 / 1e6, "MB");
    Ok(())
}

/// The collection, and then every pod's end: they have no node, so that they go at once.
async fn delete_all(target: &Target, namespace: &str, reporter: &Reporter) -> Result<()> {
    let client = target.client()?;
    let following = Following::pods(target.client()?, namespace, "").await?;
    let started = Instant::now();
    let last = following.reaching(0);
    client.call(Request::new(Verb::DeleteCollection, &Pod::DEF, namespace, "")).await.context("deleting the pods")?;
    let last = last.await.context("the watching task")??;
    reporter.report(&format!("delete_{}_pods", target.pods), (last - started).as_secs_f64(), "s");
    Ok(())
}
