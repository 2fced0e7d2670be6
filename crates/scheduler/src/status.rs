//! What the scheduler writes on a pod that it cannot place.

use api::{Reason, Subresource};
use client::{Client, PatchType, PodView};
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

const SCHEDULED: &str = "PodScheduled";

#[derive(Serialize)]
pub(crate) struct Patch {
    status: Conditions,
}

#[derive(Serialize)]
struct Conditions {
    conditions: [PodCondition; 1],
}

/// The patch that says that the pod is not scheduled; `None` if the pod says so already.
pub(crate) fn not_scheduled(pod: &PodView, reason: &str, message: String, now: Timestamp) -> Option<Patch> {
    let known = pod.unscheduled.as_deref();
    if known.is_some_and(|known| *known.reason == *reason && *known.message == *message) {
        return None;
    }
    let since = known.and_then(|known| known.since);
    let condition = PodCondition {
        type_: SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(since.unwrap_or(now))),
        ..PodCondition::default()
    };
    Some(Patch { status: Conditions { conditions: [condition] } })
}

/// By strategic merge, so that other conditions stay.
pub(crate) async fn write(client: &Client, pod: &PodView, patch: &Patch) {
    let (namespace, name) = (pod.namespace(), pod.name());
    let answer = client.patch::<PodView>(namespace, name, PatchType::Strategic, Some(Subresource::Status), patch).await;
    if let Err(status) = answer.map(drop)
        && status.reason != Reason::NotFound
    {
        // The next attempt writes it again.
        tracing::warn!(namespace, name, %status, "writing why a pod is not scheduled");
    }
}
