//! Decides what a pod's sandbox and containers do next: `step(state, event, now) -> effects`, nothing else.
//!
//! Invariants: no I/O, no clock, no randomness; an effect is emitted once and marked as under way until its result
//! comes back as an event, so that any event may be repeated and any late result of an earlier instance is dropped.
//! What is emitted follows from the state alone: after a restart of this process the same decisions come out.

mod backoff;
mod cleaning;
mod effect;
mod ending;
mod event;
mod observe;
mod probes;
mod report;
#[cfg(test)]
mod script_tests;
mod start;
mod state;
mod sync;
mod take;

pub(crate) use effect::{Effect, Note};
pub(crate) use event::{Event, Observation, ObservedContainer, ObservedRun, ObservedSandbox, PullFailure};
pub(crate) use probes::{Outcome, ProbeKind};
pub(crate) use report::OWNED_CONDITIONS;
pub(crate) use state::{Exit, Facts, Name, PodState};

use jiff::Timestamp;
use state::Stage;

/// Takes one event and answers what is to be done now. `state.wake` is when to come back with a `Timer`.
pub(crate) fn step(state: &mut PodState, event: Event, now: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    take::event(state, event, now, &mut effects);
    state.wake = None;
    if state.stage == Stage::Syncing {
        sync::run(state, now, &mut effects);
    }
    if matches!(state.stage, Stage::Ending(_)) {
        ending::run(state, now, &mut effects);
    }
    report::run(state, now, &mut effects);
    if matches!(state.stage, Stage::Ended(_)) {
        cleaning::run(state, now, &mut effects);
    }
    effects
}
