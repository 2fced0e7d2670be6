//! What the scheduler writes on a pod that it cannot place.

use api::{Reason, Subresource};
use client::{Client, PatchType};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
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
pub(crate) fn not_scheduled(pod: &Pod, reason: &str, message: String, now: Timestamp) -> Option<Patch> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let known = conditions.into_iter().flatten().find(|condition| condition.type_ == SCHEDULED);
    let known = known.filter(|condition| condition.status == "False");
    let same =
        |known: &PodCondition| known.reason.as_deref() == Some(reason) && known.message.as_ref() == Some(&message);
    if known.is_some_and(same) {
        return None;
    }
    let since = known.and_then(|condition| condition.last_transition_time.clone());
    let condition = PodCondition {
        type_: SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        ..PodCondition::default()
    };
    Some(Patch { status: Conditions { conditions: [condition] } })
}

/// By strategic merge, so that other conditions stay.
pub(crate) async fn write(client: &Client, pod: &Pod, patch: &Patch) {
    let meta = &pod.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let answer = client.patch::<Pod>(namespace, name, PatchType::Strategic, Some(Subresource::Status), patch).await;
    if let Err(status) = answer.map(drop)
        && status.reason != Reason::NotFound
    {
        // The next attempt writes it again.
        tracing::warn!(namespace, name, %status, "writing why a pod is not scheduled");
    }
}
