//! Decisions per second of the scheduler alone: `cargo run --release -p scheduler --example rate`.

use scheduler::{Cluster, Decider, PodInfo};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

const PODS: usize = 10_000;

fn cluster(nodes: usize) -> Cluster {
    let mut cluster = Cluster::default();
    for n in 0..nodes {
        let name = format!("node-{n}");
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": format!("z{}", n % 10)}},
            "status": {"allocatable": {"cpu": "32", "memory": "256Gi", "pods": "110"}}});
        cluster.set_node(Arc::new(serde_json::from_value(node).expect("a node")));
    }
    cluster
}

/// A pod as a ReplicaSet makes it; `extra` is merged into its spec.
fn pod(n: usize, extra: &Value) -> PodInfo {
    let mut pod = json!({"metadata": {"name": format!("pod-{n}"), "namespace": "default", "uid": n.to_string(), "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "web", "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}}}]}});
    for (field, value) in extra.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    PodInfo::new(Arc::new(serde_json::from_value(pod).expect("a pod")))
}

fn measure(what: &str, nodes: usize, pods: usize, extra: &Value) {
    let mut cluster = cluster(nodes);
    let mut decider = Decider::new(1);
    let pods: Vec<Arc<PodInfo>> = (0..pods).map(|n| Arc::new(pod(n, extra))).collect();
    let (start, mut slowest) = (Instant::now(), 0);
    for pod in &pods {
        let one = Instant::now();
        let node = decider.schedule(pod, &cluster).expect("there is room");
        cluster.set_pod(&node, pod.clone());
        slowest = slowest.max(one.elapsed().as_micros());
    }
    let took = start.elapsed();
    let figure = json!({"what": what, "nodes": nodes, "pods": pods.len(),
        "decisions_per_second": (pods.len() as f64 / took.as_secs_f64()).round(),
        "mean_us": took.as_secs_f64() * 1e6 / pods.len() as f64, "slowest_us": slowest as u64});
    write_line(&figure.to_string());
}

fn write_line(line: &str) {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

fn main() {
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}]}}});
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"}]}}});
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}}]});
    for nodes in [1_000, 5_000] {
        measure("plain", nodes, PODS, &json!({}));
        measure("anti-affinity by host", nodes, 1_000, &apart);
        measure("affinity by zone", nodes, PODS, &near);
        measure("spread over zones", nodes, PODS, &spread);
    }
}
