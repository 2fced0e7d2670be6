//! What a ReplicaSet does about its pods. Pure.

use super::rank;
use crate::claim::{self, Claim};
use crate::pod::{self, Availability};
use api::selector::Selector;
use client::{Cached, PodView};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use reconcile::Action;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct View {
    pub(super) set: Arc<ReplicaSet>,
    pub(super) owned: Vec<Arc<PodView>>,
    /// Pods of the namespace without an owner.
    pub(super) orphans: Vec<Arc<PodView>>,
    /// Pods of all sets with this one's owner; given only when some pods are to go.
    pub(super) related: Vec<Arc<PodView>>,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) adopt: Vec<Arc<PodView>>,
    pub(super) release: Vec<Arc<PodView>>,
    pub(super) create: usize,
    pub(super) delete: Vec<Arc<PodView>>,
    /// What the set has, before the changes above.
    active: Vec<Arc<PodView>>,
    terminating: usize,
    pub(super) action: Action,
}

pub(super) fn replicas(set: &ReplicaSet) -> usize {
    usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or_default()
}

pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let set = &view.set;
    let spec = &set.spec;
    let selector = claim::selector(&spec.selector);
    for pod in view.owned.iter().chain(&view.orphans) {
        match claim::decide(&set.metadata, &selector, pod.meta()) {
            Claim::Keep if pod::is_active(pod) => plan.active.push(pod.clone()),
            Claim::Keep if pod::is_terminating(pod) => plan.terminating += 1,
            Claim::Release if pod::is_active(pod) => plan.release.push(pod.clone()),
            Claim::Adopt if pod::is_active(pod) => {
                plan.adopt.push(pod.clone());
                plan.active.push(pod.clone());
            }
            _ => {}
        }
    }
    plan.action = next_availability(&plan.active, spec.min_ready_seconds.unwrap_or(0), now);
    if set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let wanted = replicas(set);
    plan.create = wanted.saturating_sub(plan.active.len());
    plan.delete = rank::first_to_go(&plan.active, &view.related, plan.active.len().saturating_sub(wanted), now);
    plan
}

/// When the next pod that is ready will have been so for long enough.
fn next_availability(active: &[Arc<PodView>], min_ready_seconds: i32, now: Timestamp) -> Action {
    let waits = active.iter().filter_map(|pod| match pod::availability(pod, min_ready_seconds, now) {
        Availability::In(left) => Duration::try_from(left).ok(),
        _ => None,
    });
    waits.min().map_or(Action::Done, Action::after)
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The status after the pods were looked at, and after creating or deleting failed with `error`.
pub(super) fn status(set: &ReplicaSet, plan: &Plan, error: Option<String>, now: Timestamp) -> ReplicaSetStatus {
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let template = set.spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let template = Selector::from_map(template.map_or(&crate::NO_LABELS, crate::labels));
    // As upstream's JSON has it, 0 is left out.
    let having = |has: &dyn Fn(&PodView) -> bool| {
        Some(count(plan.active.iter().filter(|pod| has(pod)).count())).filter(|count| *count != 0)
    };
    ReplicaSetStatus {
        replicas: count(plan.active.len()),
        fully_labeled_replicas: having(&|pod| template.matches(&pod.labels)),
        ready_replicas: having(&PodView::is_ready),
        available_replicas: having(&|pod| pod::availability(pod, min_ready, now) == Availability::Available),
        terminating_replicas: Some(count(plan.terminating)),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, plan, error, now),
    }
}

/// `ReplicaFailure` while pods cannot be made or deleted; it keeps its first reason until that has passed.
fn conditions(
    set: &ReplicaSet,
    plan: &Plan,
    error: Option<String>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    const FAILURE: &str = "ReplicaFailure";
    let mut conditions = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let known = conditions.iter().any(|condition| condition.type_.as_deref() == Some(FAILURE));
    match error {
        Some(message) if !known => conditions.push(ReplicaSetCondition {
            type_: Some(FAILURE.to_owned()),
            status: Some("True".to_owned()),
            reason: Some(if plan.create > 0 { "FailedCreate" } else { "FailedDelete" }.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        }),
        Some(_) => {}
        None => conditions.retain(|condition| condition.type_.as_deref() != Some(FAILURE)),
    }
    Some(conditions).filter(|conditions| !conditions.is_empty())
}
