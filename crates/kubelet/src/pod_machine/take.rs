//! Writes what an event says into the state. Decisions are made elsewhere, from the state.

use super::effect::{Effect, Note};
use super::event::{Event, PullFailure};
use super::observe;
use super::probes::{Outcome, ProbeKind, Probes};
use super::start;
use super::state::{Exit, Instance, Name, PodState, Run, Sandbox, Setup, Stage, Step, Verdict, Waiting};
use crate::pod::{self, containers};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

pub(super) fn event(state: &mut PodState, event: Event, now: Timestamp, out: &mut Vec<Effect>) {
    match event {
        Event::Updated(pod) => updated(state, pod, now),
        Event::Removed => state.removed = true,
        Event::Observed(observation) => observe::take(state, observation, now),
        Event::VolumesReady => state.volumes = Setup::Done,
        Event::VolumesFailed => state.volumes.fail(now),
        Event::SandboxCreated { id, ips } => {
            state.sandbox_attempt += 1;
            state.pod_ips = ips;
            state.sandbox = Sandbox::Ready { id };
        }
        Event::SandboxFailed(message) => sandbox_failed(state, &message, now, out),
        Event::SandboxStopped => sandbox_stopped(state),
        Event::SandboxStopFailed => sandbox_stop_failed(state, now),
        Event::ImageReady { container } => image_ready(state, &container, now, out),
        Event::ImageFailed { container, reason, message } => {
            image_failed(state, &container, reason, message, now, out);
        }
        Event::Started { container, id, started_at, image, image_id } => {
            let instance = Instance { id, hash: String::new(), started_at, hook_done: false, stop: None };
            started(state, &container, instance, (image, image_id), out);
        }
        Event::StartFailed { container, reason, message, ended } => {
            start_failed(state, &container, reason, message, ended, now, out);
        }
        Event::PostStartDone { container, id, result } => post_start_done(state, &container, &id, result, now, out),
        Event::StopFailed { container, id } => stop_failed(state, &container, &id, now),
        Event::Probed { container, id, kind, outcome } => probed(state, &container, &id, kind, &outcome, now, out),
        Event::Refused { reason, message } => state.verdict = Some(Verdict { reason, message, refused: true }),
        Event::Evicted { message } => {
            state.verdict.get_or_insert(Verdict { reason: "Evicted".into(), message, refused: false });
        }
        Event::CleanedUp | Event::CleanUpFailed | Event::Forgotten | Event::ForgetFailed => {
            cleaned(state, &event, now);
        }
        Event::Timer => {}
    }
}

fn updated(state: &mut PodState, pod: Arc<Pod>, now: Timestamp) {
    state.pod = pod;
    state.follow_spec();
    let grace = SignedDuration::from_secs(pod::grace_seconds(&state.pod));
    if let Stage::Ending(ending) = &mut state.stage {
        // A second, more impatient delete.
        let sooner = now + grace;
        if sooner < ending.deadline() {
            ending.grace = sooner.duration_since(ending.since);
        }
    }
}

fn cleaned(state: &mut PodState, event: &Event, now: Timestamp) {
    let Stage::Ended(cleaning) = &mut state.stage else { return };
    match event {
        Event::CleanedUp => cleaning.clean_up = Setup::Done,
        Event::CleanUpFailed => cleaning.clean_up.fail(now),
        Event::Forgotten => cleaning.forget = Setup::Done,
        _ => cleaning.forget.fail(now),
    }
}

fn sandbox_failed(state: &mut PodState, message: &str, now: Timestamp, out: &mut Vec<Effect>) {
    let Sandbox::Creating(retry) = &state.sandbox else { return };
    let mut retry = retry.clone();
    retry.fail(now);
    state.sandbox = Sandbox::None(retry);
    let text = format!("Failed to create pod sandbox: {message}");
    out.push(Effect::Record(Note::warning("FailedCreatePodSandBox", text)));
}

fn sandbox_stopped(state: &mut PodState) {
    state.sandbox = Sandbox::None(Default::default());
    state.initialized = false;
    for container in &mut state.containers {
        container.redo = container.run != Run::Never;
    }
}

fn sandbox_stop_failed(state: &mut PodState, now: Timestamp) {
    let Sandbox::Stopping { id, retry } = &state.sandbox else { return };
    let mut retry = retry.clone();
    retry.fail(now);
    state.sandbox = Sandbox::Lost { id: id.clone(), retry };
}

fn image_ready(state: &mut PodState, name: &Name, now: Timestamp, out: &mut Vec<Effect>) {
    let sandbox = state.sandbox.ready_id().map(str::to_owned);
    let syncing = state.stage == Stage::Syncing;
    let Some(container) = state.container_mut(name).filter(|container| container.step == Step::Pulling) else { return };
    container.step = Step::Idle;
    container.pull = Default::default();
    // Without a sandbox to start it in, it is asked for again when there is one.
    let Some(sandbox) = sandbox.filter(|_| syncing) else { return };
    container.step = Step::Starting;
    if let Run::Exited(exit) = &container.run {
        container.crash.advance(exit.finished_at, now);
    }
    let attempt = container.next_attempt();
    out.push(Effect::StartContainer { container: name.clone(), attempt, sandbox });
}

fn image_failed(
    state: &mut PodState,
    name: &Name,
    reason: PullFailure,
    message: String,
    now: Timestamp,
    out: &mut Vec<Effect>,
) {
    let Some(container) = state.container_mut(name).filter(|container| container.step == Step::Pulling) else { return };
    container.step = Step::Idle;
    container.pull.fail(now);
    container.waiting = Some(Waiting { reason: reason.reason().to_owned(), message });
    out.push(Effect::Record(Note::warning("Failed", format!("Error: {}", reason.reason())).about(name)));
}

fn started(
    state: &mut PodState,
    name: &Name,
    mut instance: Instance,
    (image, image_id): (String, String),
    out: &mut Vec<Effect>,
) {
    let pod = state.pod.clone();
    let syncing = state.stage == Stage::Syncing;
    let Some((role, spec)) = containers::find(&pod, name) else { return };
    let Some(container) = state.container_mut(name) else { return };
    let has_hook = spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some());
    instance.hook_done = !has_hook || !syncing;
    instance.hash = containers::hash(&spec);
    if !instance.hook_done {
        out.push(Effect::PostStart { container: name.clone(), id: instance.id.clone() });
    }
    let started_at = instance.started_at;
    container.begin(Run::Running(instance));
    container.step = Step::Idle;
    container.probes = Probes::begin(&spec, started_at);
    (container.image, container.image_id) = (image, image_id);
    state.initialized |= role == containers::Role::Main;
}

fn start_failed(
    state: &mut PodState,
    name: &Name,
    reason: &'static str,
    message: String,
    ended: Option<Exit>,
    now: Timestamp,
    out: &mut Vec<Effect>,
) {
    let Some(container) = state.container_mut(name) else { return };
    container.step = Step::Idle;
    match ended {
        Some(exit) => container.begin(Run::Exited(exit)),
        None => container.retry.fail(now),
    }
    out.push(Effect::Record(Note::warning("Failed", format!("Error: {message}")).about(name)));
    container.waiting = Some(Waiting { reason: reason.to_owned(), message });
}

fn post_start_done(
    state: &mut PodState,
    name: &Name,
    id: &str,
    result: Result<(), String>,
    now: Timestamp,
    out: &mut Vec<Effect>,
) {
    let Some(index) = state.containers.iter().position(|container| container.name == *name) else { return };
    let Some(instance) = state.containers[index].instance_mut(id) else { return };
    match result {
        Ok(()) => instance.hook_done = true,
        Err(message) => {
            let text = "PostStartHook failed";
            out.push(Effect::Record(Note::warning("FailedPostStartHook", text).about(name)));
            out.push(Effect::Record(Note::normal("Killing", "FailedPostStartHook").about(name)));
            state.containers[index].waiting = Some(Waiting { reason: "PostStartHookError".into(), message });
            start::stop(state, index, pod::grace_seconds(&state.pod), now, out);
        }
    }
}

fn stop_failed(state: &mut PodState, name: &Name, id: &str, now: Timestamp) {
    let instance = state.container_mut(name).and_then(|container| container.instance_mut(id));
    if let Some(stop) = instance.and_then(|instance| instance.stop.as_mut()) {
        stop.in_flight = false;
        stop.retry.fail(now);
    }
}

fn probed(
    state: &mut PodState,
    name: &Name,
    id: &str,
    kind: ProbeKind,
    outcome: &Outcome,
    now: Timestamp,
    out: &mut Vec<Effect>,
) {
    let pod = state.pod.clone();
    let Some(index) = state.containers.iter().position(|container| container.name == *name) else { return };
    let Some((role, spec)) = containers::find(&pod, name) else { return };
    let container = &mut state.containers[index];
    if container.instance_mut(id).is_none() {
        return;
    }
    let kill = container.probes.take(kind, outcome, now);
    let title = kind.title();
    match outcome {
        Outcome::Success => {}
        Outcome::Failure(why) => {
            out.push(Effect::Record(Note::warning("Unhealthy", format!("{title} probe failed: {why}")).about(name)));
        }
        Outcome::Error(why) => {
            let text = format!("{title} probe errored and resulted in unknown state: {why}");
            out.push(Effect::Record(Note::warning("Unhealthy", text).about(name)));
        }
    }
    let stopping = container.instance().is_some_and(|instance| instance.stop.is_some());
    if kill && !stopping && state.stage == Stage::Syncing {
        let restarts = crate::pod::restart::should_restart(&pod, role, &spec, 137);
        let after = if restarts { ", will be restarted" } else { "" };
        let text = format!("Container {name} failed {} probe{after}", title.to_lowercase());
        out.push(Effect::Record(Note::normal("Killing", text).about(name)));
        let own = kind.of(&spec).and_then(|probe| probe.termination_grace_period_seconds);
        start::stop(state, index, own.unwrap_or_else(|| pod::grace_seconds(&pod)), now, out);
    }
}
