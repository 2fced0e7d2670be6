//! The conditions that a kubelet owns, with upstream's reasons and messages.

use super::super::state::{ContainerState, PodState, Stage};
use crate::pod;
use crate::pod::containers::Role;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodCondition, PodStatus};

/// Types that no one else writes (`PodScheduled` is the scheduler's until the pod is here).
pub(crate) const OWNED: [&str; 6] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "DisruptionTarget"];

struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Verdict {
        Verdict { holds: true, reason: "", message: String::new() }
    }
    fn yes_because(reason: &'static str) -> Verdict {
        Verdict { holds: true, reason, message: String::new() }
    }
    fn no(reason: &'static str, message: impl Into<String>) -> Verdict {
        Verdict { holds: false, reason, message: message.into() }
    }
}

pub(super) fn of(state: &PodState, phase: &str, now: Timestamp) -> Vec<PodCondition> {
    let containers_ready = containers_ready(state, phase);
    let ready = ready(state, &containers_ready);
    let has_sandbox = state.sandbox.ready_id().is_some();
    let sandbox = if has_sandbox { Verdict::yes() } else { Verdict::no("", "") };
    let mut conditions = vec![
        condition(state, "PodReadyToStartContainers", sandbox, now),
        condition(state, "Initialized", initialized(state, phase), now),
        condition(state, "Ready", ready, now),
        condition(state, "ContainersReady", containers_ready, now),
        condition(state, "PodScheduled", Verdict::yes(), now),
    ];
    if let Some(evicted) = state.verdict.as_ref().filter(|verdict| verdict.reason == "Evicted") {
        let because = Verdict { holds: true, reason: "TerminationByKubelet", message: evicted.message.clone() };
        conditions.push(condition(state, "DisruptionTarget", because, now));
    }
    conditions
}

fn condition(state: &PodState, name: &str, verdict: Verdict, now: Timestamp) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let before =
        |status: &PodStatus| status.conditions.iter().flatten().find(|condition| condition.type_ == name).cloned();
    let before = state.reported.as_ref().and_then(before).or_else(|| before(pod::status(&state.pod)));
    let unchanged = before.filter(|before| before.status == status).and_then(|before| before.last_transition_time);
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: Some(verdict.reason.to_owned()).filter(|reason| !reason.is_empty()),
        message: Some(verdict.message).filter(|message| !message.is_empty()),
        last_transition_time: Some(unchanged.unwrap_or_else(|| super::time(now))),
        observed_generation: state.pod.metadata.generation,
        last_probe_time: None,
    }
}

fn initialized(state: &PodState, phase: &str) -> Verdict {
    if phase == "Succeeded" {
        return Verdict::yes_because("PodCompleted");
    }
    let incomplete = state.containers.iter().filter(|container| match container.role {
        Role::Init => container.exit().is_none_or(|exit| exit.code != 0) || container.redo,
        Role::Sidecar => !state.initialized && !container.is_started(),
        Role::Main | Role::Ephemeral => false,
    });
    let incomplete: Vec<&ContainerState> = incomplete.collect();
    if incomplete.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotInitialized", format!("containers with incomplete status: {}", names(&incomplete)))
}

fn names(containers: &[&ContainerState]) -> String {
    let names: Vec<&str> = containers.iter().map(|container| &*container.name).collect();
    format!("[{}]", names.join(" "))
}

fn containers_ready(state: &PodState, phase: &str) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::no("PodCompleted", ""),
        "Failed" if matches!(state.stage, Stage::Ended(_)) => return Verdict::no("PodFailed", ""),
        _ => {}
    }
    let counts = |container: &&ContainerState| matches!(container.role, Role::Main | Role::Sidecar);
    let unready = state.containers.iter().filter(counts).filter(|container| !is_ready(container));
    let unready: Vec<&ContainerState> = unready.collect();
    if unready.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotReady", format!("containers with unready status: {}", names(&unready)))
}

/// Whether one container is ready, as its status says too.
pub(super) fn is_ready(container: &ContainerState) -> bool {
    match container.role {
        Role::Init => container.exit().is_some_and(|exit| exit.code == 0),
        _ => container.is_started() && container.probes.ready(),
    }
}

fn ready(state: &PodState, containers: &Verdict) -> Verdict {
    if !containers.holds {
        return Verdict::no(containers.reason, containers.message.clone());
    }
    let conditions = pod::status(&state.pod).conditions.as_deref().unwrap_or_default();
    let gates = pod::spec(&state.pod).readiness_gates.iter().flatten();
    let complaint = |gate: &str| match conditions.iter().find(|condition| condition.type_ == gate) {
        None => Some(format!("corresponding condition of pod readiness gate {gate:?} does not exist.")),
        Some(condition) if condition.status != "True" => {
            Some(format!("the status of pod readiness gate {gate:?} is not \"True\", but {}", condition.status))
        }
        Some(_) => None,
    };
    let complaints: Vec<String> = gates.filter_map(|gate| complaint(&gate.condition_type)).collect();
    if complaints.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ReadinessGatesNotReady", complaints.join(", "))
}
