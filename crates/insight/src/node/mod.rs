//! The node's side: samples what runs here, answers the kubelet's pages, and gives each sample to whoever carries it.
//!
//! Invariants: reading a counter never changes what it counts, and what cannot be read is absent; a container that ends
//! while it is sampled is left out. Bound: the two latest samples, and the files that `group` keeps open.

mod group;
mod host;
mod layer;
mod network;
mod pages;
mod push;
mod sampler;
mod text;

pub use push::{Uplink, UplinkError, push};
pub use sampler::Sampler;

use crate::sample::NodeSample;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// A pod that runs here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTarget {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Its control group, an absolute path; those of its containers lie in it under their ids.
    pub cgroup: String,
    /// Whether its network is its own rather than the node's.
    pub own_network: bool,
    pub started_ms: i64,
    pub containers: Vec<ContainerTarget>,
}

/// A container that runs in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerTarget {
    pub name: String,
    pub id: String,
    pub image: String,
    pub started_ms: i64,
    pub restarts: u64,
    /// The instance before this one was killed for want of memory: its own count went with it.
    pub oom_killed_before: bool,
    pub log: PathBuf,
}

/// Tells what runs.
#[async_trait]
pub trait Targets: Send + Sync {
    async fn pods(&self) -> Vec<PodTarget>;
}

/// The pages by which a kubelet tells of usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/stats/summary`: JSON.
    Summary,
    /// `/metrics/resource`: Prometheus' text.
    Resource,
    /// `/metrics/cadvisor`: Prometheus' text.
    Cadvisor,
}

/// The latest sample, what it is of, and the sample before it.
#[derive(Clone, Debug, Default)]
pub struct Published {
    pub(crate) targets: Arc<Vec<PodTarget>>,
    pub sample: Arc<NodeSample>,
    pub(crate) before: Option<Arc<NodeSample>>,
}

/// Measures this node.
pub struct Meter {
    node: String,
    published: watch::Sender<Published>,
}

impl Meter {
    pub fn new(node: &str) -> Meter {
        let sample = NodeSample { node: node.to_owned(), ..NodeSample::default() };
        let first = Published { sample: Arc::new(sample), ..Published::default() };
        Meter { node: node.to_owned(), published: watch::channel(first).0 }
    }

    /// Samples at once and then every `interval`, for as long as it is polled.
    pub async fn run(&self, targets: &dyn Targets, mut sampler: Sampler, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (node, pods) = (self.node.clone(), targets.pods().await);
            // Some files per container: off the async threads.
            let sampled = tokio::task::spawn_blocking(move || {
                let now = jiff::Timestamp::now().as_millisecond();
                let sample = sampler.sample(&node, &pods, now);
                (sampler, pods, sample)
            });
            let (back, pods, sample) = match sampled.await {
                Ok(done) => done,
                Err(error) => return tracing::error!(%error, "sampling failed"),
            };
            sampler = back;
            self.publish(pods, sample);
        }
    }

    fn publish(&self, pods: Vec<PodTarget>, sample: NodeSample) {
        self.published.send_modify(|published| {
            let before = (published.sample.time_ms > 0).then(|| published.sample.clone());
            *published = Published { targets: Arc::new(pods), sample: Arc::new(sample), before };
        });
    }

    /// Each sample as it is made.
    pub fn samples(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    pub fn page(&self, page: Page) -> String {
        let published = self.published.borrow().clone();
        match page {
            Page::Summary => pages::summary(&published),
            Page::Resource => pages::resource(&published),
            Page::Cadvisor => pages::cadvisor(&published),
        }
    }
}
