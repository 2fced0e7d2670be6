//! The in-memory server's watches: cursors into its log.

use super::Inner;
use super::matcher::Matcher;
use super::state::Commit;
use crate::transport::{EventType, RawEvent, RawEvents, WatchRequest};
use api::Status;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch::Receiver;

struct Watch {
    server: Arc<Inner>,
    resource: String,
    matcher: Matcher,
    ready: VecDeque<RawEvent>,
    /// The next commit in the log.
    cursor: usize,
    committed: Receiver<u64>,
}

pub(super) fn open(server: Arc<Inner>, request: &WatchRequest) -> Result<RawEvents, Status> {
    let resource = request.def.group_resource();
    let matcher = Matcher::new(&request.namespace, &request.label_selector, &request.field_selector)?;
    let committed = server.committed.subscribe();
    let mut ready = VecDeque::new();
    let state = server.state.lock();
    let cursor = if request.resource_version.is_empty() {
        for object in state.all(&resource) {
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            if matcher.holds(namespace, &object) {
                ready.push_back(event(EventType::Added, &object)?);
            }
        }
        let mark = json!({
            "apiVersion": request.def.api_version(), "kind": request.def.kind,
            "metadata": {
                "resourceVersion": state.revision().to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        });
        ready.push_back(event(EventType::Bookmark, &mark)?);
        state.log().len()
    } else {
        let after: u64 =
            request.resource_version.parse().map_err(|_| Status::bad_request("invalid resourceVersion"))?;
        state.log().partition_point(|commit| commit.revision <= after)
    };
    drop(state);
    let watch = Watch { server, resource, matcher, ready, cursor, committed };
    Ok(Box::pin(stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((event, watch))
    })))
}

impl Watch {
    /// The next event; `None` when the server is gone.
    async fn next(&mut self) -> Option<Result<RawEvent, Status>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let commit = self.server.state.lock().log().get(self.cursor).cloned();
            let Some(commit) = commit else {
                self.committed.changed().await.ok()?;
                continue;
            };
            self.cursor += 1;
            if commit.path.0 != self.resource {
                continue;
            }
            let lag = self.server.lag.lock().as_ref().map(|lag| lag(&self.resource, commit.revision));
            if let Some(lag) = lag {
                tokio::time::sleep_until(commit.at + lag).await;
            }
            if let Some(event) = self.seen(&commit) {
                return Some(event);
            }
        }
    }

    /// A commit as this watch's selectors see it: leaving them is a deletion, entering them an addition.
    fn seen(&self, commit: &Commit) -> Option<Result<RawEvent, Status>> {
        let holds =
            |object: &Option<Arc<Value>>| object.as_ref().is_some_and(|o| self.matcher.holds(&commit.path.1, o));
        let kind = match (holds(&commit.old), holds(&commit.new)) {
            (false, true) => EventType::Added,
            (true, true) => EventType::Modified,
            (true, false) => EventType::Deleted,
            (false, false) => return None,
        };
        Some(event(kind, &commit.last))
    }
}

fn event(kind: EventType, object: &Value) -> Result<RawEvent, Status> {
    let object = serde_json::to_vec(object).map(Bytes::from).map_err(Status::internal)?;
    Ok(RawEvent { kind, object })
}
