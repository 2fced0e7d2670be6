//! PodDisruptionBudget: how many pods may be evicted now.

use crate::claim;
use crate::pod;
use crate::scaled::scaled;
use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, Change};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, Severity, key_of, owner, split};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an eviction may take to become a deletion before it is taken not to have happened.
const EVICTION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let (budgets, pods) = (client.cache::<PodDisruptionBudget>(), client.cache::<Pod>());
    let reconciler = Budgets {
        budgets: budgets.clone(),
        pods: pods.clone(),
        owners: Owners {
            deployments: client.cache(),
            replica_sets: client.cache(),
            stateful_sets: client.cache(),
            replication_controllers: client.cache(),
        },
    };
    let protecting = budgets.clone();
    let scaled = (budgets.clone(), budgets.clone());
    Controller::new("disruption", reconciler)
        .component("controllermanager")
        .watches(budgets, reconcile::each)
        .watches(pods, move |change| protectors(&protecting, change))
        // The expected count comes from the owners: their scaling concerns every budget of the namespace.
        .watches(client.cache::<Deployment>(), move |change| {
            let replicas = |d: &Option<Arc<Deployment>>| d.as_ref().map(|d| d.spec.replicas);
            if replicas(&change.old) == replicas(&change.new) {
                Vec::new()
            } else {
                of_namespace(&scaled.0, &change.key)
            }
        })
        .watches(client.cache::<StatefulSet>(), move |change| {
            let replicas = |s: &Option<Arc<StatefulSet>>| s.as_ref().map(|s| s.spec.replicas);
            if replicas(&change.old) == replicas(&change.new) {
                Vec::new()
            } else {
                of_namespace(&scaled.1, &change.key)
            }
        })
}

fn of_namespace(budgets: &Cache<PodDisruptionBudget>, key: &Key) -> Vec<Key> {
    budgets.list_namespace(split(key).0).iter().map(|budget| key_of(&**budget)).collect()
}

fn protectors(budgets: &Cache<PodDisruptionBudget>, change: &Change<Pod>) -> Vec<Key> {
    let states = || [&change.old, &change.new].into_iter().flatten();
    let protects = |budget: &PodDisruptionBudget| states().any(|pod| selects(budget, &pod.metadata));
    let budgets = budgets.list_namespace(split(&change.key).0);
    budgets.iter().filter(|budget| protects(budget)).map(|budget| key_of(&**budget)).collect()
}

/// An empty selector is all pods of the namespace, none is no pod.
fn selects(budget: &PodDisruptionBudget, pod: &ObjectMeta) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| claim::selector(selector).matches(crate::labels(pod)))
}

struct Budgets {
    budgets: Cache<PodDisruptionBudget>,
    pods: Cache<Pod>,
    owners: Owners,
}

struct Owners {
    deployments: Cache<Deployment>,
    replica_sets: Cache<ReplicaSet>,
    stateful_sets: Cache<StatefulSet>,
    replication_controllers: Cache<ReplicationController>,
}

#[async_trait]
impl Reconcile for Budgets {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(budget) = self.budgets.get_key(key) else { return Ok(Action::Done) };
        let pods = self.pods.list_namespace(split(key).0);
        let pods: Vec<Arc<Pod>> =
            pods.into_iter().filter(|pod| selects(&budget, &pod.metadata) && !pod::is_terminal(pod)).collect();
        if pods.is_empty() {
            ctx.events().event(&*budget, Severity::Normal, "NoPods", "No matching pods found");
        }
        let scale = |owner: &OwnerReference, namespace: &str| self.owners.scale(owner, namespace);
        let (status, action) = plan(&budget, &pods, &scale, ctx.now());
        if budget.status.as_ref() != Some(&status) {
            let mut new = (*budget).clone();
            new.status = Some(status);
            // Evictions write it too; a conflict means that one was faster, and the numbers are counted again.
            ctx.update_status(&new).await.map_err(Error::api("writing a budget's status"))?;
        }
        Ok(action)
    }
}

impl Owners {
    /// The replicas wanted by a pod's controller, and that controller's uid; `None` for kinds without a scale.
    fn scale(&self, owner: &OwnerReference, namespace: &str) -> Option<(String, i32)> {
        fn same<K: api::Kind>(found: Option<Arc<K>>, uid: &str) -> Option<Arc<K>> {
            found.filter(|found| found.metadata().uid.as_deref() == Some(uid))
        }
        let name = &owner.name;
        if owner::refers_to::<ReplicaSet>(owner) {
            let set = same(self.replica_sets.get(namespace, name), &owner.uid)?;
            let parent = owner::controller(&set.metadata).filter(|parent| owner::refers_to::<Deployment>(parent));
            return match parent {
                Some(parent) => {
                    let found = same(self.deployments.get(namespace, &parent.name), &parent.uid)?;
                    Some((parent.uid.clone(), found.spec.replicas.unwrap_or(1)))
                }
                None => Some((owner.uid.clone(), set.spec.replicas.unwrap_or(1))),
            };
        }
        if owner::refers_to::<StatefulSet>(owner) {
            let found = same(self.stateful_sets.get(namespace, name), &owner.uid)?;
            return Some((owner.uid.clone(), found.spec.replicas.unwrap_or(1)));
        }
        if owner::refers_to::<ReplicationController>(owner) {
            let found = same(self.replication_controllers.get(namespace, name), &owner.uid)?;
            return Some((owner.uid.clone(), found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)));
        }
        None
    }
}

type Scale<'a> = &'a dyn Fn(&OwnerReference, &str) -> Option<(String, i32)>;

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// How many pods there should be, and how many of them healthy; or why that cannot be said.
fn expected(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], scale: Scale<'_>) -> Result<(i32, i32), String> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int;
    let spec = budget.spec.as_ref();
    let illegal = || "the budget's amount is neither a number nor a percentage".to_owned();
    if let Some(most) = spec.and_then(|spec| spec.max_unavailable.as_ref()) {
        let wanted = wanted_by_owners(pods, scale)?;
        let missing = scaled(most, wanted, true).ok_or_else(illegal)?;
        return Ok((wanted, (wanted - missing).max(0)));
    }
    match spec.and_then(|spec| spec.min_available.as_ref()) {
        Some(Int(least)) => Ok((count(pods.len()), *least)),
        Some(percent) => {
            let wanted = wanted_by_owners(pods, scale)?;
            Ok((wanted, scaled(percent, wanted, true).ok_or_else(illegal)?))
        }
        None => Ok((count(pods.len()), 0)),
    }
}

fn wanted_by_owners(pods: &[Arc<Pod>], scale: Scale<'_>) -> Result<i32, String> {
    let mut owners: BTreeMap<String, i32> = BTreeMap::new();
    for pod in pods {
        let (namespace, name) =
            (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default());
        let Some(owner) = owner::controller(&pod.metadata) else {
            return Err(format!("found no controller ref for pod {name:?}"));
        };
        let Some((uid, replicas)) = scale(owner, namespace) else {
            return Err(format!("{} {} of pod {name:?} has no scale that is known here", owner.kind, owner.name));
        };
        owners.insert(uid, replicas);
    }
    Ok(owners.values().sum())
}

fn plan(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    scale: Scale<'_>,
    now: Timestamp,
) -> (PodDisruptionBudgetStatus, Action) {
    let old = budget.status.clone().unwrap_or_default();
    let generation = budget.metadata.generation;
    let (expected, desired) = match expected(budget, pods, scale) {
        Ok(numbers) => numbers,
        Err(why) => {
            let mut status =
                PodDisruptionBudgetStatus { disruptions_allowed: Some(0), observed_generation: generation, ..old };
            let message = why;
            set_condition(&mut status.conditions, "False", "SyncFailed", message, generation, now);
            return (status, Action::Done);
        }
    };
    let (evicted, action) = still_evicted(&old, pods, now);
    let healthy = |pod: &Pod| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        pod.metadata.deletion_timestamp.is_none() && !evicted.contains_key(name) && pod::is_ready(pod)
    };
    let current = count(pods.iter().filter(|pod| healthy(pod)).count());
    let allowed = if expected == 0 { 0 } else { (current - desired).max(0) };
    let mut conditions = old.conditions;
    let (value, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    set_condition(&mut conditions, value, reason, String::new(), generation, now);
    let status = PodDisruptionBudgetStatus {
        current_healthy: Some(current),
        desired_healthy: Some(desired),
        expected_pods: Some(expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(evicted).filter(|evicted| !evicted.is_empty()),
        observed_generation: generation,
        conditions,
    };
    (status, action)
}

/// Evictions that have not become deletions yet, and when to look at them again.
fn still_evicted(
    old: &PodDisruptionBudgetStatus,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> (BTreeMap<String, Time>, Action) {
    let mut action = Action::Done;
    let mut evicted = BTreeMap::new();
    for (name, since) in old.disrupted_pods.iter().flatten() {
        let there = pods
            .iter()
            .any(|pod| pod.metadata.name.as_ref() == Some(name) && pod.metadata.deletion_timestamp.is_none());
        let left = EVICTION_TIMEOUT - now.duration_since(since.0);
        if there && left.is_positive() {
            evicted.insert(name.clone(), since.clone());
            action = action.sooner(Action::after(Duration::try_from(left).unwrap_or_default()));
        }
    }
    (evicted, action)
}

fn set_condition(
    conditions: &mut Option<Vec<Condition>>,
    value: &str,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) {
    const TYPE: &str = "DisruptionAllowed";
    let all = conditions.get_or_insert_default();
    let known = all.iter().find(|known| known.type_ == TYPE && known.status == value);
    let since = known.map_or(Time(now), |known| known.last_transition_time.clone());
    all.retain(|known| known.type_ != TYPE);
    all.push(Condition {
        type_: TYPE.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Pod>> {
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
        let (status, _) =
            plan(&budget(spec.clone(), Value::Null), &pods(ready, unready), &scale, Timestamp::UNIX_EPOCH);
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
        let (status, action) = at(30);
        assert_eq!((status.current_healthy, status.disruptions_allowed), (Some(2), Some(1)));
        assert_eq!(status.disrupted_pods.unwrap().len(), 1);
        assert_eq!(action, Action::after(Duration::from_secs(90)));
        let (status, action) = at(120);
        assert_eq!((status.current_healthy, status.disrupted_pods, action), (Some(3), None, Action::Done));
    }

    #[test]
    fn pods_without_a_scale_are_not_guessed_at() {
        let scale = |_: &OwnerReference, _: &str| None;
        let (status, _) =
            plan(&budget(json!({"maxUnavailable": 1}), Value::Null), &pods(3, 0), &scale, Timestamp::UNIX_EPOCH);
        assert_eq!(status.disruptions_allowed, Some(0));
        assert_eq!(status.conditions.unwrap()[0].reason, "SyncFailed");
    }
}
