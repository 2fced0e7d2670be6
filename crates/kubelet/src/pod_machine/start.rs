//! Starting and stopping one container: back-offs before, grace after.

use super::effect::{Effect, Note};
use super::state::{PodState, Run, Step, Stop, Waiting};
use crate::duration_text::go_duration;
use crate::pod;
use jiff::{SignedDuration, Timestamp};

/// How long a pull's own error is shown before the back-off is; upstream alternates between the two.
const PULL_ERROR_SHOWN: SignedDuration = SignedDuration::from_secs(1);

/// Asks for its image (and so for its start), unless a back-off holds it.
pub(super) fn start(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) {
    if state.containers[index].step != Step::Idle || held_by_crash(state, index, now, out) {
        return;
    }
    if let Some(at) = state.containers[index].retry.until(now) {
        state.wake_at(at);
        return;
    }
    if held_by_pull(state, index, now, out) {
        return;
    }
    let container = &mut state.containers[index];
    container.step = Step::Pulling;
    out.push(Effect::EnsureImage { container: container.name.clone() });
}

fn held_by_crash(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) -> bool {
    let described = pod::described(&state.pod);
    let container = &mut state.containers[index];
    let Run::Exited(exit) = &container.run else { return false };
    if container.redo {
        return false;
    }
    let wait = container.crash.wait_after(exit.finished_at);
    let until = exit.finished_at + wait;
    if until <= now {
        return false;
    }
    let (name, finished_at) = (container.name.clone(), exit.finished_at);
    container.waiting = Some(Waiting {
        reason: "CrashLoopBackOff".into(),
        message: format!("back-off {} restarting failed container={name} pod={described}", go_duration(wait)),
    });
    if container.backoff_recorded.replace(finished_at) != Some(finished_at) {
        let text = format!("Back-off restarting failed container {name} in pod {described}");
        out.push(Effect::Record(Note::warning("BackOff", text).about(&name)));
    }
    state.wake_at(until);
    true
}

fn held_by_pull(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) -> bool {
    let container = &mut state.containers[index];
    let Some(until) = container.pull.failed_until().filter(|until| *until > now) else { return false };
    let failed_at = container.pull.failed_at().unwrap_or(now);
    let pulling = container.waiting.as_ref().filter(|waiting| waiting.reason == "ErrImagePull");
    if let Some(waiting) = pulling {
        let shown_until = failed_at + PULL_ERROR_SHOWN;
        if now < shown_until {
            state.wake_at(shown_until);
            return true;
        }
        let text = format!("Back-off pulling image {:?}", container.image);
        let message = format!("{text}: ErrImagePull: {}", waiting.message);
        container.waiting = Some(Waiting { reason: "ImagePullBackOff".into(), message });
        out.push(Effect::Record(Note::normal("BackOff", text).about(&container.name)));
        out.push(Effect::Record(Note::warning("Failed", "Error: ImagePullBackOff").about(&container.name)));
    }
    state.wake_at(until);
    true
}

/// Has a running container stopped within `grace_seconds`, hooks included. Its reason was recorded by the caller.
pub(super) fn stop(state: &mut PodState, index: usize, grace_seconds: i64, now: Timestamp, out: &mut Vec<Effect>) {
    let container = &mut state.containers[index];
    let name = container.name.clone();
    let Run::Running(instance) = &mut container.run else { return };
    let deadline = now + SignedDuration::from_secs(grace_seconds);
    // The hook ran or runs when this is a second, shorter stop.
    let hook = instance.stop.is_none();
    instance.stop = Some(Stop { deadline, in_flight: true, retry: Default::default() });
    out.push(Effect::StopContainer { container: name, id: instance.id.clone(), grace_seconds, hook });
}

/// Tries again what could not be stopped.
pub(super) fn resume_stop(state: &mut PodState, index: usize, now: Timestamp, out: &mut Vec<Effect>) {
    let container = &mut state.containers[index];
    let name = container.name.clone();
    let Run::Running(instance) = &mut container.run else { return };
    let id = instance.id.clone();
    let Some(stop) = instance.stop.as_mut().filter(|stop| !stop.in_flight) else { return };
    if let Some(at) = stop.retry.until(now) {
        state.wake_at(at);
        return;
    }
    stop.in_flight = true;
    let grace_seconds = stop.deadline.duration_since(now).as_secs().max(1);
    out.push(Effect::StopContainer { container: name, id, grace_seconds, hook: false });
}
