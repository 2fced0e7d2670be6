//! Joins who measures with those who ask: the kubelet on a node, the API in the server.

use crate::settings::{RemoteWrite, Settings};
use ::insight::node::{ContainerTarget, Meter, Page, PodTarget, Sampler, Targets, Uplink, UplinkError, push};
use ::insight::query::Sight;
use ::insight::sample::NodeSample;
use ::insight::server::{ContainerUse, Insight, NodeUse, PodUse};
use anyhow::{Context, Result, anyhow};
use api::metrics::{ContainerMetrics, NodeMetrics, PodMetrics, usage, window};
use apiserver::{Backend, Measurements, Question, Visible};
use async_trait::async_trait;
use bytes::Bytes;
use client::Remote;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kubelet::{Running, RunningContainer, RunningPod, Usage, UsagePage};
use std::sync::Arc;

/// What a sample is sent as.
const SAMPLE_TYPE: &str = "application/vnd.sampan.sample";

/// The kubelet's pages.
pub(crate) struct Pages(pub(crate) Arc<Meter>);

impl Usage for Pages {
    fn page(&self, page: UsagePage) -> String {
        self.0.page(match page {
            UsagePage::Summary => Page::Summary,
            UsagePage::Resource => Page::Resource,
            UsagePage::Cadvisor => Page::Cadvisor,
        })
    }

    fn process(&self) -> String {
        ::insight::process::page()
    }
}

/// What the kubelet runs.
struct Runs(Running);

#[async_trait]
impl Targets for Runs {
    async fn pods(&self) -> Vec<PodTarget> {
        self.0.pods().await.into_iter().map(target).collect()
    }
}

fn target(pod: RunningPod) -> PodTarget {
    let container = |own: RunningContainer| ContainerTarget {
        name: own.name,
        id: own.id,
        image: own.image,
        started_ms: own.started_ms,
        restarts: own.restarts,
        oom_killed_before: own.oom_killed_before,
        log: own.log,
    };
    PodTarget {
        namespace: pod.namespace,
        name: pod.name,
        uid: pod.uid,
        cgroup: pod.cgroup,
        own_network: !pod.host_network,
        started_ms: pod.started_ms,
        containers: pod.containers.into_iter().map(container).collect(),
    }
}

/// The servers, each of which takes a node's samples over the node's own connection: any of them can then be asked.
struct ToServers {
    remote: Arc<Remote>,
    path: String,
}

#[async_trait]
impl Uplink for ToServers {
    async fn send(&self, sample: Bytes) -> Result<(), UplinkError> {
        let sent = self.remote.put_everywhere(&self.path, SAMPLE_TYPE, sample).await;
        sent.map_err(|status| UplinkError(status.message))
    }
}

/// Samples what runs, and tells the server, until the process ends.
pub(crate) fn measure(meter: &Arc<Meter>, running: Running, remote: Arc<Remote>, settings: &Settings) -> Result<()> {
    let sampler = Sampler::new(&settings.data_dir).context("finding the control groups to measure")?;
    let interval = settings.insight.interval();
    let sampling = meter.clone();
    tokio::spawn(async move { sampling.run(&Runs(running), sampler, interval).await });
    let sending = meter.clone();
    let uplink = ToServers { remote, path: format!("/insight/nodes/{}", settings.node_name) };
    tokio::spawn(async move { push(&sending, &uplink).await });
    Ok(())
}

/// What the API answers of the cluster's use.
struct Measured(Arc<Insight>);

/// Lets the API answer `metrics.k8s.io` and queries from what nodes send.
pub(crate) fn install(settings: &Settings, backend: &Backend) -> Result<()> {
    let options = ::insight::server::Options {
        history: settings.data_dir.join("insight/history"),
        history_bytes_max: settings.insight.history_bytes(),
        remote_write: settings.insight.remote_write.clone().map(remote_write),
    };
    backend.show_metrics(Box::new(|out| out.push_str(&::insight::process::page())));
    let insight = Insight::start(options).context("starting to keep what nodes measure")?;
    backend.install_measurements(Arc::new(Measured(insight))).map_err(|_| anyhow!("measurements are installed once"))
}

fn remote_write(own: RemoteWrite) -> ::insight::remote_write::Options {
    let RemoteWrite { url, bearer_token_file, ca_file } = own;
    ::insight::remote_write::Options { url, bearer_token_file, ca_file }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[async_trait]
impl Measurements for Measured {
    fn nodes(&self) -> Vec<NodeMetrics> {
        self.0.latest.nodes(now_ms()).into_iter().map(node_metrics).collect()
    }

    fn pods(&self, namespace: &str) -> Vec<PodMetrics> {
        let mut pods = Vec::new();
        self.0.latest.pods(namespace, now_ms(), |pod| pods.push(pod_metrics(pod)));
        pods
    }

    fn take(&self, node: &str, sample: Bytes) -> Result<(), String> {
        let sample = NodeSample::decode(&sample).map_err(|error| error.to_string())?;
        if sample.node != node {
            return Err(format!("the sample is of node {:?}", sample.node));
        }
        self.0.take(sample, now_ms());
        Ok(())
    }

    async fn ask(&self, question: Question) -> (u16, Bytes) {
        let sight = match question.visible {
            Visible::Everything => Sight::Everything,
            Visible::Namespaces { namespaces, nodes } => Sight::Some { namespaces, nodes },
        };
        let (code, body) = self.0.ask(question.path, question.parameters, sight, now_ms()).await;
        (code, body.into())
    }
}

fn time(milliseconds: i64) -> Time {
    // Whole seconds, as the API has them.
    Time(Timestamp::from_second(milliseconds.div_euclid(1000)).unwrap_or_default())
}

fn node_metrics(node: NodeUse) -> NodeMetrics {
    NodeMetrics {
        metadata: ObjectMeta { name: Some(node.name), ..ObjectMeta::default() },
        timestamp: time(node.time_ms),
        window: window(node.window_ms),
        usage: usage(node.cpu_nano_cores, node.memory_bytes),
    }
}

fn pod_metrics(pod: PodUse) -> PodMetrics {
    let container =
        |own: ContainerUse| ContainerMetrics { name: own.name, usage: usage(own.cpu_nano_cores, own.memory_bytes) };
    PodMetrics {
        metadata: ObjectMeta {
            name: Some(pod.name),
            namespace: Some(pod.namespace),
            uid: Some(pod.uid),
            ..ObjectMeta::default()
        },
        timestamp: time(pod.time_ms),
        window: window(pod.window_ms),
        containers: pod.containers.into_iter().map(container).collect(),
    }
}
