//! Writes one pod's status to the API: the latest, once it has changed, until it is there.
//!
//! Invariants: one task per pod; a newer status replaces one that waits, and the last is never lost while the object
//! exists; a delete goes out after the last status. Retries back off to `RETRY_MOST` and never end by themselves.

use crate::context::Context;
use crate::pod;
use crate::pod_machine::OWNED_CONDITIONS;
use crate::worker::Desired;
use api::{Reason, Status};
use client::DeleteOptions;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Wish {
    status: Option<Arc<PodStatus>>,
    delete: bool,
}

/// A pod's pen. Its task ends when it is dropped and everything is written.
pub(crate) struct StatusWriter {
    wishes: watch::Sender<Wish>,
}

impl StatusWriter {
    pub(crate) fn spawn(context: Arc<Context>, pods: watch::Receiver<Desired>) -> StatusWriter {
        let (wishes, read) = watch::channel(Wish::default());
        tokio::spawn(run(context, pods, read));
        StatusWriter { wishes }
    }

    pub(crate) fn write(&self, status: PodStatus) {
        self.wishes.send_modify(|wish| wish.status = Some(Arc::new(status)));
    }

    pub(crate) fn delete(&self) {
        self.wishes.send_modify(|wish| wish.delete = true);
    }
}

/// What a try came to.
enum Written {
    Done(Option<Box<Pod>>),
    /// There is no such object, or another of that name.
    Gone,
}

async fn run(context: Arc<Context>, mut pods: watch::Receiver<Desired>, mut wishes: watch::Receiver<Wish>) {
    let mut base: Option<Box<Pod>> = None;
    loop {
        tokio::select! {
            changed = wishes.changed() => if changed.is_err() { return },
            changed = pods.changed() => {
                // Others write here too: the node controller says that a silent node's pods are not ready, and takes
                // nothing back. What we said last holds, so it is said again.
                if changed.is_err() { return }
                if !newer(&pods.borrow().pod, base.as_deref()) { continue }
                base = None;
            }
        }
        let mut wait = RETRY_FIRST;
        loop {
            let wish = wishes.borrow_and_update().clone();
            let desired = pods.borrow_and_update().clone();
            if desired.removed {
                return;
            }
            match satisfy(&context, base.take(), &desired.pod, &wish).await {
                Ok(Written::Gone) => return,
                Ok(Written::Done(answer)) => {
                    base = answer;
                    break;
                }
                Err(status) => {
                    tracing::debug!(pod = %pod::described(&desired.pod), %status, "a pod's status was not written; it is tried again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_MOST),
                changed = pods.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Whether the object seen was written after the one that we wrote last.
fn newer(seen: &Pod, written: Option<&Pod>) -> bool {
    let revision = |pod: &Pod| pod.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
    written.is_some_and(|written| revision(seen) > revision(written))
}

async fn satisfy(context: &Context, base: Option<Box<Pod>>, cached: &Pod, wish: &Wish) -> Result<Written, Status> {
    let _permit = context.status_writes.acquire().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut answer = base;
    if let Some(status) = &wish.status {
        match write(context, answer.take(), cached, status).await? {
            Written::Gone => return Ok(Written::Gone),
            Written::Done(written) => answer = written,
        }
    }
    if wish.delete {
        let options =
            DeleteOptions { grace_seconds: Some(0), uid: cached.metadata.uid.clone(), ..DeleteOptions::default() };
        let (namespace, name) = (pod::namespace(cached), pod::name(cached));
        return match context.client.delete::<Pod>(namespace, name, &options).await {
            // A conflict of the uid: another pod has the name by now.
            Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => Ok(Written::Gone),
            result => result.map(|()| Written::Done(answer)),
        };
    }
    Ok(Written::Done(answer))
}

/// Upon the object as last written or, when another wrote since, as it is now.
async fn write(context: &Context, base: Option<Box<Pod>>, cached: &Pod, status: &PodStatus) -> Result<Written, Status> {
    let base = base.unwrap_or_else(|| Box::new(cached.clone()));
    match put(context, base, status).await {
        Err(refusal) if refusal.reason == Reason::Conflict => {
            match context.client.find::<Pod>(pod::namespace(cached), pod::name(cached)).await? {
                Some(fresh) if fresh.metadata.uid == cached.metadata.uid => {
                    match put(context, Box::new(fresh), status).await {
                        Err(status) if status.reason == Reason::NotFound => Ok(Written::Gone),
                        result => result.map(Written::Done),
                    }
                }
                _ => Ok(Written::Gone),
            }
        }
        Err(status) if status.reason == Reason::NotFound => Ok(Written::Gone),
        result => result.map(Written::Done),
    }
}

async fn put(context: &Context, mut pod: Box<Pod>, status: &PodStatus) -> Result<Option<Box<Pod>>, Status> {
    let merged = merge(pod.status.clone().unwrap_or_default(), status);
    if pod.status.as_ref() == Some(&merged) {
        return Ok(Some(pod));
    }
    pod.status = Some(merged);
    context.client.update_status(&*pod).await.map(|pod| Some(Box::new(pod)))
}

/// What this node owns replaces what is there; the rest stays.
fn merge(base: PodStatus, own: &PodStatus) -> PodStatus {
    let others = base.conditions.into_iter().flatten();
    let mut conditions: Vec<_> = own.conditions.clone().unwrap_or_default();
    conditions.extend(others.filter(|condition| {
        let ours = OWNED_CONDITIONS.contains(&condition.type_.as_str());
        let replaced = own.conditions.iter().flatten().any(|own| own.type_ == condition.type_);
        // A condition that was set for the pod's whole end (DisruptionTarget) outlives what set it.
        !replaced && (!ours || condition.status == "True")
    }));
    PodStatus {
        conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        phase: own.phase.clone(),
        reason: own.reason.clone().or(base.reason.filter(|_| own.phase.as_deref() == Some("Failed"))),
        message: own.message.clone().or(base.message.filter(|_| own.phase.as_deref() == Some("Failed"))),
        host_ip: own.host_ip.clone().or(base.host_ip),
        host_ips: own.host_ips.clone().or(base.host_ips),
        pod_ip: own.pod_ip.clone(),
        pod_ips: own.pod_ips.clone(),
        start_time: own.start_time.clone(),
        qos_class: base.qos_class.or_else(|| own.qos_class.clone()),
        observed_generation: own.observed_generation,
        init_container_statuses: own.init_container_statuses.clone(),
        container_statuses: own.container_statuses.clone(),
        ephemeral_container_statuses: own.ephemeral_container_statuses.clone(),
        ..base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(yaml: &str) -> PodStatus {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn others_conditions_stay_and_own_are_replaced() {
        let base = status(
            "{phase: Pending, nominatedNodeName: n, message: old, conditions: [{type: Gate, status: 'True'}, \
             {type: Ready, status: 'False', reason: X}, {type: DisruptionTarget, status: 'True'}]}",
        );
        let own = status("{phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True'}]}");
        let merged = merge(base, &own);
        let types: Vec<&str> = merged.conditions.iter().flatten().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["Ready", "Gate", "DisruptionTarget"]);
        assert_eq!(merged.conditions.unwrap()[0].reason, None);
        assert_eq!(
            (merged.phase.as_deref(), merged.message, merged.nominated_node_name.as_deref()),
            (Some("Running"), None, Some("n"))
        );
    }
}
