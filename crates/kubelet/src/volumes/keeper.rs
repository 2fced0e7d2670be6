//! Sets a pod's volumes up, and afterwards writes their files anew whenever an object, the pod or a token changes.
//!
//! Invariants: one task per pod, which ends when its handle is dropped; a failure to refresh keeps the old files and
//! is tried again; bursts of changes are one write.

use super::payload::{self, Sources};
use super::tokens::Tokens;
use super::{Failure, make, write_files};
use crate::context::Context;
use crate::environment::field_ref::Addresses;
use crate::objects::{Namespace, Wanted};
use crate::pod;
use crate::worker::Desired;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long to wait before a refresh that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Keeps the volumes current for as long as it is held.
pub(crate) struct Keeper {
    task: JoinHandle<()>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The volumes of one pod.
pub(crate) struct Volumes {
    context: Arc<Context>,
    namespace: Arc<Namespace>,
    tokens: Tokens,
    wanted: Wanted,
}

impl Volumes {
    /// Makes all of a pod's volumes.
    pub(crate) async fn set_up(context: &Arc<Context>, pod: &Arc<Pod>, pod_ips: &[String]) -> Result<Volumes, Failure> {
        let (dirs, made) = (context.dirs.clone(), pod.clone());
        blocking(move || make(&dirs, &made)).await?;
        let mut volumes = Volumes {
            context: context.clone(),
            namespace: context.namespaces.get(pod::namespace(pod)),
            tokens: Tokens::default(),
            wanted: Wanted::by_volumes(pod),
        };
        volumes.write(pod, pod_ips).await?;
        Ok(volumes)
    }

    async fn write(&mut self, pod: &Arc<Pod>, pod_ips: &[String]) -> Result<(), Failure> {
        let spec = pod::spec(pod);
        let context = &self.context;
        let first_projected = spec.volumes.iter().flatten().find(|volume| volume.projected.is_some());
        if let Some(volume) = first_projected {
            let refreshed = self.tokens.refresh(&context.client, pod, Timestamp::now()).await;
            refreshed.map_err(|status| Failure::of(volume, format!("failed to fetch token: {status}")))?;
        }
        let mut files = Vec::new();
        for volume in spec.volumes.iter().flatten() {
            let objects = self.namespace.states(&Wanted::by_volume(volume)).await;
            let objects = objects.map_err(|message| Failure::of(volume, message))?;
            let addresses = Addresses { host_ips: context.facts.host_ips.clone(), pod_ips: pod_ips.to_vec() };
            let sources = Sources {
                pod,
                objects: &objects,
                addresses: &addresses,
                node: &context.machine.allocatable,
                tokens: &self.tokens,
            };
            let payload = payload::of_volume(volume, &sources).map_err(|message| Failure::of(volume, message))?;
            files.extend(payload.map(|payload| (volume.clone(), payload)));
        }
        let (dirs, pod) = (context.dirs.clone(), pod.clone());
        blocking(move || write_files(&dirs, &pod, &files, Timestamp::now())).await
    }

    /// Goes on in a task of its own; `None` where nothing can change.
    pub(crate) fn keep(self, pods: watch::Receiver<Desired>, pod_ips: Vec<String>) -> Option<Keeper> {
        let spec_pod = pods.borrow().pod.clone();
        let has_files = |volume: &k8s_openapi::api::core::v1::Volume| {
            volume.projected.is_some()
                || volume.config_map.is_some()
                || volume.secret.is_some()
                || volume.downward_api.is_some()
        };
        if !pod::spec(&spec_pod).volumes.iter().flatten().any(has_files) {
            return None;
        }
        Some(Keeper { task: tokio::spawn(self.run(pods, pod_ips)) })
    }

    async fn run(mut self, mut pods: watch::Receiver<Desired>, pod_ips: Vec<String>) {
        let mut changes = self.namespace.changes(&self.wanted);
        changes.skip();
        let mut failed = false;
        let mut written = pods.borrow_and_update().pod.clone();
        loop {
            let due = self.tokens.refresh_at().map(time_until);
            let wait = if failed { Some(due.unwrap_or(RETRY).min(RETRY)) } else { due };
            tokio::select! {
                () = changes.next() => {}
                changed = pods.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if shown(&pods.borrow().pod) == shown(&written) {
                        continue;
                    }
                }
                () = sleep_or_never(wait) => {}
            }
            changes.skip();
            let pod = pods.borrow_and_update().pod.clone();
            written = pod.clone();
            failed = match self.write(&pod, &pod_ips).await {
                Ok(()) => false,
                Err(failure) => {
                    tracing::warn!(pod = %pod::described(&pod), %failure, "volumes were not refreshed");
                    true
                }
            };
        }
    }
}

async fn sleep_or_never(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Zero for what is past.
fn time_until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
}

/// What downward API files show: of the pod's updates only a change of these is news.
fn shown(pod: &Pod) -> (Option<&BTreeMap<String, String>>, Option<&BTreeMap<String, String>>) {
    (pod.metadata.labels.as_ref(), pod.metadata.annotations.as_ref())
}

/// Runs file work off the async threads. A panic there is a failure like another.
async fn blocking(work: impl FnOnce() -> Result<(), Failure> + Send + 'static) -> Result<(), Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure { volume: String::new(), message: format!("the worker thread failed: {error}") }),
    }
}
