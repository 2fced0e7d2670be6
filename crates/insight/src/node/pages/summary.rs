//! `/stats/summary`: the node, its pods and their containers, as the kubelet's own JSON.

use crate::node::Published;
use crate::sample::{ContainerSample, NodeSample, PodSample};
use crate::{Metric, Reading};
use jiff::Timestamp;
use serde::Serialize;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fs: Option<Disk>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    pod_ref: Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    containers: Vec<Container>,
    #[serde(flatten)]
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    #[serde(rename = "process_stats", skip_serializing_if = "Option::is_none")]
    processes: Option<Processes>,
}

#[derive(Serialize)]
struct Reference {
    name: String,
    namespace: String,
    uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(flatten)]
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    rootfs: Option<Disk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<Disk>,
}

#[derive(Serialize)]
struct Usage {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap: Option<Swap>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_nano_cores: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_set_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Swap {
    time: String,
    swap_usage_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    time: String,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rx_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rx_errors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_errors: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Disk {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Processes {
    process_count: u64,
}

pub(in crate::node) fn page(published: &Published) -> String {
    let (sample, before) = (published.sample.as_ref(), published.before.as_deref());
    let pods = sample.pods.iter().map(|own| pod(own, sample, before)).collect();
    let earlier = before.map(|before| (before, &before.reading));
    let fs = sample.reading.get(Metric::DiskSize).map(|size| {
        let available = sample.reading.get(Metric::DiskAvailable);
        let used_bytes = available.map(|available| size.saturating_sub(available));
        Disk { time: time(sample.time_ms), available_bytes: available, capacity_bytes: Some(size), used_bytes }
    });
    let node = Node {
        node_name: sample.node.clone(),
        usage: usage(&sample.reading, sample, earlier),
        network: network(&sample.reading, sample),
        fs,
    };
    serde_json::to_string_pretty(&Summary { node, pods }).expect("keys are texts and numbers are whole")
}

fn time(milliseconds: i64) -> String {
    let moment = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn start(milliseconds: i64) -> Option<String> {
    (milliseconds > 0).then(|| time(milliseconds))
}

/// Only what was measured: before the first sample that is nothing.
fn usage(reading: &Reading, sample: &NodeSample, before: Option<(&NodeSample, &Reading)>) -> Usage {
    let time = || time(sample.time_ms);
    let used = reading.get(Metric::CpuUsage);
    let rate = before.and_then(|(earlier, before)| {
        let used_us = used?.checked_sub(before.get(Metric::CpuUsage)?)?;
        let passed_ms = u64::try_from(sample.time_ms - earlier.time_ms).ok()?;
        (used_us * 1_000_000).checked_div(passed_ms)
    });
    let limit = reading.get(Metric::MemoryLimit).filter(|limit| *limit > 0);
    let (usage_bytes, working_set_bytes) = (reading.get(Metric::MemoryUsage), reading.get(Metric::MemoryWorkingSet));
    let rss_bytes = reading.get(Metric::MemoryRss);
    let memory = [usage_bytes, working_set_bytes, rss_bytes].iter().any(Option::is_some).then(|| Memory {
        time: time(),
        available_bytes: limit.zip(working_set_bytes).map(|(limit, used)| limit.saturating_sub(used)),
        usage_bytes,
        working_set_bytes,
        rss_bytes,
    });
    Usage {
        cpu: used.map(|used| Cpu { time: time(), usage_nano_cores: rate, usage_core_nano_seconds: Some(used * 1000) }),
        memory,
        swap: reading.get(Metric::MemorySwap).map(|swap_usage_bytes| Swap { time: time(), swap_usage_bytes }),
    }
}

fn network(reading: &Reading, sample: &NodeSample) -> Option<Network> {
    let [rx_bytes, rx_errors, tx_bytes, tx_errors] =
        [Metric::NetworkReceived, Metric::ReceiveErrors, Metric::NetworkSent, Metric::SendErrors]
            .map(|metric| reading.get(metric));
    rx_bytes.or(tx_bytes)?;
    Some(Network { time: time(sample.time_ms), name: "eth0", rx_bytes, rx_errors, tx_bytes, tx_errors })
}

fn pod(own: &PodSample, sample: &NodeSample, before: Option<&NodeSample>) -> Pod {
    let earlier = before.and_then(|before| Some((before, before.pods.iter().find(|pod| pod.uid == own.uid)?)));
    Pod {
        pod_ref: Reference { name: own.name.clone(), namespace: own.namespace.clone(), uid: own.uid.clone() },
        start_time: start(own.started_ms),
        containers: own.containers.iter().map(|one| container(one, sample, earlier)).collect(),
        usage: usage(&own.reading, sample, earlier.map(|(before, pod)| (before, &pod.reading))),
        network: network(&own.reading, sample),
        processes: own.reading.get(Metric::Processes).map(|process_count| Processes { process_count }),
    }
}

fn container(own: &ContainerSample, sample: &NodeSample, before: Option<(&NodeSample, &PodSample)>) -> Container {
    // Of the same instance: another's counters began anew.
    let earlier = before.and_then(|(before, pod)| {
        pod.containers.iter().find(|other| other.id == own.id).map(|other| (before, &other.reading))
    });
    let disk = |metric| {
        own.reading.get(metric).map(|used| Disk {
            time: time(sample.time_ms),
            available_bytes: None,
            capacity_bytes: None,
            used_bytes: Some(used),
        })
    };
    Container {
        name: own.name.clone(),
        start_time: start(own.started_ms),
        usage: usage(&own.reading, sample, earlier),
        rootfs: disk(Metric::LayerUsage),
        logs: disk(Metric::DiskUsage),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn rates_are_those_since_the_sample_before() {
        let page: serde_json::Value =
            serde_json::from_str(&super::page(&super::super::tests::published())).expect("JSON");
        assert_eq!(page["node"]["nodeName"], "n1");
        let pod = &page["pods"][0];
        assert_eq!(pod["podRef"]["namespace"], "shop");
        assert_eq!(pod["cpu"]["usageNanoCores"], 500_000_000);
        assert_eq!(pod["cpu"]["usageCoreNanoSeconds"], 7_500_000_000_u64);
        assert_eq!(pod["network"]["txBytes"], 80);
        let container = &pod["containers"][0];
        assert_eq!((&container["name"], &container["logs"]["usedBytes"]), (&"web".into(), &99.into()));
        assert_eq!(container["memory"]["workingSetBytes"], 2000);
        assert_eq!(container["memory"]["time"], "2023-11-14T22:13:30Z");
        assert_eq!(container["rootfs"]["usedBytes"], 4096);
        assert_eq!(pod["process_stats"]["process_count"], 3, "processes, not threads");
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let text = super::page(&crate::node::Meter::new("n1").samples().borrow());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            serde_json::json!({
                "node": {"nodeName": "n1"}, "pods": [],
            })
        );
        let mut published = super::super::tests::published();
        let sample = std::sync::Arc::make_mut(&mut published.sample);
        sample.pods[0].reading = crate::Reading::default();
        sample.pods[0].containers[0].reading = [(crate::Metric::MemoryRss, 7)].into_iter().collect();
        let page: serde_json::Value = serde_json::from_str(&super::page(&published)).unwrap();
        let pod = &page["pods"][0];
        for absent in ["cpu", "memory", "network", "process_stats", "swap"] {
            assert!(pod.get(absent).is_none(), "{absent} in {pod}");
        }
        let container = &pod["containers"][0];
        assert_eq!(container["memory"], serde_json::json!({"time": "2023-11-14T22:13:30Z", "rssBytes": 7}));
        assert!(container.get("rootfs").is_none() && container.get("logs").is_none(), "{container}");
    }
}
