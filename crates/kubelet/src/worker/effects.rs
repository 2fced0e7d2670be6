//! Carries out one effect and answers with its event.

use super::{Outcome, cleanup, sandbox, start, stop};
use crate::actions::{hook, probe};
use crate::context::Context;
use crate::images;
use crate::pod;
use crate::pod::containers::find;
use crate::pod_machine::{Effect, Event, Name, Note, Outcome as ProbeOutcome, PodState, ProbeKind};
use crate::volumes::keeper::Volumes;
use cri::v1::RemoveContainerRequest;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::Instant;

/// What an effect needs of the pod's state as it was when the effect was decided.
pub(super) struct Snapshot {
    pub(super) context: Arc<Context>,
    pub(super) pod: Arc<Pod>,
    pub(super) pod_ips: Vec<String>,
    /// The attempt of the present sandbox.
    pub(super) sandbox_attempt: u32,
    /// Running containers by name.
    pub(super) running: Vec<(Name, String)>,
}

impl Snapshot {
    pub(super) fn of(context: &Arc<Context>, state: &PodState) -> Snapshot {
        let running = state.containers.iter();
        let running = running.filter_map(|container| Some((container.name.clone(), container.instance()?.id.clone())));
        Snapshot {
            context: context.clone(),
            pod: state.pod.clone(),
            pod_ips: state.pod_ips.clone(),
            sandbox_attempt: state.sandbox_attempt.saturating_sub(1),
            running: running.collect(),
        }
    }

    /// Where the pod's ports are reached from the node.
    pub(super) fn address(&self) -> String {
        let ips = if pod::is_host_network(&self.pod) { &self.context.facts.host_ips } else { &self.pod_ips };
        ips.first().cloned().unwrap_or_default()
    }

    pub(super) fn record(&self, note: &Note) {
        self.context.record(&self.pod, note);
    }
}

pub(super) async fn perform(snapshot: Snapshot, effect: Effect) -> Outcome {
    match effect {
        Effect::SetUpVolumes => set_up_volumes(&snapshot).await,
        Effect::CreateSandbox { attempt } => sandbox::create(&snapshot, attempt).await.into(),
        Effect::StopSandbox { id } => sandbox::stop(&snapshot, &id).await,
        Effect::EnsureImage { container } => ensure_image(&snapshot, container).await.into(),
        Effect::StartContainer { container, attempt, sandbox } => {
            start::start(&snapshot, &container, attempt, &sandbox).await.into()
        }
        Effect::PostStart { container, id } => post_start(&snapshot, container, id).await.into(),
        Effect::StopContainer { container, id, grace_seconds, hook } => {
            stop::stop(&snapshot, &container, &id, grace_seconds, hook).await.into()
        }
        Effect::Probe { container, id, kind } => run_probe(&snapshot, container, id, kind).await.into(),
        Effect::RemoveContainers { ids } => {
            remove_containers(&snapshot, ids).await;
            Outcome::default()
        }
        Effect::CleanUp => cleanup::clean_up(&snapshot).await.into(),
        Effect::Forget => cleanup::forget(&snapshot).await.into(),
        // The worker does these itself, as they touch what it owns.
        Effect::WriteStatus(_) | Effect::DeleteObject | Effect::Record(_) | Effect::Finish => Outcome::default(),
    }
}

async fn set_up_volumes(snapshot: &Snapshot) -> Outcome {
    match Volumes::set_up(&snapshot.context, &snapshot.pod, &snapshot.pod_ips).await {
        Ok(volumes) => Outcome { events: vec![Event::VolumesReady], volumes: Some(volumes) },
        Err(failure) => {
            snapshot.record(&Note::warning("FailedMount", failure.to_string()));
            Event::VolumesFailed.into()
        }
    }
}

async fn ensure_image(snapshot: &Snapshot, container: Name) -> Event {
    let Some((_, spec)) = find(&snapshot.pod, &container) else { return Event::Timer };
    match images::ensure(&snapshot.context, &snapshot.pod, &spec).await {
        Ok(()) => Event::ImageReady { container },
        Err(failure) => Event::ImageFailed { container, reason: failure.reason, message: failure.message },
    }
}

async fn post_start(snapshot: &Snapshot, container: Name, id: String) -> Event {
    let spec = find(&snapshot.pod, &container).map(|(_, spec)| spec.into_owned()).unwrap_or_default();
    let handler = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
    let result = match handler {
        Some(handler) => {
            let runtime = snapshot.context.runtime.as_ref();
            hook::run(runtime, handler, &snapshot.pod, &spec, &id, &snapshot.address()).await
        }
        None => Ok(()),
    };
    Event::PostStartDone { container, id, result }
}

async fn run_probe(snapshot: &Snapshot, container: Name, id: String, kind: ProbeKind) -> Event {
    let spec = find(&snapshot.pod, &container).map(|(_, spec)| spec.into_owned()).unwrap_or_default();
    let outcome = match kind.of(&spec) {
        Some(probe) => {
            let (context, begun) = (&snapshot.context, Instant::now());
            let outcome = probe::run(context.runtime.as_ref(), probe, &spec, &id, &snapshot.address()).await;
            context.probes.count(&snapshot.pod, &container, kind, &outcome, begun.elapsed());
            outcome
        }
        None => ProbeOutcome::Success,
    };
    Event::Probed { container, id, kind, outcome }
}

/// One that cannot be removed now is removed with its sandbox.
async fn remove_containers(snapshot: &Snapshot, ids: Vec<String>) {
    for container_id in ids {
        if let Err(status) = snapshot.context.runtime.remove_container(RemoveContainerRequest { container_id }).await {
            tracing::debug!(pod = %pod::described(&snapshot.pod), %status, "a dead container was not removed");
        }
    }
    if let Some(archive) = &snapshot.context.archive {
        archive.look();
    }
}
