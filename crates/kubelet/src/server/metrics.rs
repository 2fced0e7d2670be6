//! `/metrics`, in Prometheus' text format, under upstream's names.

use super::Server;
use super::reply::{Body, answer as reply, full};
use http::Response;
use std::fmt::Write as _;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn answer(server: &Server) -> Response<Body> {
    let pods = server.pods.all().await;
    let mut running = 0;
    let mut containers = 0;
    for known in &pods {
        let view = known.view.borrow();
        running += u32::from(view.sandbox.is_some());
        containers += view.instances.iter().filter(|instance| instance.running).count();
    }
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, labels: &str, value: u64| {
        // Writing to a String cannot fail.
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}").expect("a String grows");
    };
    let node = format!("{{node={:?}}}", server.context.node_name);
    gauge("kubelet_node_name", "The node's name. The count is always 1.", &node, 1);
    gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", "", running.into());
    let state = "{container_state=\"running\"}";
    gauge("kubelet_running_containers", "Number of containers currently running", state, containers as u64);
    gauge("kubelet_desired_pods", "The number of pods the kubelet is being instructed to run", "", pods.len() as u64);
    gauge(
        "kubelet_event_recorder_dropped",
        "Events that were not written because too many waited",
        "",
        server.context.recorder.dropped(),
    );
    if let Some(counts) = server.context.archive.as_ref().and_then(|archive| archive.export_counts()) {
        text.push_str(&counts.exposition());
    }
    if let Some(usage) = &server.context.usage {
        text.push_str(&usage.process());
    }
    reply(200, TEXT, full(text))
}

/// `/metrics/probes`: by themselves, as they are many.
pub(super) fn probes(server: &Server) -> Response<Body> {
    reply(200, TEXT, full(server.context.probes.page()))
}
