//! What runs here, for whoever measures it, and what they answer of it.
//!
//! The kubelet does not measure: it says which control groups are whose, and serves the pages that come of it.

use crate::context::Context;
use crate::pod::{self, containers};
use crate::router::{PodView, Pods};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use std::path::PathBuf;
use std::sync::Arc;

/// The pages of the node's server that tell of usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsagePage {
    /// `/stats/summary`: JSON.
    Summary,
    /// `/metrics/resource`: Prometheus' text.
    Resource,
    /// `/metrics/cadvisor`: Prometheus' text.
    Cadvisor,
}

/// Measures what the node's pods use. Asked for each reader: it answers from what it has.
pub trait Usage: Send + Sync {
    fn page(&self, page: UsagePage) -> String;
    /// What the kubelet's own process uses, in Prometheus' text.
    fn process(&self) -> String;
}

/// A pod with a sandbox.
#[derive(Clone, Debug)]
pub struct RunningPod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// An absolute path; its containers' lie in it under their ids.
    pub cgroup: String,
    pub host_network: bool,
    /// Milliseconds since 1970; 0 where it is not known.
    pub started_ms: i64,
    pub containers: Vec<RunningContainer>,
}

#[derive(Clone, Debug)]
pub struct RunningContainer {
    pub name: String,
    pub id: String,
    pub image: String,
    /// Milliseconds since 1970; 0 where it is not known.
    pub started_ms: i64,
    pub restarts: u64,
    /// The instance before it was killed for want of memory.
    pub oom_killed_before: bool,
    pub log: PathBuf,
}

/// Tells what runs; cheap to clone.
#[derive(Clone)]
pub struct Running {
    pub(crate) context: Arc<Context>,
    pub(crate) pods: Pods,
}

impl Running {
    pub async fn pods(&self) -> Vec<RunningPod> {
        self.pods.all().await.iter().filter_map(|known| self.pod(known)).collect()
    }

    fn pod(&self, known: &PodView) -> Option<RunningPod> {
        let (pod, view) = (known.pod.as_ref(), known.view.borrow().clone());
        view.sandbox.as_ref()?;
        let status = view.status.as_ref();
        let running = view.instances.iter().filter(|instance| instance.running);
        let containers = running.map(|instance| {
            let told = status.and_then(|status| status_of(status, &instance.container));
            RunningContainer {
                name: instance.container.clone(),
                id: instance.id.clone(),
                image: image(pod, &instance.container),
                started_ms: told.and_then(started).unwrap_or(0),
                restarts: told.and_then(|told| u64::try_from(told.restart_count).ok()).unwrap_or(0),
                oom_killed_before: told.is_some_and(was_oom_killed),
                log: self.context.dirs.log_file(pod, &instance.container, instance.attempt),
            }
        });
        let begun = status.and_then(|status| status.start_time.as_ref());
        Some(RunningPod {
            namespace: pod::namespace(pod).to_owned(),
            name: pod::name(pod).to_owned(),
            uid: pod::uid(pod).to_owned(),
            cgroup: self.context.cgroups.of_pod(pod),
            host_network: pod::is_host_network(pod),
            started_ms: begun.map_or(0, |time| time.0.as_millisecond()),
            containers: containers.collect(),
        })
    }
}

fn image(pod: &Pod, container: &str) -> String {
    containers::find(pod, container).and_then(|(_, own)| own.image.clone()).unwrap_or_default()
}

fn status_of<'a>(status: &'a PodStatus, container: &str) -> Option<&'a ContainerStatus> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|own| own.name == container)
}

fn started(told: &ContainerStatus) -> Option<i64> {
    Some(told.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0.as_millisecond())
}

fn was_oom_killed(told: &ContainerStatus) -> bool {
    let ended = told.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled"))
}
