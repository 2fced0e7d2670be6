//! Takes over what the runtime reports: exits above all, and sandboxes that ended by themselves.

use super::event::{Observation, ObservedRun};
use super::probes::Probes;
use super::state::{ContainerState, Exit, PodState, Run, Sandbox};
use jiff::Timestamp;

/// Only what the state believes to be running is compared: a container that a start is still busy with is not
/// known by its id yet, and an observation made before it existed must not end it.
pub(super) fn take(state: &mut PodState, observation: Observation, now: Timestamp) {
    for found in observation.containers {
        let ObservedRun::Exited(exit) = found.run else { continue };
        if let Some(container) = state.container_mut(&found.name) {
            ended(container, exit);
        }
    }
    for id in &observation.gone {
        for container in &mut state.containers {
            ended(container, Exit::unknown(id, now));
        }
    }
    let Sandbox::Ready { id } = &state.sandbox else { return };
    let stopped = observation.sandbox.is_some_and(|sandbox| sandbox.id == *id && !sandbox.ready);
    if stopped || observation.gone.contains(id) {
        state.sandbox = Sandbox::Lost { id: id.clone(), retry: Default::default() };
    }
}

fn ended(container: &mut ContainerState, exit: Exit) {
    let Some(instance) = container.instance().filter(|instance| instance.id == exit.id) else { return };
    // Without a postStart hook's end it never counted as running: the reason for its end stays visible.
    if instance.hook_done {
        container.waiting = None;
    }
    container.run = Run::Exited(exit);
    container.probes = Probes::default();
}
