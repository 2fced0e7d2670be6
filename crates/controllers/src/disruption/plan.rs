//! What a budget allows, from the pods there are and the pods there should be. Pure.

use crate::scaled::scaled;
use client::PodView;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::{Action, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long an eviction may take to become a deletion before it is taken not to have happened.
const EVICTION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
const CONDITION: &str = "DisruptionAllowed";

/// The scale that a pod's controller has, by the uid of who decides on it; `None` for kinds without one.
type Scale<'a> = &'a dyn Fn(&OwnerReference, &str) -> Option<(String, i32)>;

pub(super) struct Plan {
    pub(super) status: PodDisruptionBudgetStatus,
    pub(super) action: Action,
    /// About the budget.
    pub(super) events: Vec<(Severity, &'static str, String)>,
    /// Pods whose eviction has led to nothing.
    pub(super) not_deleted: Vec<Arc<PodView>>,
}

pub(super) fn plan(budget: &PodDisruptionBudget, pods: &[Arc<PodView>], scale: Scale<'_>, now: Timestamp) -> Plan {
    let mut events = Vec::new();
    if pods.is_empty() {
        events.push((Severity::Normal, "NoPods", "No matching pods found".to_owned()));
    }
    let old = budget.status.clone().unwrap_or_default();
    let expected = match expected(budget, pods, scale) {
        Ok(expected) => expected,
        Err(why) => {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            events.push((Severity::Warning, "CalculateExpectedPodCountFailed", message));
            return Plan { status: refusing(old, why, now), action: Action::Done, events, not_deleted: Vec::new() };
        }
    };
    if expected.unmanaged {
        let message = "Pods of this budget are kept by nobody, so that nobody can say how many there should be; \
                       with an integer as \".spec.minAvailable\" they count";
        events.push((Severity::Warning, "UnmanagedPods", message.to_owned()));
    }
    let evicted = evicted(&old, pods, now);
    let healthy = |pod: &&Arc<PodView>| !pod.is_ending() && !evicted.waiting.contains_key(pod.name()) && pod.is_ready();
    let current = count(pods.iter().filter(healthy).count());
    let allowed = if expected.count > 0 { current.saturating_sub(expected.healthy).max(0) } else { 0 };
    let generation = budget.metadata.generation;
    let (value, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let status = PodDisruptionBudgetStatus {
        current_healthy: Some(current),
        desired_healthy: Some(expected.healthy),
        expected_pods: Some(expected.count),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(evicted.waiting).filter(|waiting| !waiting.is_empty()),
        observed_generation: generation,
        conditions: Some(conditions(old.conditions, (value, reason, String::new()), generation, now)),
    };
    Plan { status, action: evicted.action, events, not_deleted: evicted.not_deleted }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Nothing may go while nobody can say how much may.
fn refusing(old: PodDisruptionBudgetStatus, why: String, now: Timestamp) -> PodDisruptionBudgetStatus {
    let generation = old.observed_generation;
    let conditions = conditions(old.conditions.clone(), ("False", "SyncFailed", why), generation, now);
    PodDisruptionBudgetStatus { disruptions_allowed: Some(0), conditions: Some(conditions), ..old }
}

struct Expected {
    count: i32,
    /// How many of them have to stay healthy.
    healthy: i32,
    /// Some pods have no controller, and were not counted.
    unmanaged: bool,
}

/// How many pods there should be; or why that cannot be said.
fn expected(budget: &PodDisruptionBudget, pods: &[Arc<PodView>], scale: Scale<'_>) -> Result<Expected, String> {
    let spec = budget.spec.as_ref();
    let illegal = || "the budget's amount is neither a number nor a percentage".to_owned();
    if let Some(most) = spec.and_then(|spec| spec.max_unavailable.as_ref()) {
        let (count, unmanaged) = wanted_by_owners(pods, scale)?;
        let missing = scaled(most, count, true).ok_or_else(illegal)?;
        return Ok(Expected { count, healthy: count.saturating_sub(missing).max(0), unmanaged });
    }
    match spec.and_then(|spec| spec.min_available.as_ref()) {
        Some(Int(least)) => Ok(Expected { count: count(pods.len()), healthy: *least, unmanaged: false }),
        Some(percent) => {
            let (count, unmanaged) = wanted_by_owners(pods, scale)?;
            Ok(Expected { count, healthy: scaled(percent, count, true).ok_or_else(illegal)?, unmanaged })
        }
        None => Ok(Expected { count: 0, healthy: 0, unmanaged: false }),
    }
}

/// The pods that the controllers of these want together, and whether some have none.
fn wanted_by_owners(pods: &[Arc<PodView>], scale: Scale<'_>) -> Result<(i32, bool), String> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = pod.controller() else {
            unmanaged = true;
            continue;
        };
        if !seen.insert(&owner.uid) {
            continue;
        }
        let Some((uid, replicas)) = scale(owner, pod.namespace()) else {
            let name = pod.name();
            return Err(format!("found no scale of {} {} for pod {name:?}", owner.kind, owner.name));
        };
        wanted.insert(uid, replicas);
    }
    Ok((wanted.values().fold(0, |sum: i32, replicas| sum.saturating_add(*replicas)), unmanaged))
}

#[derive(Default)]
struct Evicted {
    /// Not deleted yet, and since when they were to be.
    waiting: BTreeMap<String, Time>,
    not_deleted: Vec<Arc<PodView>>,
    /// When to look again.
    action: Action,
}

fn evicted(old: &PodDisruptionBudgetStatus, pods: &[Arc<PodView>], now: Timestamp) -> Evicted {
    let mut evicted = Evicted::default();
    let Some(noted) = &old.disrupted_pods else { return evicted };
    for pod in pods.iter().filter(|pod| !pod.is_ending()) {
        let Some((name, since)) = noted.get_key_value(pod.name()) else { continue };
        let left = EVICTION_TIMEOUT - now.duration_since(since.0);
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => {
                evicted.waiting.insert(name.clone(), since.clone());
                evicted.action = evicted.action.sooner(Action::after(left));
            }
            _ => evicted.not_deleted.push(pod.clone()),
        }
    }
    evicted
}

fn conditions(
    old: Option<Vec<Condition>>,
    (value, reason, message): (&str, &str, String),
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all = old.unwrap_or_default();
    let known = all.iter().find(|known| known.type_ == CONDITION && known.status == value);
    let since = known.map_or(Time(now), |known| known.last_transition_time.clone());
    all.retain(|known| known.type_ != CONDITION);
    all.push(Condition {
        type_: CONDITION.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pods(ready: usize, unready: usize) -> Vec<Arc<PodView>> {
        let pod = |n: usize| {
            let ready = if n < ready { "True" } else { "False" };
            json!({"metadata": {"name": format!("p{n}"), "namespace": "d", "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        (0..ready + unready).map(|n| Arc::new(serde_json::from_value(pod(n)).unwrap())).collect()
    }

    fn budget(spec: Value, evicted: Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({"metadata": {"name": "b"}, "spec": spec, "status": {"disruptedPods": evicted}}))
            .unwrap()
    }

    /// Expected, desired, healthy, allowed.
    fn check(spec: Value, ready: usize, unready: usize, replicas: i32, want: [i32; 4]) {
        let scale = move |owner: &OwnerReference, _: &str| Some((owner.uid.clone(), replicas));
        let status =
            plan(&budget(spec.clone(), Value::Null), &pods(ready, unready), &scale, Timestamp::UNIX_EPOCH).status;
        let numbers =
            [status.expected_pods, status.desired_healthy, status.current_healthy, status.disruptions_allowed];
        assert_eq!(numbers.map(Option::unwrap), want, "{spec}");
        let reason = if want[3] > 0 { "SufficientPods" } else { "InsufficientPods" };
        assert_eq!(status.conditions.unwrap()[0].reason, reason);
    }

    #[test]
    fn a_budget_allows_what_is_healthy_beyond_what_must_be() {
        check(json!({"minAvailable": 2}), 3, 0, 3, [3, 2, 3, 1]);
        check(json!({"minAvailable": 2}), 2, 1, 3, [3, 2, 2, 0]);
        check(json!({"minAvailable": "50%"}), 5, 0, 5, [5, 3, 5, 2]);
        check(json!({"maxUnavailable": 1}), 3, 0, 3, [3, 2, 3, 1]);
        check(json!({"maxUnavailable": 1}), 3, 0, 5, [5, 4, 3, 0]);
        check(json!({"maxUnavailable": "30%"}), 10, 0, 10, [10, 7, 10, 3]);
        check(json!({"maxUnavailable": "100%"}), 3, 0, 3, [3, 0, 3, 3]);
        check(json!({"minAvailable": 0}), 0, 0, 0, [0, 0, 0, 0]);
    }

    #[test]
    fn an_evicted_pod_counts_as_gone_for_two_minutes() {
        let evicted =
            budget(json!({"minAvailable": 1}), json!({"p0": "1970-01-01T00:00:00Z", "gone": "1970-01-01T00:00:00Z"}));
        let scale = |_: &OwnerReference, _: &str| None;
        let at = |seconds| plan(&evicted, &pods(3, 0), &scale, Timestamp::from_second(seconds).unwrap());
        let early = at(30);
        assert_eq!((early.status.current_healthy, early.status.disruptions_allowed), (Some(2), Some(1)));
        assert_eq!((early.status.disrupted_pods.unwrap().len(), early.not_deleted.len()), (1, 0));
        assert_eq!(early.action, Action::after(Duration::from_secs(90)));
        let late = at(120);
        assert_eq!(
            (late.status.current_healthy, late.status.disrupted_pods, late.action),
            (Some(3), None, Action::Done)
        );
        assert_eq!(late.not_deleted[0].name(), "p0");
    }

    #[test]
    fn pods_without_a_scale_are_not_guessed_at() {
        let scale = |_: &OwnerReference, _: &str| None;
        let healthy = json!({"maxUnavailable": 1});
        let plan = plan(&budget(healthy, Value::Null), &pods(3, 0), &scale, Timestamp::UNIX_EPOCH);
        assert_eq!(plan.status.disruptions_allowed, Some(0));
        assert_eq!(plan.status.conditions.unwrap()[0].reason, "SyncFailed");
        assert_eq!(plan.events[0].1, "CalculateExpectedPodCountFailed");
    }
}
