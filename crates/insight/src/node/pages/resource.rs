//! `/metrics/resource`: the little that autoscalers and `top` need.

use crate::exposition::Exposition;
use crate::metric::{Kind, Metric};
use crate::node::Published;
use crate::sample::{ContainerSample, NodeSample, PodSample};

pub(in crate::node) fn page(published: &Published) -> String {
    let sample = published.sample.as_ref();
    let mut page = Exposition::default();
    const CPU: &str = "Cumulative cpu time consumed by the";
    const MEMORY: &str = "Current working set of the";
    const SWAP: &str = "Current amount of the swap usage in bytes of the";
    containers(&mut page, sample, "container_cpu_usage_seconds_total", Metric::CpuUsage, CPU);
    containers(&mut page, sample, "container_memory_working_set_bytes", Metric::MemoryWorkingSet, MEMORY);
    page.family(
        "container_start_time_seconds",
        Kind::Gauge,
        "[STABLE] Start time of the container since unix epoch in seconds",
    );
    for (pod, container) in every_container(sample).filter(|(_, container)| container.started_ms > 0) {
        let labels = container_labels(pod, container);
        page.sample("container_start_time_seconds", &labels, container.started_ms as f64 / 1000.0, 0);
    }
    containers(&mut page, sample, "container_swap_usage_bytes", Metric::MemorySwap, SWAP);
    for (name, metric, help) in [
        ("node_cpu_usage_seconds_total", Metric::CpuUsage, CPU),
        ("node_memory_working_set_bytes", Metric::MemoryWorkingSet, MEMORY),
        ("node_swap_usage_bytes", Metric::MemorySwap, SWAP),
    ] {
        if let Some(amount) = sample.reading.get(metric) {
            family(&mut page, name, metric, help, "node");
            page.sample(name, &[], metric.about().shown(amount), sample.time_ms);
        }
    }
    for (name, metric, help) in [
        ("pod_cpu_usage_seconds_total", Metric::CpuUsage, CPU),
        ("pod_memory_working_set_bytes", Metric::MemoryWorkingSet, MEMORY),
        ("pod_swap_usage_bytes", Metric::MemorySwap, SWAP),
    ] {
        family(&mut page, name, metric, help, "pod");
        for pod in &sample.pods {
            if let Some(amount) = pod.reading.get(metric) {
                let labels = [("namespace", pod.namespace.as_str()), ("pod", pod.name.as_str())];
                page.sample(name, &labels, metric.about().shown(amount), sample.time_ms);
            }
        }
    }
    page.family(
        "resource_scrape_error",
        Kind::Gauge,
        "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
    );
    page.sample("resource_scrape_error", &[], f64::from(u8::from(sample.time_ms == 0)), 0);
    page.finish()
}

fn family(page: &mut Exposition, name: &str, metric: Metric, help: &str, of: &str) {
    let unit = if metric == Metric::CpuUsage { " in core-seconds" } else { "" };
    page.family(name, metric.about().kind, &format!("[STABLE] {help} {of}{unit}"));
}

fn every_container(sample: &NodeSample) -> impl Iterator<Item = (&PodSample, &ContainerSample)> {
    sample.pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
}

fn container_labels<'a>(pod: &'a PodSample, container: &'a ContainerSample) -> [(&'static str, &'a str); 3] {
    [("container", &container.name), ("namespace", &pod.namespace), ("pod", &pod.name)]
}

fn containers(page: &mut Exposition, sample: &NodeSample, name: &str, metric: Metric, help: &str) {
    family(page, name, metric, help, "container");
    for (pod, container) in every_container(sample) {
        if let Some(amount) = container.reading.get(metric) {
            page.sample(name, &container_labels(pod, container), metric.about().shown(amount), sample.time_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn amounts_carry_the_moment_of_the_sample() {
        let page = super::page(&super::super::tests::published());
        for line in [
            "container_cpu_usage_seconds_total{container=\"web\",namespace=\"shop\",pod=\"web-0\"} 7.5 1700000010000",
            "container_start_time_seconds{container=\"web\",namespace=\"shop\",pod=\"web-0\"} 1600000000",
            "node_memory_working_set_bytes 2000 1700000010000",
            "pod_memory_working_set_bytes{namespace=\"shop\",pod=\"web-0\"} 2000 1700000010000",
            "resource_scrape_error 0",
            "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
    }
}
