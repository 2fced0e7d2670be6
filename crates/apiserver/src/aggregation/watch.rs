//! A component's watch of a kind that another server serves.
//!
//! Invariants: what is there is listed before it is watched, as not every server knows `sendInitialEvents`; a watch that
//! ends is an error, so that whoever resumes it does not do so at once; of refusals only those remain what they are that
//! say that the place is too old, as the kind is served by what discovery says.
//! Bounds: an event's bytes (`EventLines`); a kind's objects, once, until they have been told of, of `LIST_BYTES_MAX`.

use super::forward::{TIME_MAX, asked, forward, refused};
use super::remote::Remote;
use crate::backend::Backend;
use crate::http::query_text;
use api::user::User;
use api::{Reason, Status};
use bytes::Bytes;
use client::{EventLines, EventType, RawEvent, RawEvents, WatchRequest, parse_event};
use futures::StreamExt;
use http::Method;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects of one page, as upstream's clients ask for them.
const PAGE: &str = "500";
/// All pages together: a server that never comes to an end is not listened to for ever.
const LIST_BYTES_MAX: usize = 256 << 20;

/// Tells of all that is there, then of its changes; with a `resource_version`, of the changes since then.
pub(crate) async fn watch(
    backend: &Backend,
    remote: &Remote,
    user: &User,
    request: &WatchRequest,
) -> Result<RawEvents, Status> {
    let asking = Asking { backend, remote, user, request };
    let mut present = Vec::new();
    let mut revision = request.resource_version.clone();
    if revision.is_empty() {
        revision = asking.list(&mut present).await.map_err(transient)?;
    }
    let changes = asking.changes(&revision).await.map_err(transient)?;
    let present = futures::stream::iter(present.into_iter().map(Ok));
    let stopping = backend.stopping.clone().cancelled_owned();
    Ok(present.chain(changes).take_until(stopping).boxed())
}

fn transient(status: Status) -> Status {
    match status.reason {
        Reason::Expired | Reason::Gone => status,
        _ => Status::unavailable(status.message),
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: String,
    r#continue: String,
}

struct Asking<'a> {
    backend: &'a Backend,
    remote: &'a Remote,
    user: &'a User,
    request: &'a WatchRequest,
}

impl Asking<'_> {
    fn path(&self, more: &[(&str, &str)]) -> String {
        let WatchRequest { def, namespace, label_selector, field_selector, .. } = self.request;
        let selectors = [("labelSelector", &**label_selector), ("fieldSelector", &**field_selector)];
        let given = selectors.into_iter().chain(more.iter().copied()).filter(|(_, value)| !value.is_empty());
        let namespace = Some(&**namespace).filter(|namespace| !namespace.is_empty());
        def.path(namespace, None, None) + &query_text(given)
    }

    /// Adds what is there, and the mark of its end; the revision that it is of.
    async fn list(&self, events: &mut Vec<RawEvent>) -> Result<String, Status> {
        let (mut next, mut bytes) = (String::new(), 0);
        loop {
            let path = self.path(&[("limit", PAGE), ("continue", &next)]);
            let body = forward(self.backend, self.remote, self.user, (Method::GET, &path), ("", Bytes::new())).await?;
            bytes += body.len();
            if bytes > LIST_BYTES_MAX {
                let server = self.remote.origin();
                return Err(Status::internal(format!("a list of {server} is larger than {LIST_BYTES_MAX} bytes")));
            }
            let undecodable = |error| Status::internal(format!("decoding a list of {}: {error}", self.remote.origin()));
            let page: Page<'_> = serde_json::from_slice(&body).map_err(undecodable)?;
            let items = page.items.unwrap_or_default().into_iter();
            events.extend(items.map(|item| {
                let object = body.slice_ref(item.get().as_bytes());
                RawEvent { kind: EventType::Added, object }
            }));
            if page.metadata.r#continue.is_empty() {
                let revision = page.metadata.resource_version;
                events.push(RawEvent { kind: EventType::Bookmark, object: self.end_of_list(&revision) });
                return Ok(revision);
            }
            next = page.metadata.r#continue;
        }
    }

    fn end_of_list(&self, revision: &str) -> Bytes {
        let def = self.request.def;
        let mark = serde_json::json!({"apiVersion": def.api_version(), "kind": def.kind, "metadata": {
            "resourceVersion": revision, "annotations": {"k8s.io/initial-events-end": "true"}}});
        mark.to_string().into()
    }

    async fn changes(&self, revision: &str) -> Result<RawEvents, Status> {
        let path = self.path(&[("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", revision)]);
        let request = asked(self.remote, self.user, (Method::GET, &path), ("", Bytes::new()))?;
        let target = self.remote.target();
        let sent = tokio::time::timeout(TIME_MAX, self.backend.parts()?.callout.send(&target, request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(why)) => return Err(Status::unavailable(format!("error trying to reach service: {why}"))),
            Err(_) => return Err(Status::unavailable(format!("{} did not answer", self.remote.origin()))),
        };
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let body = BodyDataStream::new(response.into_body());
        let events = Events { body, lines: EventLines::default(), server: self.remote.origin(), ended: false };
        let next = |mut events: Events| async move { events.next().await.map(|event| (event, events)) };
        Ok(futures::stream::unfold(events, next).boxed())
    }
}

/// A watch's body, cut into its events.
struct Events {
    body: BodyDataStream<Incoming>,
    lines: EventLines,
    server: String,
    ended: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Result<RawEvent, Status>> {
        if self.ended {
            return None;
        }
        let event = self.event().await;
        self.ended = event.is_err();
        Some(event)
    }

    async fn event(&mut self) -> Result<RawEvent, Status> {
        loop {
            while let Some(line) = self.lines.take()? {
                if !line.trim_ascii().is_empty() {
                    return parse_event(line);
                }
            }
            match self.body.next().await {
                Some(Ok(chunk)) => self.lines.push(chunk),
                Some(Err(error)) => {
                    return Err(Status::unavailable(format!("the watch of {} broke off: {error}", self.server)));
                }
                None => return Err(Status::unavailable(format!("the watch of {} ended", self.server))),
            }
        }
    }
}
