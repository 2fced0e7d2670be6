//! A watch over HTTP: one line per event, until the client, its timeout or the log's end ends it.
//!
//! Bounds: a chunk of `CHUNK_BYTES` (or one larger event) is made at a time, and only when the client takes it;
//! events wait in the shared log. Where many watch the same, each gets its events together, a few milliseconds' worth
//! at a time: what a write to a connection costs beside its bytes is paid less often.

use crate::call::Call;
use crate::http::{Answer, AnswerBody, Form};
use crate::render::{self, protobuf};
use api::field::{FieldError, FieldPath};
use api::schema::proto::watch_frame;
use api::{Reason, Status};
use bytes::Bytes;
use k8s_openapi::jiff::Timestamp;
use registry::{Event, EventType, ReadVersion, Revision, Start, Step, Watcher, added_frame};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

const CHUNK_BYTES: usize = 64 << 10;
/// The time between two chunks of one watch per watch of the same, and its bound.
const PACE_PER_WATCH: Duration = Duration::from_micros(40);
const PACE_MOST: Duration = Duration::from_millis(4);
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// A watch without a timeout ends after this and up to as much again, so that clients spread.
const TIMEOUT_DEFAULT_SECONDS: u64 = 1800;

pub(super) async fn watch(call: &Call<'_>) -> Result<Answer, Status> {
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let (start, initial_end) = start(call)?;
    let watcher = call.registry().watch(&call.resource, call.selection()?, start).await?;
    let timeout = timeout(call)?;
    // Custom kinds have no protobuf form.
    let form = if call.def().message.is_empty() && call.form == Form::Protobuf { Form::Json } else { call.form };
    let plain = matches!(form, Form::Json | Form::Yaml) && call.resource.is_stored_version();
    let deadline = Instant::now() + timeout;
    let lines = Lines {
        watcher: if plain { watcher.in_lines() } else { watcher },
        form,
        plain,
        registry: call.backend.registry.clone(),
        bookmarks,
        initial_end: initial_end && bookmarks,
        waiting: VecDeque::new(),
        deadline,
        timer: Box::pin(tokio::time::sleep_until(deadline)),
        not_before: None,
        next_bookmark: Instant::now() + BOOKMARK_INTERVAL,
        stopping: Box::pin(call.backend.stopping.clone().cancelled_owned()),
        first: true,
        ended: false,
        told: call.backend.metrics.watch_events((call.def().group, call.def().version, call.def().kind)),
    };
    let stream =
        futures::stream::unfold(lines, |mut lines| async move { lines.next_chunk().await.map(|chunk| (chunk, lines)) });
    let content_type = if form.is_protobuf() { protobuf::WATCH_TYPE } else { "application/json" };
    Ok(Answer::of(content_type, AnswerBody::stream(stream)))
}

fn timeout(call: &Call<'_>) -> Result<Duration, Status> {
    let seconds = match call.query.integer("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => seconds.unsigned_abs(),
        _ => {
            let mut random = [0; 2];
            call.registry().surroundings().fill(&mut random);
            TIMEOUT_DEFAULT_SECONDS + u64::from(u16::from_be_bytes(random)) % TIMEOUT_DEFAULT_SECONDS
        }
    };
    Ok(Duration::from_secs(seconds))
}

/// Where the watch begins, and whether the end of its initial state is to be marked.
fn start(call: &Call<'_>) -> Result<(Start, bool), Status> {
    let version = call.query.get("resourceVersion");
    let version_match = call.query.get("resourceVersionMatch");
    let initial = call.query.optional_flag("sendInitialEvents");
    check_options(version_match, initial)?;
    let revision = match version {
        "" | "0" => None,
        text => Some(ReadVersion::parse(call.def(), text)?),
    };
    Ok(match (initial, revision, version) {
        (Some(true), Some(revision), _) => (Start::StateSince(revision), true),
        (Some(true), None, "0") => (Start::AnyState, true),
        (Some(true), None, _) => (Start::State, true),
        (_, Some(revision), _) => (Start::After(revision), false),
        (Some(false), None, _) => (Start::Now, false),
        (None, None, "0") => (Start::AnyState, false),
        (None, None, _) => (Start::State, false),
    })
}

fn check_options(version_match: &str, initial: Option<bool>) -> Result<(), Status> {
    let why = match (initial, version_match) {
        (Some(_), "NotOlderThan") | (None, "") => return Ok(()),
        (Some(_), _) => "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        (None, _) => "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    };
    let error = FieldError::forbidden(FieldPath::new("resourceVersionMatch"), why);
    Err(Status::new(Reason::Invalid, format!("ListOptions.meta.k8s.io \"\" is invalid: {error}")))
}

/// Makes the lines of one watch.
struct Lines {
    watcher: Watcher,
    form: Form,
    /// Whether events can be sent as they stand in the log.
    plain: bool,
    registry: Arc<registry::Registry>,
    bookmarks: bool,
    initial_end: bool,
    /// Read from the log, not yet in a chunk.
    waiting: VecDeque<(EventType, Arc<Event>)>,
    deadline: Instant,
    next_bookmark: Instant,
    /// Kept from wait to wait, as to be put on a list anew costs more than the rest of a wait.
    timer: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    /// When the next chunk may be made; `None`: at once.
    not_before: Option<Instant>,
    first: bool,
    ended: bool,
    /// Events that watches of this kind are sent.
    told: Arc<AtomicU64>,
}

impl Lines {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if self.ended {
                return None;
            }
            if !self.waiting.is_empty() {
                return self.event_chunk();
            }
            if let Some(until) = self.not_before.take() {
                self.wait(until, false).await;
                continue;
            }
            let step = tokio::select! {
                biased;
                step = self.watcher.try_next_shown() => step,
                // Who converts objects may be slow to answer.
                () = &mut self.stopping => {
                    self.ended = true;
                    continue;
                }
            };
            match step {
                Ok(Some(Step::Lines { lines, events, more })) => {
                    self.not_before = if more { None } else { self.pace() };
                    self.told.fetch_add(events, Ordering::Relaxed);
                    return Some(lines);
                }
                Ok(Some(Step::Events(events))) => self.waiting = events.into(),
                Ok(Some(Step::State(entries))) => return Some(self.state_chunk(&entries)),
                Ok(Some(Step::StateEnd(revision))) if self.initial_end => {
                    return Some(self.bookmark(revision, true));
                }
                Ok(Some(Step::StateEnd(_))) => {}
                Ok(None) => {
                    let now = Instant::now();
                    if now >= self.deadline {
                        self.ended = true;
                        return self.bookmarks.then(|| self.bookmark(self.watcher.position(), false));
                    }
                    if self.bookmarks && now >= self.next_bookmark {
                        self.next_bookmark = now + BOOKMARK_INTERVAL;
                        return Some(self.bookmark(self.watcher.position(), false));
                    }
                    let until = if self.bookmarks { self.deadline.min(self.next_bookmark) } else { self.deadline };
                    self.wait(until, true).await;
                }
                Err(status) => return Some(self.error(&status)),
            }
        }
    }

    /// What came first shows on the next turn.
    async fn wait(&mut self, until: Instant, for_changes: bool) {
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        tokio::select! {
            () = self.watcher.changed(), if for_changes => {}
            () = &mut self.timer => {}
            () = &mut self.stopping => self.ended = true,
        }
    }

    /// When the next chunk may be made if one is made now.
    fn pace(&self) -> Option<Instant> {
        let crowd = u32::try_from(self.watcher.crowd()).unwrap_or(u32::MAX);
        let pace = PACE_PER_WATCH.saturating_mul(crowd).min(PACE_MOST);
        // Timers are no finer.
        (pace >= Duration::from_millis(1)).then(|| Instant::now() + pace)
    }

    fn event_chunk(&mut self) -> Option<Bytes> {
        let wanted: usize = self.waiting.iter().map(|(kind, event)| event.frame_len(*kind)).sum();
        let mut chunk = Vec::with_capacity(wanted.min(CHUNK_BYTES));
        while let Some((kind, event)) = self.waiting.front() {
            if !chunk.is_empty() && chunk.len() + event.entry(*kind).json_len() > CHUNK_BYTES {
                break;
            }
            if self.plain {
                event.write_frame(*kind, &mut chunk);
            } else {
                let object = event.object(*kind);
                if let Err(status) = self.write_event(kind.name(), object, &mut chunk) {
                    return Some(self.error(&status));
                }
                self.first = false;
            }
            self.told.fetch_add(1, Ordering::Relaxed);
            self.waiting.pop_front();
        }
        Some(Bytes::from(chunk))
    }

    fn state_chunk(&mut self, entries: &[Arc<registry::Entry>]) -> Bytes {
        self.told.fetch_add(entries.len() as u64, Ordering::Relaxed);
        let mut chunk = Vec::with_capacity(entries.iter().map(|entry| entry.json_len() + 32).sum());
        for entry in entries {
            if self.plain {
                added_frame(entry, &mut chunk);
            } else if let Err(status) = self.write_event(EventType::Added.name(), entry.json(), &mut chunk) {
                return self.error(&status);
            } else {
                self.first = false;
            }
        }
        Bytes::from(chunk)
    }

    fn write_event(&self, kind: &str, object: Bytes, out: &mut Vec<u8>) -> Result<(), Status> {
        let now: Timestamp = self.registry.now();
        if self.form.is_protobuf() {
            let mut encoded = Vec::new();
            render::event_object(self.watcher.resource(), &object, self.form, now, self.first, &mut encoded)?;
            out.extend_from_slice(&watch_frame(kind, &encoded));
            return Ok(());
        }
        out.extend_from_slice(br#"{"type":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(br#"","object":"#);
        render::event_object(self.watcher.resource(), &object, self.form, now, self.first, out)?;
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn bookmark(&self, revision: Revision, initial_end: bool) -> Bytes {
        let object = bookmark_object(&self.watcher, self.form, revision, initial_end);
        let message = match self.form {
            Form::PartialProtobuf => protobuf::PARTIAL,
            _ => self.watcher.resource().def.message,
        };
        self.line("BOOKMARK", &object, message)
    }

    /// One event that is no stored object's; `message` is its protobuf message.
    fn line(&self, kind: &str, object: &[u8], message: &str) -> Bytes {
        if self.form.is_protobuf() {
            return match protobuf::encode(message, object) {
                Ok(object) => Bytes::from(watch_frame(kind, &object)),
                Err(error) => {
                    tracing::error!(%error, "an event does not encode");
                    Bytes::new()
                }
            };
        }
        let mut line = format!(r#"{{"type":"{kind}","object":"#).into_bytes();
        line.extend_from_slice(object);
        line.extend_from_slice(b"}\n");
        Bytes::from(line)
    }

    /// The last line of a watch that cannot go on.
    fn error(&mut self, status: &Status) -> Bytes {
        self.ended = true;
        match serde_json::to_vec(&status.object()) {
            Ok(object) => self.line("ERROR", &object, protobuf::STATUS),
            Err(error) => {
                tracing::error!(%error, "a Status does not encode");
                Bytes::new()
            }
        }
    }
}

/// An object that says only how far a watch is.
pub(crate) fn bookmark_object(watcher: &Watcher, form: Form, revision: Revision, initial_end: bool) -> Vec<u8> {
    let annotations = if initial_end { r#","annotations":{"k8s.io/initial-events-end":"true"}"# } else { "" };
    let metadata = format!(r#"{{"resourceVersion":"{revision}","creationTimestamp":null{annotations}}}"#);
    let def = watcher.resource().def;
    match form {
        Form::Table(_) => render::table_bookmark(metadata.as_bytes()),
        Form::Partial | Form::PartialProtobuf => {
            format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#)
                .into_bytes()
        }
        Form::Json | Form::Yaml | Form::Protobuf => {
            format!(r#"{{"kind":"{}","apiVersion":"{}","metadata":{metadata}}}"#, def.kind, def.api_version())
                .into_bytes()
        }
    }
}
