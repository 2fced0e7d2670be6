//! The pod's phase, from its containers.

use super::super::state::{ContainerState, PodState, Run, Stage};
use crate::pod;
use crate::pod::containers::{Role, find};
use crate::pod::restart::should_restart;

pub(super) fn of(state: &PodState) -> &'static str {
    match pod::status(&state.pod).phase.as_deref() {
        // An end is final, whoever declared it.
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    let ended = matches!(state.stage, Stage::Ended(_));
    if ended && state.verdict.is_some() {
        return "Failed";
    }
    let mains = || state.containers.iter().filter(|container| container.role == Role::Main);
    let all_succeeded = mains().all(|container| container.exit().is_some_and(|exit| exit.code == 0));
    if ended {
        return if all_succeeded { "Succeeded" } else { "Failed" };
    }
    if !has_initialized(state) {
        return "Pending";
    }
    let never_ran = |container: &ContainerState| container.run == Run::Never && container.restarts == 0;
    if mains().any(|container| never_ran(container) || is_in_hook(container)) {
        return "Pending";
    }
    // Everything ended for good, but the end of the pod (its sidecars, its sandbox) is not over yet.
    "Running"
}

/// Before its postStart hook has ended, a first instance does not count as running.
fn is_in_hook(container: &ContainerState) -> bool {
    container.restarts == 0
        && container.instance().is_some_and(|instance| !instance.hook_done && instance.stop.is_none())
}

/// Whether no init container is outstanding, and every sidecar has started once.
fn has_initialized(state: &PodState) -> bool {
    state.initialized
        || state.containers.iter().all(|container| match container.role {
            Role::Init => container.exit().is_some_and(|exit| exit.code == 0) || failed_for_good(state, container),
            Role::Sidecar => container.is_started(),
            Role::Main | Role::Ephemeral => true,
        })
}

fn failed_for_good(state: &PodState, container: &ContainerState) -> bool {
    let Some(exit) = container.exit().filter(|exit| exit.code != 0) else { return false };
    find(&state.pod, &container.name).is_some_and(|(role, spec)| !should_restart(&state.pod, role, &spec, exit.code))
}
