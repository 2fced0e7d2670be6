//! Pods bound to simulated nodes: from the first create to the last binding, creates and bindings durable.
//!
//! The shapes are those of upstream's own performance gates. The nodes' leases are renewed meanwhile, as nodes do.

use crate::figure::Reporter;
use crate::following::Following;
use crate::target::{self, Target};
use anyhow::{Context, Result};
use api::Kind;
use bench::hollow::{Heartbeats, Room, register};
use client::{DeleteOptions, Request, Verb};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Within upstream's default grace of 40 seconds.
const HEARTBEAT: Duration = Duration::from_secs(25);

struct Workload {
    figure: &'static str,
    /// Pods that are there already.
    before: usize,
    pods: usize,
    /// Merged into the pods' spec; those before have it too.
    spec: fn() -> Value,
}

const PLAIN: Workload = Workload { figure: "plain", before: 0, pods: 10_000, spec: || json!({}) };
const AT_1000: [Workload; 1] = [PLAIN];
const AT_5000: [Workload; 4] = [
    PLAIN,
    Workload {
        figure: "anti_affinity",
        before: 1_000,
        pods: 2_000,
        spec: || affinity("podAntiAffinity", "kubernetes.io/hostname"),
    },
    Workload {
        figure: "affinity",
        before: 5_000,
        pods: 5_000,
        spec: || affinity("podAffinity", "topology.kubernetes.io/region"),
    },
    Workload { figure: "spread", before: 5_000, pods: 5_000, spec: spread },
];

fn affinity(kind: &str, topology: &str) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "bench"}}, "topologyKey": topology}]}}})
}

fn spread() -> Value {
    json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "bench"}}}]})
}

pub(crate) async fn measure(target: &Target, reporter: &Reporter, nodes: usize) -> Result<()> {
    let client = target.client()?;
    let names: Vec<String> = (0..nodes).map(|index| format!("bench-node-{index:04}")).collect();
    let made = stream::iter(names.clone().into_iter().enumerate()).map(|(index, name)| {
        let zone = ("topology.kubernetes.io/zone".to_owned(), format!("zone-{}", index % 3));
        let region = ("topology.kubernetes.io/region".to_owned(), "one".to_owned());
        let room = Room { labels: [zone, region].into(), ..Room::default() };
        let client = client.clone();
        async move { register(&client, &name, &room).await }
    });
    made.buffer_unordered(32).try_collect::<()>().await.context("making the nodes")?;
    let heartbeats = Heartbeats::start(client.clone(), names.clone(), HEARTBEAT);
    for workload in if nodes == 1_000 { &AT_1000[..] } else { &AT_5000[..] } {
        let figure = format!("schedule_{nodes}_nodes_{}", workload.figure);
        if reporter.wants(&figure) {
            reporter.report(&figure, rate(target, workload).await?, "pods/s");
        }
    }
    drop(heartbeats);
    if target.own.is_none() {
        let gone = DeleteOptions::default();
        let deleted = stream::iter(names).map(|name| {
            let (client, gone) = (client.clone(), gone.clone());
            async move { client.delete::<Node>("", &name, &gone).await }
        });
        deleted.buffer_unordered(32).try_collect::<()>().await.context("removing the nodes")?;
    }
    Ok(())
}

async fn rate(target: &Target, workload: &Workload) -> Result<f64> {
    let namespace = target.namespace(&workload.figure.replace('_', "-")).await?;
    bound(target, &namespace, workload, "before", workload.before).await?;
    let took = bound(target, &namespace, workload, "measured", workload.pods).await?;
    let gone = Following::pods(target.client()?, &namespace, "").await?.reaching(0);
    let client = target.client()?;
    let at_once = Request::new(Verb::DeleteCollection, &Pod::DEF, &namespace, "");
    client.call(at_once.body(r#"{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}"#)).await?;
    gone.await.context("the watching task")??;
    target.forget(&namespace).await?;
    Ok(workload.pods as f64 / took.as_secs_f64())
}

/// Creates pods and waits until all are bound.
async fn bound(
    target: &Target,
    namespace: &str,
    workload: &Workload,
    name: &'static str,
    count: usize,
) -> Result<Duration> {
    if count == 0 {
        return Ok(Duration::ZERO);
    }
    // The selector is the server's work: the client sees each pod once, when it is bound.
    let bound = Following::pods(target.client()?, namespace, "spec.nodeName!=").await?;
    let (own, spec) = (namespace.to_owned(), (workload.spec)());
    let started = Instant::now();
    let all = bound.present() + count;
    let last = bound.reaching(all);
    let made = crate::load::run(target, 32, count, move |index| {
        target::create::<Pod>(&own, &pod(&format!("{name}-{index:06}"), &spec))
    });
    made.await?;
    Ok(last.await.context("the watching task")?? - started)
}

fn pod(name: &str, extra: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"automountServiceAccountToken": false,
                 "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}
    });
    for (field, value) in extra.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}
