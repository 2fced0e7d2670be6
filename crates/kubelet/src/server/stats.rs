//! `/stats/summary`: what node, pods and containers use of CPU and memory.

use super::Server;
use super::reply::{Body, json};
use crate::cri_request::labels;
use http::Response;
use jiff::Timestamp;
use kernel::cgroup::{Cgroup, Stats};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Summary {
    node: Node,
    pods: Vec<Pod>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    node_name: String,
    #[serde(flatten)]
    usage: Usage,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    pod_ref: Reference,
    containers: Vec<Container>,
    #[serde(flatten)]
    usage: Usage,
}

#[derive(Serialize)]
struct Reference {
    name: String,
    namespace: String,
    uid: String,
}

#[derive(Serialize)]
struct Container {
    name: String,
    #[serde(flatten)]
    usage: Usage,
}

#[derive(Serialize)]
struct Usage {
    cpu: Cpu,
    memory: Memory,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: String,
    usage_core_nano_seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    time: String,
    usage_bytes: u64,
    working_set_bytes: u64,
    rss_bytes: u64,
}

impl Usage {
    fn of(stats: &Stats, now: Timestamp) -> Usage {
        let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Usage {
            cpu: Cpu { time: time.clone(), usage_core_nano_seconds: stats.cpu_usage_ns },
            memory: Memory {
                time,
                usage_bytes: stats.memory_bytes,
                working_set_bytes: stats.working_set_bytes,
                rss_bytes: stats.rss_bytes,
            },
        }
    }
}

pub(super) async fn answer(server: &Server) -> Response<Body> {
    let context = &server.context;
    let now = Timestamp::now();
    let mut containers = containers_by_pod(server, now).await;
    let known = server.pods.all().await;
    let cgroups = context.cgroups.clone();
    let paths: Vec<String> = known.iter().map(|known| cgroups.of_pod(&known.pod)).collect();
    // File reads, some per pod: off the async threads.
    let read = tokio::task::spawn_blocking(move || {
        let stats = |path: &str| Cgroup::at(path).map(|group| group.stats()).unwrap_or_default();
        (stats("/"), paths.iter().map(|path| stats(path)).collect::<Vec<_>>())
    });
    let (node, pods) = read.await.unwrap_or_default();
    let pods = known.iter().zip(pods).map(|(known, stats)| {
        let meta = &known.pod.metadata;
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let uid = own(&meta.uid);
        Pod {
            containers: containers.remove(&uid).unwrap_or_default(),
            pod_ref: Reference { name: own(&meta.name), namespace: own(&meta.namespace), uid },
            usage: Usage::of(&stats, now),
        }
    });
    let pods = pods.collect();
    json(&Summary { node: Node { node_name: context.node_name.clone(), usage: Usage::of(&node, now) }, pods })
}

/// As the runtime counts them, by the pod's uid; a runtime that does not count has none.
async fn containers_by_pod(server: &Server, now: Timestamp) -> BTreeMap<String, Vec<Container>> {
    let mut by_pod: BTreeMap<String, Vec<Container>> = BTreeMap::new();
    let answer = match server.context.runtime.list_container_stats(Default::default()).await {
        Ok(answer) => answer,
        Err(status) => {
            tracing::debug!(%status, "the runtime has no container stats");
            return by_pod;
        }
    };
    for stats in answer.stats {
        let attributes = stats.attributes.unwrap_or_default();
        let label = |key: &str| attributes.labels.get(key).cloned().unwrap_or_default();
        let (cpu, memory) = (stats.cpu.unwrap_or_default(), stats.memory.unwrap_or_default());
        let counted = Stats {
            cpu_usage_ns: cpu.usage_core_nano_seconds.map_or(0, |value| value.value),
            memory_bytes: memory.usage_bytes.map_or(0, |value| value.value),
            working_set_bytes: memory.working_set_bytes.map_or(0, |value| value.value),
            rss_bytes: memory.rss_bytes.map_or(0, |value| value.value),
            ..Stats::default()
        };
        let container = Container { name: label(labels::CONTAINER_NAME), usage: Usage::of(&counted, now) };
        by_pod.entry(label(labels::POD_UID)).or_default().push(container);
    }
    by_pod
}
