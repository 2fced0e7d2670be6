//! A watch's answer, cut into its events.
//!
//! Invariant: a stream ends with its first error, and when its server is left.

use super::cause;
use super::lines::EventLines;
use crate::servers::Servers;
use crate::transport::{EventType, RawEvent, RawEvents};
use api::Status;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::Incoming;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::watch;

#[derive(serde::Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// A watch's body, cut into its events.
struct Events {
    body: BodyDataStream<Incoming>,
    servers: Arc<Servers>,
    /// Whose it is.
    server: Arc<str>,
    left: watch::Receiver<u64>,
    lines: EventLines,
    ended: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Result<RawEvent, Status>> {
        if self.ended {
            return None;
        }
        let event = self.line().await?.and_then(parse);
        self.ended = event.is_err();
        Some(event)
    }

    async fn line(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            match self.lines.take() {
                Ok(None) => {}
                found => return found.transpose(),
            }
            let chunk = tokio::select! {
                chunk = self.body.next() => chunk?,
                // Its sender is in our hands.
                _ = self.left.changed() => match *self.servers.current() == *self.server {
                    true => continue,
                    false => return Some(Err(Status::unavailable(format!("{} cannot serve", self.server)))),
                },
            };
            match chunk {
                Ok(chunk) => self.lines.push(chunk),
                Err(error) => {
                    self.servers.failed(&self.server);
                    let cause = cause(&error);
                    return Some(Err(Status::unavailable(format!("the watch of {} broke off: {cause}", self.server))));
                }
            }
        }
    }
}

/// `left` is of `servers`, from before `server` was asked.
pub(super) fn events(body: Incoming, servers: Arc<Servers>, server: Arc<str>, left: watch::Receiver<u64>) -> RawEvents {
    let (body, lines) = (body.into_data_stream(), EventLines::default());
    let events = Events { body, servers, server, left, lines, ended: false };
    futures::stream::unfold(events, |mut own| async move { own.next().await.map(|event| (event, own)) }).boxed()
}

/// How servers write the events that are many, upstream's too: then the object is a part of the line as it stands.
const PLAIN: [(&[u8], EventType); 3] = [
    (br#"{"type":"ADDED","object":"#, EventType::Added),
    (br#"{"type":"MODIFIED","object":"#, EventType::Modified),
    (br#"{"type":"DELETED","object":"#, EventType::Deleted),
];

/// The event of a watch's line.
pub fn parse(line: Bytes) -> Result<RawEvent, Status> {
    for (head, kind) in PLAIN {
        if line.starts_with(head) && line.ends_with(b"}}\n") {
            return Ok(RawEvent { kind, object: line.slice(head.len()..line.len() - 2) });
        }
    }
    let frame: Frame<'_> =
        serde_json::from_slice(&line).map_err(|error| Status::internal(format!("decoding a watch event: {error}")))?;
    let kind = match frame.kind {
        "ADDED" => EventType::Added,
        "MODIFIED" => EventType::Modified,
        "DELETED" => EventType::Deleted,
        "BOOKMARK" => EventType::Bookmark,
        "ERROR" => {
            let status: meta::Status = serde_json::from_str(frame.object.get())
                .map_err(|error| Status::internal(format!("decoding a watch's error: {error}")))?;
            return Err(Status::from_object(500, status));
        }
        other => return Err(Status::internal(format!("an unknown watch event type {other:?}"))),
    };
    Ok(RawEvent { kind, object: line.slice_ref(frame.object.get().as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Reason;

    #[test]
    fn an_error_event_is_its_status() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        let error = parse(Bytes::from_static(line)).unwrap_err();
        assert_eq!((error.code, error.reason, error.message.as_str()), (410, Reason::Expired, "too old"));
    }
    #[test]
    fn an_event_is_its_object_however_the_line_is_written() {
        for line in [
            "{\"type\":\"MODIFIED\",\"object\":{\"a\":{}}}\n",
            "{\"type\":\"MODIFIED\",\"object\":{\"a\":{}}}\r\n",
            "{\"object\": {\"a\":{}}, \"type\": \"MODIFIED\"}\n",
        ] {
            let event = parse(Bytes::copy_from_slice(line.as_bytes())).unwrap();
            assert_eq!((event.kind, &event.object[..]), (EventType::Modified, &b"{\"a\":{}}"[..]), "{line}");
        }
        assert_eq!(parse(Bytes::from_static(b"{\"type\":\"MODIFIED\"}\n")).unwrap_err().code, 500);
    }
}
