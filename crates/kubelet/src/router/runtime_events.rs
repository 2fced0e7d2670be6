//! Hears from the runtime that containers ended: from its event stream, or by a sparing look where it has none.

use crate::context::Context;
use crate::cri_request::labels;
use crate::pod::Uid;
use cri::Events;
use cri::v1::{
    ContainerEventResponse, ContainerEventType, ContainerState, GetEventsRequest, ListContainersRequest,
    ListPodSandboxRequest,
};
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Code;

/// Whose state should be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nudge {
    Pod(Uid),
    Everybody,
}

/// How often a runtime without events is asked for its list: upstream's figure.
const RELIST: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Runs until the router is gone.
pub(crate) async fn run(context: Arc<Context>, nudges: mpsc::Sender<Nudge>) {
    let mut wait = RETRY_FIRST;
    while !nudges.is_closed() {
        match context.runtime.get_container_events(GetEventsRequest {}).await {
            Ok(events) => {
                wait = RETRY_FIRST;
                // Whatever happened before this stream began is found by looking.
                if nudges.send(Nudge::Everybody).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = listen(events, &nudges) => {}
                    () = nudges.closed() => return,
                }
            }
            Err(status) if status.code() == Code::Unimplemented => return relist(&context, &nudges).await,
            Err(status) => tracing::warn!(%status, "no container events; they are asked for again"),
        }
        // A back-off, not a synchronisation: the runtime is away.
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MOST);
    }
}

async fn listen(mut events: Events, nudges: &mpsc::Sender<Nudge>) {
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(status) => {
                tracing::debug!(%status, "the container events ended");
                return;
            }
        };
        if let Some(nudge) = nudge_of(&event)
            && nudges.send(nudge).await.is_err()
        {
            return;
        }
    }
}

/// Starts are no news: this node did them itself, and has their answers.
fn nudge_of(event: &ContainerEventResponse) -> Option<Nudge> {
    let kind = ContainerEventType::try_from(event.container_event_type).ok()?;
    if matches!(kind, ContainerEventType::ContainerCreatedEvent | ContainerEventType::ContainerStartedEvent) {
        return None;
    }
    let sandbox = event.pod_sandbox_status.as_ref();
    let uid = sandbox.and_then(|status| status.metadata.as_ref()).map(|metadata| metadata.uid.as_str());
    let uid = uid.or_else(|| event.containers_statuses.first()?.labels.get(labels::POD_UID).map(String::as_str));
    Some(uid.filter(|uid| !uid.is_empty()).map_or(Nudge::Everybody, |uid| Nudge::Pod(uid.into())))
}

/// State by id, with the pod it belongs to.
type Snapshot = HashMap<String, (i32, Uid)>;

async fn relist(context: &Context, nudges: &mpsc::Sender<Nudge>) {
    tracing::info!("the runtime has no container events; it is asked every second");
    let mut before: Option<Snapshot> = None;
    let mut ticks = tokio::time::interval(RELIST);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = nudges.closed() => return,
        }
        let now = match snapshot(context).await {
            Ok(now) => now,
            Err(status) => {
                tracing::debug!(%status, "the runtime was not asked");
                continue;
            }
        };
        for uid in before.as_ref().map(|before| changed(before, &now)).unwrap_or_default() {
            if nudges.send(Nudge::Pod(uid)).await.is_err() {
                return;
            }
        }
        before = Some(now);
    }
}

async fn snapshot(context: &Context) -> Result<Snapshot, tonic::Status> {
    let containers = context.runtime.list_containers(ListContainersRequest::default()).await?.containers;
    let sandboxes = context.runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await?.items;
    let containers = containers.into_iter().map(|container| (container.id, container.state, container.labels));
    let sandboxes = sandboxes.into_iter().map(|sandbox| (sandbox.id, sandbox.state, sandbox.labels));
    let all = containers.chain(sandboxes);
    Ok(all
        .filter_map(|(id, state, labels)| Some((id, (state, labels.get(labels::POD_UID)?.as_str().into()))))
        .collect())
}

/// Pods of which something ended or vanished. (`SANDBOX_NOTREADY` and `CONTAINER_RUNNING` share a number, but an id is
/// always of one kind.)
fn changed(before: &Snapshot, now: &Snapshot) -> Vec<Uid> {
    let running = ContainerState::ContainerRunning as i32;
    let mut uids: Vec<Uid> = Vec::new();
    for (id, (state, uid)) in before {
        let news = match now.get(id) {
            Some((new, _)) => new != state,
            None => *state == running,
        };
        if news {
            uids.push(uid.clone());
        }
    }
    // One that came and ended between two looks.
    let ended = ContainerState::ContainerExited as i32;
    uids.extend(
        now.iter()
            .filter(|(id, (state, _))| *state == ended && !before.contains_key(*id))
            .map(|(_, (_, uid))| uid.clone()),
    );
    uids.sort();
    uids.dedup();
    uids
}

#[cfg(test)]
mod tests {
    use super::*;
    use cri::v1::{PodSandboxMetadata, PodSandboxStatus};

    #[test]
    fn only_ends_are_news() {
        let event = |kind: ContainerEventType, uid: &str| ContainerEventResponse {
            container_event_type: kind as i32,
            pod_sandbox_status: Some(PodSandboxStatus {
                metadata: Some(PodSandboxMetadata { uid: uid.into(), ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        };
        use ContainerEventType::{ContainerStartedEvent, ContainerStoppedEvent};
        assert_eq!(nudge_of(&event(ContainerStartedEvent, "u")), None);
        assert_eq!(nudge_of(&event(ContainerStoppedEvent, "u")), Some(Nudge::Pod("u".into())));
        assert_eq!(nudge_of(&event(ContainerStoppedEvent, "")), Some(Nudge::Everybody));
    }

    #[test]
    fn a_look_finds_what_changed() {
        let of = |list: &[(&str, i32, &str)]| -> Snapshot {
            list.iter().map(|(id, state, uid)| (id.to_string(), (*state, (*uid).into()))).collect()
        };
        let before = of(&[("a", 1, "u1"), ("b", 1, "u2"), ("c", 1, "u3"), ("d", 2, "u4")]);
        let now = of(&[("a", 1, "u1"), ("b", 2, "u2"), ("e", 2, "u5"), ("f", 1, "u6")]);
        let uids: Vec<String> = changed(&before, &now).iter().map(ToString::to_string).collect();
        assert_eq!(uids, ["u2", "u3", "u5"]);
    }
}
