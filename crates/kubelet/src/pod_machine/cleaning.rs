//! Takes away what a pod that ended leaves behind: volumes and cgroup at once, containers and logs when the object
//! is to go, and then the object.

use super::effect::Effect;
use super::state::{PodState, Setup, Stage};
use jiff::Timestamp;

pub(super) fn run(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    if matches!(state.volumes, Setup::InFlight(_)) {
        return;
    }
    let removed = state.removed;
    let goes = removed || state.pod.metadata.deletion_timestamp.is_some();
    let Stage::Ended(cleaning) = &mut state.stage else { return };
    let mut wake = None;
    match cleaning.clean_up.claim(now) {
        Ok(true) => out.push(Effect::CleanUp),
        Ok(false) => {}
        Err(at) => wake = Some(at),
    }
    if cleaning.clean_up.is_done() && goes {
        match cleaning.forget.claim(now) {
            Ok(true) => out.push(Effect::Forget),
            Ok(false) => {}
            Err(at) => wake = Some(at),
        }
    }
    if cleaning.forget.is_done() {
        if removed && !cleaning.finished {
            cleaning.finished = true;
            out.push(Effect::Finish);
        } else if !removed && !cleaning.delete_sent {
            cleaning.delete_sent = true;
            out.push(Effect::DeleteObject);
        }
    }
    if let Some(at) = wake {
        state.wake_at(at);
    }
}
