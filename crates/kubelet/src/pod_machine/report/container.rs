//! One container's status.

use super::super::state::{ContainerState, Exit, PodState, Run, Stage, Waiting};
use super::conditions::is_ready;
use super::time;
use crate::pod::containers::{Role, find};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::{Container, ContainerStatus};

pub(super) fn status(state: &PodState, container: &ContainerState) -> ContainerStatus {
    let spec = find(&state.pod, &container.name).map(|(_, spec)| spec.into_owned()).unwrap_or_default();
    let id = match &container.run {
        Run::Never => None,
        Run::Running(instance) => Some(&instance.id),
        Run::Exited(exit) => Some(&exit.id),
    };
    let (now, last) = states(state, container);
    ContainerStatus {
        name: container.name.to_string(),
        image: Some(container.image.clone()).filter(|image| !image.is_empty()).unwrap_or_else(|| image_of(&spec)),
        image_id: container.image_id.clone(),
        container_id: id.map(|id| full_id(state, id)),
        ready: is_ready(container),
        started: Some(container.is_started()),
        restart_count: i32::try_from(container.restarts).unwrap_or(i32::MAX),
        state: Some(now),
        last_state: Some(last.unwrap_or_default()),
        allocated_resources: spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
        resources: container.instance().and(spec.resources.clone()),
        volume_mounts: mounts(&spec),
        ..ContainerStatus::default()
    }
}

fn image_of(spec: &Container) -> String {
    spec.image.clone().unwrap_or_default()
}

fn full_id(state: &PodState, id: &str) -> String {
    format!("{}://{id}", state.facts.runtime_name)
}

/// The present state and the one before. A container that waits to be started again shows its end as the last state.
fn states(state: &PodState, container: &ContainerState) -> (core::ContainerState, Option<core::ContainerState>) {
    let before = container.last.as_ref().map(|exit| terminated(state, exit));
    let ended = matches!(state.stage, Stage::Ended(_));
    let waits = container.waiting.as_ref().filter(|_| state.stage == Stage::Syncing);
    match (&container.run, waits) {
        // Behind an init container that failed nothing began, and nothing is unknown.
        (Run::Never, _) if ended && any_began(state) => {
            (terminated(state, &Exit::unknown("", state.start_time)), before)
        }
        (Run::Running(instance), _) if instance.hook_done => {
            let running = core::ContainerStateRunning { started_at: Some(time(instance.started_at)) };
            (core::ContainerState { running: Some(running), ..Default::default() }, before)
        }
        (Run::Exited(exit), Some(reason)) => (waiting(reason.clone()), Some(terminated(state, exit))),
        (Run::Exited(exit), None) => (terminated(state, exit), before),
        (Run::Running(_) | Run::Never, reason) => {
            (waiting(reason.cloned().unwrap_or_else(|| default_reason(state))), before)
        }
    }
}

/// Whether the pod ever came to its own containers.
fn any_began(state: &PodState) -> bool {
    let own = state.containers.iter().filter(|container| !matches!(container.role, Role::Init | Role::Sidecar));
    own.into_iter().any(|container| !matches!(container.run, Run::Never))
}

fn default_reason(state: &PodState) -> Waiting {
    let has_init = state.containers.iter().any(|container| matches!(container.role, Role::Init | Role::Sidecar));
    let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
    Waiting { reason: reason.to_owned(), message: String::new() }
}

fn waiting(from: Waiting) -> core::ContainerState {
    let message = Some(from.message).filter(|message| !message.is_empty());
    let waiting = core::ContainerStateWaiting { reason: Some(from.reason), message };
    core::ContainerState { waiting: Some(waiting), ..Default::default() }
}

fn terminated(state: &PodState, exit: &Exit) -> core::ContainerState {
    let default_reason = if exit.code == 0 { "Completed" } else { "Error" };
    let reason = if exit.reason.is_empty() { default_reason } else { &exit.reason };
    let terminated = core::ContainerStateTerminated {
        container_id: Some(full_id(state, &exit.id)).filter(|_| !exit.id.is_empty()),
        exit_code: exit.code,
        reason: Some(reason.to_owned()),
        message: Some(exit.message.clone()).filter(|message| !message.is_empty()),
        started_at: exit.started_at.map(time),
        finished_at: Some(time(exit.finished_at)).filter(|_| !exit.id.is_empty()),
        signal: None,
    };
    core::ContainerState { terminated: Some(terminated), ..Default::default() }
}

fn mounts(spec: &Container) -> Option<Vec<core::VolumeMountStatus>> {
    let mounts = spec.volume_mounts.as_ref()?.iter().map(|mount| core::VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only,
        // The runtime does not make what is mounted below read-only too.
        recursive_read_only: mount.read_only.filter(|read_only| *read_only).map(|_| "Disabled".to_owned()),
        ..Default::default()
    });
    Some(mounts.collect())
}
