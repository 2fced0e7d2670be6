//! What containers use, as `kubectl top` and the kernel tell it.

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;
use crate::restarts::{kill_9, ready_again};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Burns a part of a processor beside one that holds memory.
const BURNER: &str = "
apiVersion: v1
kind: Pod
metadata: { name: burner, labels: { app: burner } }
spec:
  containers:
  - name: burn
    image: user-center:v1.0
    command: [sh, -c, 'while :; do :; done']
    resources: { limits: { cpu: 300m, memory: 64Mi } }
  - name: hold
    image: user-center:v1.0
    command: [sh, -c, 'held=$(head -c 16000000 /dev/zero | tr \"\\\\0\" a); sleep 3600; echo $held']
    resources: { limits: { cpu: 100m, memory: 128Mi } }
";

/// One measurement of a container in the API.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    timestamp: String,
    cpu_cores: f64,
    memory_bytes: f64,
}

fn measured(machine: &Machine, container: &str) -> Result<Measured, String> {
    let output = machine.try_kubectl(&["get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/burner"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pod: serde_json::Value = serde_json::from_str(&text).map_err(|_| said(&output))?;
    let found = pod["containers"].as_array().into_iter().flatten().find(|own| own["name"] == container);
    let usage = found.map(|own| &own["usage"]).ok_or_else(|| text.clone())?;
    let number =
        |name: &str, unit: &str| usage[name].as_str().and_then(|text| text.trim_end_matches(unit).parse().ok());
    let timestamp = pod["timestamp"].as_str().unwrap_or_default().to_owned();
    let cpu_cores = number("cpu", "n").map(|nanos: f64| nanos / 1e9);
    let memory_bytes = number("memory", "Ki").map(|kib: f64| kib * 1024.0);
    cpu_cores
        .zip(memory_bytes)
        .map(|(cpu_cores, memory_bytes)| Measured { timestamp, cpu_cores, memory_bytes })
        .ok_or(text)
}

/// The folder of a container's group in a v1 hierarchy.
fn group(machine: &Machine, hierarchy: &str, container: &str) -> PathBuf {
    let path =
        format!("jsonpath={{.metadata.uid}} {{.status.containerStatuses[?(@.name==\"{container}\")].containerID}}");
    let told = machine.kubectl_args(&["get", "pod", "burner", "-o", &path]);
    let (uid, id) = told.split_once(' ').unwrap();
    let id = id.rsplit('/').next().unwrap();
    let root = format!("/sys/fs/cgroup/{hierarchy}{}/kubepods", machine.cgroup_root);
    ["", "burstable/", "besteffort/"]
        .map(|tier| format!("{root}/{tier}pod{uid}/{id}").into())
        .into_iter()
        .find(|path: &PathBuf| path.exists())
        .unwrap()
}

fn number(file: &Path) -> f64 {
    std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

fn working_set(group: &Path) -> f64 {
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap();
    let inactive = stat.lines().find_map(|line| line.strip_prefix("total_inactive_file ")).unwrap();
    number(&group.join("memory.usage_in_bytes")) - inactive.parse::<f64>().unwrap()
}

fn agree(what: &str, api: f64, kernel: f64) {
    eprintln!("{what}: the API says {api}, the kernel {kernel}");
    assert!((api - kernel).abs() <= kernel * 0.05, "{what}: the API says {api}, the kernel {kernel}");
}

#[test]
fn top_agrees_with_the_control_groups() {
    if !possible() {
        return;
    }
    if !Path::new("/sys/fs/cgroup/cpuacct").exists() {
        return eprintln!("SKIPPED: reads the v1 hierarchies");
    }
    let cluster = Cluster::up(&["--metrics-interval", "2"]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(BURNER);
    machine.kubectl("wait --for=condition=Ready pod/burner --timeout=60s");
    let first = machine.until("the pod is measured", |machine| {
        measured(machine, "hold").and_then(|held| {
            if held.memory_bytes > 15e6 { measured(machine, "burn") } else { Err(format!("{held:?}")) }
        })
    });

    // Means of the same time: three windows of the API, and the counter that they are made of.
    let usage = group(machine, "cpuacct", "burn").join("cpuacct.usage");
    let mut windows = vec![first];
    let next = |machine: &Machine, last: &Measured| {
        machine.until("the next window", |machine| {
            measured(machine, "burn")
                .and_then(|new| if new.timestamp == last.timestamp { Err(format!("{new:?}")) } else { Ok(new) })
        })
    };
    windows[0] = next(machine, &windows[0]);
    let (begun, used) = (Instant::now(), number(&usage));
    for _ in 0..4 {
        windows.push(next(machine, &windows[windows.len() - 1]));
    }
    let kernel = (number(&usage) - used) / 1e9 / begun.elapsed().as_secs_f64();
    let api = windows[1..].iter().map(|window| window.cpu_cores).sum::<f64>() / 4.0;
    agree("processor", api, kernel);
    let held = measured(machine, "hold").unwrap();
    agree("memory", held.memory_bytes, working_set(&group(machine, "memory", "hold")));

    shown_by_kubectl(machine);
    pages_of_the_kubelet(machine);
    only_for_those_who_may(machine);
    the_history_answers_queries_and_outlives_its_server(machine);
    cluster.finish();
}

fn shown_by_kubectl(machine: &Machine) {
    let top = machine.kubectl("top pods --containers --no-headers");
    let rows: Vec<Vec<&str>> = top.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 2, "{top}");
    assert!(rows.iter().any(|row| row[..2] == ["burner", "burn"] && row[2].ends_with('m')), "{top}");
    let sum = machine.kubectl("top pods -l app=burner --sum");
    assert!(sum.lines().count() >= 3 && sum.contains("burner"), "{sum}");
    let nodes = machine.kubectl("top nodes");
    assert!(nodes.lines().any(|line| line.starts_with("n0 ") && line.contains('%')), "{nodes}");
    let table = machine.kubectl("get podmetrics");
    assert!(table.starts_with("NAME     CPU") && table.contains("burner   "), "{table}");
    let service = machine.kubectl("get apiservice v1beta1.metrics.k8s.io --no-headers");
    assert_eq!(service.split_whitespace().take(3).collect::<Vec<_>>(), ["v1beta1.metrics.k8s.io", "Local", "True"]);
    let missing = machine.try_kubectl(&["top", "pod", "nobody"]);
    let refusal = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(refusal, "Error from server (NotFound): pods \"default/nobody\" not found\n");
}

fn pages_of_the_kubelet(machine: &Machine) {
    let page = |path: &str| machine.kubectl(&format!("get --raw /api/v1/nodes/n0/proxy/{path}"));
    let resource = page("metrics/resource");
    assert!(
        resource
            .contains("container_cpu_usage_seconds_total{container=\"burn\",namespace=\"default\",pod=\"burner\"} ")
    );
    assert!(resource.contains("node_memory_working_set_bytes "), "{resource}");
    let cadvisor = page("metrics/cadvisor");
    assert!(cadvisor.contains("container_cpu_cfs_throttled_seconds_total{container=\"burn\""), "{cadvisor}");
    assert!(cadvisor.contains("container_network_receive_bytes_total{container=\"\""), "{cadvisor}");
    let summary: serde_json::Value = serde_json::from_str(&page("stats/summary")).unwrap();
    assert!(summary["pods"][0]["cpu"]["usageNanoCores"].as_u64().unwrap() > 100_000_000, "{summary}");
    assert!(page("metrics").contains("kubelet_running_pods 1\n"));
}

/// A number that Prometheus' API gives for a query, which is percent-encoded.
fn queried(machine: &Machine, query: &str) -> Result<f64, String> {
    let path = format!("/insight/prometheus/api/v1/query?query={query}");
    let output = machine.try_kubectl(&["get", "--raw", &path]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| said(&output))?;
    let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok());
    value.ok_or_else(|| answer.to_string())
}

fn the_history_answers_queries_and_outlives_its_server(machine: &Machine) {
    const OF_BURN: &str = "container_cpu_usage_seconds_total%7Bcontainer=%22burn%22%7D";
    let cores = queried(machine, &format!("rate({OF_BURN}%5B10s%5D)")).unwrap();
    assert!((0.2..0.4).contains(&cores), "its limit is 0.3: {cores}");
    let kept = |machine: &Machine| queried(machine, &format!("count_over_time({OF_BURN}%5B1h%5D)"));
    let before = kept(machine).unwrap();
    assert!(before >= 5.0, "{before}");
    kill_9(machine, "server");
    ready_again(machine, "server", 1);
    let after = machine.until("the history is back", kept);
    assert!(after >= before, "{before} samples were kept, {after} are left");
}

fn only_for_those_who_may(machine: &Machine) {
    machine.kubectl("create namespace other");
    machine.kubectl("create serviceaccount viewer");
    machine.kubectl("create rolebinding viewer --clusterrole=view --serviceaccount=default:viewer");
    let viewer = "--as=system:serviceaccount:default:viewer";
    assert!(machine.kubectl(&format!("top pods --no-headers {viewer}")).starts_with("burner"));
    for refused in [["top", "pods", "-n", "other"].as_slice(), ["top", "nodes"].as_slice()] {
        let output = machine.try_kubectl(&[refused, [viewer].as_slice()].concat());
        assert!(String::from_utf8_lossy(&output.stderr).contains("is forbidden: "), "{refused:?}: {output:?}");
    }
}
