//! `pods/NAME/eviction`: a delete that asks the pod's disruption budget first.
//!
//! Invariant: the budget is charged by compare-and-swap before the pod is deleted, so that no number of concurrent
//! evictions goes beyond it; a pod that the budget's controller then does not see go is given back by it.

use super::admit::{Admitted, admit};
use super::{created, decode_other};
use crate::call::Call;
use crate::http::Answer;
use api::selector::Selector;
use api::{Kind, Object, Reason, Status, Subresource};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, StatusCause, StatusDetails, Time};
use k8s_openapi::jiff::Timestamp;
use registry::{Current, DeleteRequest, ListQuery, Part, Propagation, ReadVersion, Selection, Write};

/// Evicted pods that a budget's controller has not seen go; beyond this it is thought dead.
const DISRUPTED_PODS_MAX: usize = 2000;
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const CAUSE: &str = "DisruptionBudget";
/// Attempts to delete a pod that others keep changing.
const TRIES_MAX: usize = 10;

pub(super) async fn evict(call: &Call<'_>) -> Result<Answer, Status> {
    let eviction: Eviction = decode_other(call, Eviction::DEF.message)?;
    let name = eviction.metadata.name.as_deref().unwrap_or_default();
    if !name.is_empty() && name != call.info.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let (evicted, _) = pod(call).await?;
    let eviction = admit(call, Subresource::Eviction, call.info.name, Some(&evicted), eviction).await?;
    let request = delete_request(&eviction)?;
    let tried = eviction.delete_options.and_then(|options| options.dry_run).is_some_and(|values| !values.is_empty());
    let write = call.write()?;
    let write = Write { dry_run: write.dry_run || tried, ..write };
    let mut charged = false;
    for _ in 0..TRIES_MAX {
        let (pod, revision) = pod(call).await?;
        if !charged && !ignores_budget(&pod) {
            charge(call, &write, &pod).await?;
            charged = true;
        }
        match remove(call, &write, &request, &revision).await {
            // The pod changed since it was judged: judge it again.
            Err(status) if status.reason == Reason::Conflict && request.resource_version.is_none() => {}
            other => return other.and_then(|()| created()),
        }
    }
    Err(Status::conflict(call.def(), call.info.name, "the pod has been modified too often by others"))
}

fn delete_request(eviction: &Eviction) -> Result<DeleteRequest, Status> {
    let Some(options) = &eviction.delete_options else { return Ok(DeleteRequest::default()) };
    if options.orphan_dependents.is_some() && options.propagation_policy.is_some() {
        return Err(Status::new(
            Reason::Invalid,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: orphanDependents and \
             deletionPropagation cannot be both set",
        ));
    }
    let preconditions = options.preconditions.clone().unwrap_or_default();
    Ok(DeleteRequest {
        grace_seconds: options.grace_period_seconds,
        uid: preconditions.uid,
        resource_version: preconditions.resource_version,
        propagation: options.propagation_policy.as_deref().map(Propagation::parse).transpose()?,
    })
}

async fn pod(call: &Call<'_>) -> Result<(Pod, String), Status> {
    let entry = call.registry().get(&call.resource, call.namespace(), call.info.name, ReadVersion::Latest).await?;
    let object = entry.decode(call.resource.kind).map_err(Status::internal)?;
    let pod = object.downcast::<Pod>().cloned().ok_or_else(Status::no_such_path)?;
    Ok((pod, entry.revision.to_string()))
}

/// Pods that do no work: finished, not started, or going anyway.
fn ignores_budget(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed" | "Pending") || pod.metadata.deletion_timestamp.is_some()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Takes one disruption from the budget that covers the pod, if one does.
async fn charge(call: &Call<'_>, write: &Write<'_>, pod: &Pod) -> Result<(), Status> {
    let budgets = call.registry().resource(&PodDisruptionBudget::DEF)?;
    let Some(name) = budget_of(call, pod).await? else { return Ok(()) };
    let budget_write = Write { subresource: Some(Subresource::Status), manager: None, ..*write };
    let (pod_name, now) = (call.info.name, call.registry().now());
    let mut change = |current: &Current<'_>| {
        let budget = current.object.downcast::<PodDisruptionBudget>().ok_or_else(Status::no_such_path)?;
        let mut budget = budget.clone();
        take(&mut budget, pod, pod_name, now)?;
        Ok(Box::new(budget) as Box<dyn Object>)
    };
    let namespace = call.namespace();
    call.registry().update(&budgets, &budget_write, Part::Status, namespace, &name, &mut change).await.map(drop)
}

async fn budget_of(call: &Call<'_>, pod: &Pod) -> Result<Option<String>, Status> {
    let budgets = call.registry().resource(&PodDisruptionBudget::DEF)?;
    let listing = call.registry().list(&budgets, &ListQuery::all(Selection::all(call.namespace()))).await?;
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let mut covering = Vec::new();
    for entry in &listing.entries {
        let object = entry.decode(budgets.kind).map_err(Status::internal)?;
        let budget = object.downcast::<PodDisruptionBudget>();
        let selector = budget.and_then(|budget| budget.spec.as_ref()).and_then(|spec| spec.selector.as_ref());
        let Some(selector) = selector else { continue };
        if Selector::from_label_selector(selector).map_err(Status::internal)?.matches(&labels) {
            covering.push(entry.name().to_owned());
        }
    }
    if covering.len() > 1 {
        return Err(Status::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    Ok(covering.pop())
}

fn too_many(cause: String, retry_after_seconds: i32) -> Status {
    let mut status = Status::too_many_requests(REFUSED, retry_after_seconds);
    let details = status.details.get_or_insert_with(|| Box::new(StatusDetails::default()));
    details.causes = Some(vec![StatusCause { reason: Some(CAUSE.to_owned()), message: Some(cause), field: None }]);
    status
}

/// Charges one eviction to the budget, or says why that cannot be.
fn take(budget: &mut PodDisruptionBudget, pod: &Pod, pod_name: &str, now: Timestamp) -> Result<(), Status> {
    let name = budget.metadata.name.clone().unwrap_or_default();
    let generation = budget.metadata.generation.unwrap_or_default();
    let always =
        budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref()) == Some("AlwaysAllow");
    let status = budget.status.get_or_insert_default();
    let (healthy, desired) = (status.current_healthy.unwrap_or_default(), status.desired_healthy.unwrap_or_default());
    let allowed = status.disruptions_allowed.unwrap_or_default();
    if !is_ready(pod) {
        let enough = healthy >= desired && desired > 0;
        if always || enough {
            return Ok(());
        }
    }
    if status.observed_generation.unwrap_or_default() < generation {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(cause, 10));
    }
    if allowed < 0 {
        return Err(Status::forbidden(&PodDisruptionBudget::DEF, &name, "pdb disruptions allowed is negative"));
    }
    if status.disrupted_pods.as_ref().is_some_and(|pods| pods.len() > DISRUPTED_PODS_MAX) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(&PodDisruptionBudget::DEF, &name, why));
    }
    if allowed == 0 {
        let cause = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(too_many(cause, 0));
    }
    status.disruptions_allowed = Some(allowed - 1);
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    if allowed == 1 {
        exhausted(status.conditions.get_or_insert_default(), status.observed_generation, &now);
    }
    status.disrupted_pods.get_or_insert_default().insert(pod_name.to_owned(), now);
    Ok(())
}

fn exhausted(conditions: &mut Vec<Condition>, generation: Option<i64>, now: &Time) {
    let was_false =
        conditions.iter().find(|condition| condition.type_ == "DisruptionAllowed" && condition.status == "False");
    let since = was_false.map_or(now.clone(), |condition| condition.last_transition_time.clone());
    conditions.retain(|condition| condition.type_ != "DisruptionAllowed");
    conditions.push(Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: "False".to_owned(),
        reason: "InsufficientPods".to_owned(),
        message: String::new(),
        observed_generation: generation,
        last_transition_time: since,
    });
}

/// Notes on the pod why it goes, and deletes it, provided it is still the one that was judged.
async fn remove(call: &Call<'_>, write: &Write<'_>, request: &DeleteRequest, revision: &str) -> Result<(), Status> {
    let write = &Write { admission: &Admitted, ..*write };
    let (registry, namespace, name) = (call.registry(), call.namespace(), call.info.name);
    let wanted = request.resource_version.clone().unwrap_or_else(|| revision.to_owned());
    let now = registry.now();
    let marked = {
        let mut change = |current: &Current<'_>| mark(current.object, &wanted, now);
        registry.update(&call.resource, write, Part::Given, namespace, name, &mut change).await?
    };
    let resource_version = Some(marked.entry.revision.to_string());
    let request = DeleteRequest { resource_version, ..request.clone() };
    registry.delete(&call.resource, write, namespace, name, &request).await.map(drop)
}

fn mark(object: &dyn Object, revision: &str, now: Timestamp) -> Result<Box<dyn Object>, Status> {
    let mut pod = object.downcast::<Pod>().cloned().ok_or_else(Status::no_such_path)?;
    pod.metadata.resource_version = Some(revision.to_owned());
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    if conditions.iter().any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True") {
        return Ok(Box::new(pod));
    }
    conditions.retain(|condition| condition.type_ != "DisruptionTarget");
    conditions.push(PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("EvictionByEvictionAPI".to_owned()),
        message: Some("Eviction API: evicting".to_owned()),
        last_transition_time: Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    });
    Ok(Box::new(pod))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn budget(status: serde_json::Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({"metadata": {"name": "b", "generation": 2}, "spec": {}, "status": status}))
            .unwrap()
    }

    fn ready_pod() -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}))
        .unwrap()
    }

    #[test]
    fn a_budget_is_charged_until_it_is_spent() {
        let healthy = |allowed: i32| {
            json!({"observedGeneration": 2, "disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 2,
                "expectedPods": 3})
        };
        let mut own = budget(healthy(1));
        take(&mut own, &ready_pod(), "p", Timestamp::UNIX_EPOCH).unwrap();
        let status = own.status.clone().unwrap();
        assert_eq!(status.disruptions_allowed, Some(0));
        assert!(status.disrupted_pods.unwrap().contains_key("p"));
        assert_eq!(status.conditions.unwrap()[0].reason, "InsufficientPods");
        let refused = take(&mut own, &ready_pod(), "q", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (429, REFUSED));
        let cause = refused.details.unwrap().causes.unwrap()[0].message.clone().unwrap();
        assert_eq!(cause, "The disruption budget b needs 2 healthy pods and has 3 currently");
    }

    #[test]
    fn a_budget_that_is_not_yet_computed_asks_to_wait() {
        let mut stale = budget(json!({"observedGeneration": 1, "disruptionsAllowed": 5, "currentHealthy": 3,
            "desiredHealthy": 2, "expectedPods": 3}));
        let refused = take(&mut stale, &ready_pod(), "p", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(refused.details.unwrap().retry_after_seconds, Some(10));
    }

    #[test]
    fn a_pod_that_is_not_ready_costs_nothing_while_enough_others_are() {
        let mut own = budget(json!({"observedGeneration": 2, "disruptionsAllowed": 0, "currentHealthy": 2,
            "desiredHealthy": 2, "expectedPods": 3}));
        let mut pod = ready_pod();
        pod.status = None;
        assert!(take(&mut own, &pod, "p", Timestamp::UNIX_EPOCH).is_ok());
        assert!(own.status.unwrap().disrupted_pods.is_none());
    }
}
