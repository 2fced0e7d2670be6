//! The status that follows from the state. Holds only what a kubelet owns; the writer merges it into the object.

mod conditions;
mod container;
mod phase;

use super::effect::Effect;
use super::state::{PodState, Stage};
use crate::pod;
use crate::pod::containers::Role;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) use conditions::OWNED as OWNED_CONDITIONS;

/// Hands the writer a status that differs from the last.
pub(super) fn run(state: &mut PodState, now: Timestamp, out: &mut Vec<Effect>) {
    let found_ended =
        state.reported.is_none() && pod::is_terminal(&state.pod) && matches!(state.stage, Stage::Ended(_));
    if state.removed || found_ended {
        return;
    }
    let status = status(state, now);
    if state.reported.as_ref() != Some(&status) {
        state.reported = Some(status.clone());
        out.push(Effect::WriteStatus(Box::new(status)));
    }
}

/// Times in the API have whole seconds: a finer one would never compare equal to what comes back.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn status(state: &PodState, now: Timestamp) -> PodStatus {
    let mut status = PodStatus {
        observed_generation: state.pod.metadata.generation,
        start_time: Some(time(state.start_time)),
        qos_class: Some(pod::qos::class(&state.pod).name().to_owned()),
        ..PodStatus::default()
    };
    let ended = matches!(state.stage, Stage::Ended(_));
    if let Some(verdict) = state.verdict.as_ref().filter(|verdict| verdict.refused || ended) {
        status.reason = Some(verdict.reason.clone());
        status.message = Some(verdict.message.clone());
        if verdict.refused {
            status.phase = Some("Failed".to_owned());
            return status;
        }
    }
    addresses(state, &mut status);
    let of = |roles: &[Role]| {
        let chosen = state.containers.iter().filter(|container| roles.contains(&container.role));
        let statuses: Vec<_> = chosen.map(|one| container::status(state, one)).collect();
        Some(statuses).filter(|statuses| !statuses.is_empty())
    };
    status.init_container_statuses = of(&[Role::Init, Role::Sidecar]);
    status.container_statuses = of(&[Role::Main]);
    status.ephemeral_container_statuses = of(&[Role::Ephemeral]);
    status.phase = Some(phase::of(state).to_owned());
    status.conditions = Some(conditions::of(state, status.phase.as_deref().unwrap_or_default(), now));
    status
}

fn addresses(state: &PodState, status: &mut PodStatus) {
    status.host_ip = state.facts.host_ips.first().cloned();
    status.host_ips = Some(state.facts.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let host_network = pod::is_host_network(&state.pod);
    // A pod on the host's network has no address before it has a sandbox either.
    let has_sandbox = state.sandbox_attempt > 0;
    let ips = if host_network && has_sandbox { &state.facts.host_ips } else { &state.pod_ips };
    status.pod_ip = ips.first().cloned();
    status.pod_ips =
        Some(ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect()).filter(|ips: &Vec<_>| !ips.is_empty());
}
