//! Events: what a component tells the people who look at an object.
//!
//! Invariants: recording never waits and never fails its caller; the same event again raises a count; many similar
//! ones become one; one object gets at most a burst and then one every five minutes. As upstream's correlator.

use crate::clock::Clock;
use api::{Reason, Status};
use client::{Cached, Client, PatchType};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

/// Events that wait to be written; when so many wait, further ones are counted and dropped.
const WAITING_MAX: usize = 1024;
/// Events being written at once.
const WRITES_MAX: usize = 16;
/// Remembered events and objects; when so many are, all are forgotten, and a repeated event is a new object.
const REMEMBERED_MAX: usize = 4096;
/// Different messages of one reason about one object, after which they are combined into one event.
const SIMILAR_MAX: usize = 10;
const SIMILAR_SECONDS: i64 = 600;
/// Events about one object that may come at once, and the time after which one more may.
const BURST: u32 = 25;
const REFILL_SECONDS: i64 = 300;
const MESSAGE_LENGTH_MAX: usize = 1024;

/// A component's pen; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    component: Arc<str>,
    host: Arc<str>,
    queue: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
    clock: Clock,
}

struct Note {
    component: Arc<str>,
    host: Arc<str>,
    regarding: ObjectReference,
    severity: Severity,
    reason: String,
    message: String,
    at: Timestamp,
}

impl Recorder {
    /// Starts the one task that writes a process's events. `host` is empty, or the node that speaks.
    pub fn start(client: Client, clock: Clock, component: &str, host: &str) -> Recorder {
        let (queue, notes) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(client, notes));
        Recorder { component: component.into(), host: host.into(), queue, dropped: Arc::default(), clock }
    }

    /// The same pen in another component's hand.
    pub fn component(&self, component: &str) -> Recorder {
        Recorder { component: component.into(), ..self.clone() }
    }

    pub fn event<K: Cached>(&self, regarding: &K, severity: Severity, reason: &str, message: impl Into<String>) {
        self.event_about(reference(regarding), severity, reason, message);
    }

    pub fn event_about(
        &self,
        regarding: ObjectReference,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
    ) {
        let mut message: String = message.into();
        if message.len() > MESSAGE_LENGTH_MAX {
            let cut = (0..=MESSAGE_LENGTH_MAX).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
            message.truncate(cut);
        }
        let note = Note {
            component: self.component.clone(),
            host: self.host.clone(),
            regarding,
            severity,
            reason: reason.to_owned(),
            message,
            at: self.clock.now(),
        };
        if self.queue.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that were not written because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// An object as events refer to it.
pub fn reference<K: Cached>(object: &K) -> ObjectReference {
    let meta = object.meta();
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ObjectReference {
        api_version: Some(K::RESOURCE.api_version()),
        kind: Some(K::RESOURCE.kind.to_owned()),
        namespace: text(meta.namespace),
        name: text(meta.name),
        uid: text(meta.uid),
        resource_version: text(meta.resource_version),
        ..ObjectReference::default()
    }
}

async fn write(client: Client, mut notes: mpsc::Receiver<Note>) {
    let mut correlator = Correlator::default();
    let mut writes = JoinSet::new();
    while let Some(note) = notes.recv().await {
        let Some(event) = correlator.correlate(&note) else { continue };
        // A repetition patches what an earlier write made, so it comes after all of them; new events need not wait.
        let room = if event.count == Some(1) { WRITES_MAX } else { 1 };
        while writes.len() >= room && writes.join_next().await.is_some() {}
        writes.spawn(send(client.clone(), event));
    }
    while writes.join_next().await.is_some() {}
}

async fn send(client: Client, event: Event) {
    if let Err(status) = try_send(&client, &event).await {
        // An event is advice: nobody waits for it, and a namespace that ends refuses them all.
        tracing::debug!(reason = event.reason, %status, "an event was not written");
    }
}

async fn try_send(client: &Client, event: &Event) -> Result<(), Status> {
    if event.count.is_some_and(|count| count > 1) {
        let (namespace, name) = (event.metadata.namespace.as_deref(), event.metadata.name.as_deref());
        let patch = Repeat { count: event.count, last_timestamp: &event.last_timestamp, message: &event.message };
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        match client.patch::<Event>(namespace, name, PatchType::Merge, None, &patch).await {
            Err(status) if status.reason == Reason::NotFound => {}
            answer => return answer.map(drop),
        }
    }
    client.create(event).await.map(drop)
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Repeat<'a> {
    count: Option<i32>,
    last_timestamp: &'a Option<Time>,
    message: &'a Option<String>,
}

/// What an event is about, and who says so.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Subject {
    component: Arc<str>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    field: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Group {
    subject: Subject,
    severity: Severity,
    reason: String,
}

/// The pure part: what to write for a note, if anything.
#[derive(Default)]
struct Correlator {
    /// By group and message; the combined event of a group has an empty message.
    known: HashMap<(Group, String), Event>,
    groups: HashMap<Group, (Timestamp, HashSet<String>)>,
    budgets: HashMap<Subject, (Timestamp, u32)>,
}

impl Correlator {
    fn correlate(&mut self, note: &Note) -> Option<Event> {
        let group = group(note);
        let combined = self.is_one_too_many_alike(&group, note);
        if !self.may_speak(&group.subject, note.at) {
            return None;
        }
        let message =
            if combined { format!("(combined from similar events): {}", note.message) } else { note.message.clone() };
        let key = (group, if combined { String::new() } else { note.message.clone() });
        bound(&mut self.known);
        let event = self.known.entry(key).and_modify(|event| {
            event.count = event.count.map(|count| count.saturating_add(1));
            event.last_timestamp = Some(Time(note.at));
        });
        let event = event.or_insert_with(|| new_event(note));
        event.message = Some(message);
        Some(event.clone())
    }

    fn is_one_too_many_alike(&mut self, group: &Group, note: &Note) -> bool {
        bound(&mut self.groups);
        let (last, messages) = self.groups.entry(group.clone()).or_insert_with(|| (note.at, HashSet::new()));
        if note.at.as_second() - last.as_second() > SIMILAR_SECONDS {
            messages.clear();
        }
        *last = note.at;
        if messages.len() >= SIMILAR_MAX {
            return !messages.contains(&note.message);
        }
        messages.insert(note.message.clone());
        false
    }

    fn may_speak(&mut self, subject: &Subject, now: Timestamp) -> bool {
        bound(&mut self.budgets);
        let (since, left) = self.budgets.entry(subject.clone()).or_insert((now, BURST));
        let refilled = (now.as_second() - since.as_second()) / REFILL_SECONDS;
        if refilled > 0 {
            *left = u32::try_from(refilled).unwrap_or(BURST).saturating_add(*left).min(BURST);
            *since = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

fn bound<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.len() >= REMEMBERED_MAX {
        map.clear();
    }
}

fn group(note: &Note) -> Group {
    let about = &note.regarding;
    let subject = Subject {
        component: note.component.clone(),
        kind: about.kind.clone(),
        namespace: about.namespace.clone(),
        name: about.name.clone(),
        uid: about.uid.clone(),
        field: about.field_path.clone(),
    };
    Group { subject, severity: note.severity, reason: note.reason.clone() }
}

fn new_event(note: &Note) -> Event {
    let name = note.regarding.name.as_deref().unwrap_or_default();
    let namespace = note.regarding.namespace.clone().filter(|namespace| !namespace.is_empty());
    let host = Some(note.host.to_string()).filter(|host| !host.is_empty());
    Event {
        metadata: ObjectMeta {
            // The time makes it unique, as upstream's names.
            name: Some(format!("{name}.{:x}", note.at.as_nanosecond())),
            namespace: Some(namespace.unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        involved_object: note.regarding.clone(),
        type_: Some(note.severity.name().to_owned()),
        reason: Some(note.reason.clone()),
        message: Some(note.message.clone()),
        source: Some(EventSource { component: Some(note.component.to_string()), host: host.clone() }),
        reporting_component: Some(note.component.to_string()),
        reporting_instance: host,
        first_timestamp: Some(Time(note.at)),
        last_timestamp: Some(Time(note.at)),
        count: Some(1),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(object: &str, message: &str, second: i64) -> Note {
        Note {
            component: "tester".into(),
            host: "".into(),
            regarding: ObjectReference { name: Some(object.to_owned()), ..Default::default() },
            severity: Severity::Normal,
            reason: "Tested".to_owned(),
            message: message.to_owned(),
            at: Timestamp::from_second(1_000_000 + second).unwrap(),
        }
    }

    #[test]
    fn the_same_event_again_raises_its_count() {
        let mut correlator = Correlator::default();
        let first = correlator.correlate(&note("a", "hello", 0)).unwrap();
        let second = correlator.correlate(&note("a", "hello", 5)).unwrap();
        assert_eq!((first.count, second.count), (Some(1), Some(2)));
        assert_eq!(first.metadata.name, second.metadata.name);
        assert_ne!(first.last_timestamp, second.last_timestamp);
        assert_eq!(correlator.correlate(&note("b", "hello", 5)).unwrap().count, Some(1));
    }

    #[test]
    fn many_similar_events_become_one() {
        let mut correlator = Correlator::default();
        let events: Vec<Event> =
            (0..13).map(|n| correlator.correlate(&note("a", &format!("pod {n}"), 0)).unwrap()).collect();
        assert_eq!(events[9].message.as_deref(), Some("pod 9"));
        assert_eq!(events[10].message.as_deref(), Some("(combined from similar events): pod 10"));
        assert_eq!((events[10].count, events[12].count), (Some(1), Some(3)));
        assert_eq!(events[10].metadata.name, events[12].metadata.name);
    }

    #[test]
    fn one_object_gets_a_burst_and_then_one_in_five_minutes() {
        let mut correlator = Correlator::default();
        let mut write = |second| correlator.correlate(&note("a", "again", second)).is_some();
        assert_eq!((0..40).filter(|_| write(0)).count(), 25);
        assert!(!write(299));
        assert!(write(300));
        assert!(!write(301));
    }
}
