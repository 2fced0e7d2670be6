//! One change of one object, as watchers share it: the object before and after.
//!
//! Invariant: immutable. An event keeps no text of its own beside the objects; the lines that are made of many events
//! are shared (`pieces`).

use crate::entry::Entry;
use bytes::Bytes;
use std::sync::Arc;
use store::Revision;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    pub fn name(self) -> &'static str {
        match self {
            EventType::Added => "ADDED",
            EventType::Modified => "MODIFIED",
            EventType::Deleted => "DELETED",
        }
    }
}

#[derive(Debug)]
pub struct Event {
    pub revision: Revision,
    pub before: Option<Arc<Entry>>,
    pub after: Option<Arc<Entry>>,
}

const FRAME_END: &[u8] = b"}\n";

fn frame_head(kind: EventType) -> &'static [u8] {
    match kind {
        EventType::Added => br#"{"type":"ADDED","object":"#,
        EventType::Modified => br#"{"type":"MODIFIED","object":"#,
        EventType::Deleted => br#"{"type":"DELETED","object":"#,
    }
}

/// A watch event's line for an object that is not from the log: the present state at a watch's start.
pub fn added_frame(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(frame_head(EventType::Added));
    entry.write_json(out);
    out.extend_from_slice(FRAME_END);
}

impl Event {
    /// At least one of `before` and `after` is there.
    pub(crate) fn new(revision: Revision, before: Option<Arc<Entry>>, after: Option<Arc<Entry>>) -> Event {
        Event { revision, before, after }
    }

    /// What the event is to a watcher without a selector.
    pub fn plain_type(&self) -> EventType {
        match (&self.before, &self.after) {
            (_, None) => EventType::Deleted,
            (None, Some(_)) => EventType::Added,
            (Some(_), Some(_)) => EventType::Modified,
        }
    }

    /// The object that an event of this type shows: the last state for what is or leaves, the new one else.
    pub fn entry(&self, kind: EventType) -> &Arc<Entry> {
        let shown = match kind {
            EventType::Deleted => self.before.as_ref().or(self.after.as_ref()),
            EventType::Added | EventType::Modified => self.after.as_ref().or(self.before.as_ref()),
        };
        shown.expect("an event has an object before or after")
    }

    /// Appends `{"type":…,"object":…}` and a line's end.
    pub fn write_frame(&self, kind: EventType, out: &mut Vec<u8>) {
        out.extend_from_slice(frame_head(kind));
        self.entry(kind).write_json_at(self.revision, out);
        out.extend_from_slice(FRAME_END);
    }

    /// The length of the frame, or a little more.
    pub fn frame_len(&self, kind: EventType) -> usize {
        // A deletion's revision may have a digit more than the object's own.
        frame_head(kind).len() + self.entry(kind).json_len() + 4 + FRAME_END.len()
    }

    /// The object alone.
    pub fn object(&self, kind: EventType) -> Bytes {
        let entry = self.entry(kind);
        let mut out = Vec::with_capacity(entry.json_len() + 4);
        entry.write_json_at(self.revision, &mut out);
        Bytes::from(out)
    }

    /// The object without its managed fields, for those who have no use for them.
    pub fn unmanaged_object(&self, kind: EventType) -> Bytes {
        self.entry(kind).unmanaged_json_at(self.revision)
    }

    /// What it may keep in memory: its new object.
    pub(crate) fn cost(&self) -> usize {
        let entry = self.after.as_ref().or(self.before.as_ref());
        200 + entry.map_or(0, |entry| entry.value().len())
    }
}
