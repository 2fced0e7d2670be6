//! Keeps a pod as its spec says: volumes, sandbox, init containers in order, main containers, probes.

use super::effect::{Effect, Note};
use super::start;
use super::state::{Ending, PodState, Run, Sandbox, Stage, Step, Verdict};
use crate::pod;
use crate::pod::containers::{Role, find, hash};
use crate::pod::restart::should_restart;
use jiff::{SignedDuration, Timestamp};

pub(super) fn run(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    check_deadline(state, now, out);
    if must_end(state) || is_finished(state) {
        let grace = SignedDuration::from_secs(pod::grace_seconds(&state.pod));
        state.stage = Stage::Ending(Ending { since: now, grace, sandbox_retry: Default::default() });
        return;
    }
    set_up_volumes(state, now, out);
    keep_sandbox(state, now, out);
    for index in 0..state.containers.len() {
        replace_changed(state, index, now, out);
        start::resume_stop(state, index, now, out);
    }
    if state.volumes.is_done() && state.sandbox.ready_id().is_some() {
        start_containers(state, now, out);
    }
    remove_old(state, out);
    probe(state, false, now, out);
}

fn must_end(state: &PodState) -> bool {
    let deleted = state.pod.metadata.deletion_timestamp.is_some();
    // Somebody else may have ended it in the API: eviction by taint, preemption, the garbage collector.
    state.removed || deleted || state.verdict.is_some() || pod::is_terminal(&state.pod)
}

fn check_deadline(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    let Some(seconds) = pod::spec(&state.pod).active_deadline_seconds else { return };
    let until = state.start_time + SignedDuration::from_secs(seconds);
    if until > now {
        state.wake_at(until);
    } else if state.verdict.is_none() {
        let message = "Pod was active on the node longer than the specified deadline";
        out.push(Effect::Record(Note::normal("DeadlineExceeded", message)));
        let (reason, message) = ("DeadlineExceeded".to_owned(), message.to_owned());
        state.verdict = Some(Verdict { reason, message, refused: false });
    }
}

/// Whether an end with this code is its last.
fn is_last_end(state: &PodState, index: usize) -> bool {
    let container = &state.containers[index];
    let Some(exit) = container.exit() else { return false };
    find(&state.pod, &container.name).is_none_or(|(role, spec)| !should_restart(&state.pod, role, &spec, exit.code))
}

/// All main containers have ended for good, or an init container failed for good.
fn is_finished(state: &PodState) -> bool {
    let of = |role: Role| (0..state.containers.len()).filter(move |index| state.containers[*index].role == role);
    let init_failed = of(Role::Init).any(|index| {
        let container = &state.containers[index];
        !state.initialized
            && !container.redo
            && container.exit().is_some_and(|exit| exit.code != 0)
            && is_last_end(state, index)
    });
    let idle = state.containers.iter().all(|container| container.step != Step::Starting);
    let mut mains = of(Role::Main).peekable();
    init_failed || (idle && mains.peek().is_some() && mains.all(|index| is_last_end(state, index)))
}

fn set_up_volumes(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    match state.volumes.claim(now) {
        Ok(true) => out.push(Effect::SetUpVolumes),
        Ok(false) => {}
        Err(at) => state.wake_at(at),
    }
}

fn keep_sandbox(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    match state.sandbox.clone() {
        Sandbox::None(retry) => match retry.until(now) {
            Some(at) => state.wake_at(at),
            None => {
                state.sandbox = Sandbox::Creating(retry);
                out.push(Effect::CreateSandbox { attempt: state.sandbox_attempt });
            }
        },
        Sandbox::Lost { id, retry } => match retry.until(now) {
            Some(at) => state.wake_at(at),
            None => {
                let message = "Pod sandbox changed, it will be killed and re-created.";
                out.push(Effect::Record(Note::normal("SandboxChanged", message)));
                out.push(Effect::StopSandbox { id: id.clone() });
                state.sandbox = Sandbox::Stopping { id, retry };
            }
        },
        Sandbox::Creating(_) | Sandbox::Ready { .. } | Sandbox::Stopping { .. } => {}
    }
}

fn replace_changed(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) {
    let container = &state.containers[index];
    let name = container.name.clone();
    let Some(instance) = container.instance().filter(|instance| instance.stop.is_none()) else { return };
    let changed = find(&state.pod, &name).is_some_and(|(_, spec)| hash(&spec) != instance.hash);
    if changed && matches!(container.role, Role::Main | Role::Sidecar) {
        let text = format!("Container {name} definition changed, will be restarted");
        out.push(Effect::Record(Note::normal("Killing", text).about(&name)));
        start::stop(state, index, pod::grace_seconds(&state.pod), now, out);
    }
}

fn start_containers(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    for index in 0..state.containers.len() {
        let may_continue = match state.containers[index].role {
            Role::Init => state.initialized || init_has_passed(state, index, now, out),
            Role::Sidecar => {
                keep_running(state, index, now, out);
                state.initialized || state.containers[index].is_started()
            }
            Role::Main => {
                state.initialized = true;
                keep_running(state, index, now, out);
                true
            }
            Role::Ephemeral => {
                if state.containers[index].run == Run::Never {
                    start::start(state, index, now, out);
                }
                true
            }
        };
        if !may_continue {
            return;
        }
    }
}

fn init_has_passed(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) -> bool {
    let container = &state.containers[index];
    match &container.run {
        Run::Running(_) => false,
        Run::Exited(exit) if exit.code == 0 && !container.redo => true,
        Run::Exited(_) if !container.redo && is_last_end(state, index) => false,
        Run::Exited(_) | Run::Never => {
            start::start(state, index, now, out);
            false
        }
    }
}

fn keep_running(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) {
    let runs = state.containers[index].instance().is_some();
    if !runs && !is_last_end(state, index) {
        start::start(state, index, now, out);
    }
}

fn remove_old(state: &mut PodState, out: &mut Vec<Effect>) {
    let ids: Vec<String> = state.containers.iter_mut().flat_map(|container| container.old_ids.drain(..)).collect();
    if !ids.is_empty() {
        out.push(Effect::RemoveContainers { ids });
    }
}

/// Probes that are due.
pub(super) fn probe(state: &mut PodState, ending: bool, now: Timestamp, out: &mut Vec<Effect>) {
    for index in 0..state.containers.len() {
        let container = &mut state.containers[index];
        let Some(instance) = container.instance() else { continue };
        if !instance.hook_done || (instance.stop.is_some() && !ending) {
            continue;
        }
        let (name, id) = (container.name.clone(), instance.id.clone());
        for kind in container.probes.claim(ending, now) {
            out.push(Effect::Probe { container: name.clone(), id: id.clone(), kind });
        }
        if let Some(at) = container.probes.next_at(ending) {
            state.wake_at(at);
        }
    }
}
