//! Ends a pod: main containers first and at once, sidecars after them in reverse order, the sandbox last.

use super::effect::{Effect, Note};
use super::start;
use super::state::{Cleaning, Ending, PodState, Sandbox, Stage, Step};
use super::sync::probe;
use crate::pod::containers::Role;
use jiff::{SignedDuration, Timestamp};

/// The least that a sidecar gets whose turn comes when the grace is used up, as upstream.
const GRACE_SECONDS_MIN: i64 = 2;

pub(super) fn run(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    let Stage::Ending(ending) = state.stage.clone() else { return };
    for container in &mut state.containers {
        // A pull's late result finds no step to continue.
        if container.step == Step::Pulling {
            container.step = Step::Idle;
        }
    }
    stop_containers(state, &ending, now, out);
    let busy =
        |container: &super::state::ContainerState| container.instance().is_some() || container.step == Step::Starting;
    if state.containers.iter().any(busy) {
        probe(state, true, now, out);
        return;
    }
    stop_sandbox(state, now, out);
    if matches!(state.sandbox, Sandbox::None(_)) {
        state.stage = Stage::Ended(Cleaning::default());
    }
}

fn stop_containers(state: &mut PodState, ending: &Ending, now: Timestamp, out: &mut Vec<Effect>) {
    let is_sidecar = |state: &PodState, index: usize| state.containers[index].role == Role::Sidecar;
    let mut others_run = false;
    for index in 0..state.containers.len() {
        if is_sidecar(state, index) {
            continue;
        }
        stop(state, index, ending, now, out);
        let container = &state.containers[index];
        others_run |= container.instance().is_some() || container.step == Step::Starting;
    }
    let late = ending.deadline() <= now;
    if others_run && !late {
        state.wake_at(ending.deadline());
        return;
    }
    for index in (0..state.containers.len()).rev() {
        if is_sidecar(state, index) && state.containers[index].instance().is_some() {
            stop(state, index, ending, now, out);
            if !late {
                state.wake_at(ending.deadline());
                return;
            }
        }
    }
}

fn stop(state: &mut PodState, index: usize, ending: &Ending, now: Timestamp, out: &mut Vec<Effect>) {
    let name = state.containers[index].name.clone();
    let Some(instance) = state.containers[index].instance() else { return };
    let left = ending.deadline().duration_since(now).as_secs();
    let least = GRACE_SECONDS_MIN.min(ending.grace.as_secs());
    match &instance.stop {
        None => {
            out.push(Effect::Record(Note::normal("Killing", format!("Stopping container {name}")).about(&name)));
            start::stop(state, index, left.max(least), now, out);
        }
        // Shortened since; the slack is what a container gets that is stopped at the very end.
        Some(stop) if left > 0 && stop.deadline > ending.deadline() + SignedDuration::from_secs(GRACE_SECONDS_MIN) => {
            start::stop(state, index, left.max(least), now, out);
        }
        Some(_) => start::resume_stop(state, index, now, out),
    }
}

fn stop_sandbox(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    let (id, retry) = match state.sandbox.clone() {
        Sandbox::Ready { id } => (id, Default::default()),
        Sandbox::Lost { id, retry } => (id, retry),
        Sandbox::None(_) | Sandbox::Creating(_) | Sandbox::Stopping { .. } => return,
    };
    if let Some(at) = retry.until(now) {
        state.wake_at(at);
        return;
    }
    out.push(Effect::StopSandbox { id: id.clone() });
    state.sandbox = Sandbox::Stopping { id, retry };
}
