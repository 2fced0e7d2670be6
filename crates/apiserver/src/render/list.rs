//! Lists: metadata and items, the items copied into few large chunks while they are sent.
//!
//! Bound: one chunk of `CHUNK_BYTES` (or one object, if it is larger) per list under way, beside the listing itself.

use super::{TableWriter, partial, protobuf, yaml};
use crate::http::{Answer, AnswerBody, Chunks, Form};
use api::Status;
use bytes::Bytes;
use k8s_openapi::jiff::Timestamp;
use registry::{Entry, Listing, Resource};
use std::sync::Arc;

const CHUNK_BYTES: usize = 512 << 10;

/// A listing in the asked form.
pub(crate) fn list(resource: &Resource, listing: Listing, form: Form, now: Timestamp) -> Result<Answer, Status> {
    match form {
        Form::Json => Ok(Answer::of("application/json", AnswerBody::Chunks(Box::new(json(resource, listing))))),
        Form::Yaml => yaml(&whole(resource, listing)),
        Form::Protobuf if resource.def.message.is_empty() => list(resource, listing, Form::Json, now),
        Form::Protobuf => {
            let message = format!("{}List", resource.def.message);
            protobuf::answer(&message, &whole(resource, listing))
        }
        Form::Partial => Ok(Answer::json(partial_list(&listing))),
        Form::PartialProtobuf => protobuf::answer(protobuf::PARTIAL_LIST, &partial_list(&listing)),
        Form::Table(include) => {
            let mut table = TableWriter::new(resource, include, now);
            for entry in &listing.entries {
                let object = entry.decode(resource.kind).map_err(Status::internal)?;
                table.row(object.as_ref(), &entry.json())?;
            }
            let revision = listing.revision.to_string();
            Ok(Answer::json(table.finish(&revision, &listing.continue_token, listing.remaining)?))
        }
    }
}

/// A list's `metadata` value.
pub(super) fn write_metadata(revision: &str, continue_token: &str, remaining: Option<i64>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"resourceVersion":""#);
    out.extend_from_slice(revision.as_bytes());
    out.push(b'"');
    if !continue_token.is_empty() {
        out.extend_from_slice(br#","continue":""#);
        out.extend_from_slice(continue_token.as_bytes());
        out.push(b'"');
    }
    if let Some(remaining) = remaining {
        out.extend_from_slice(br#","remainingItemCount":"#);
        out.extend_from_slice(itoa::Buffer::new().format(remaining).as_bytes());
    }
    out.push(b'}');
}

fn head(kind: &str, api_version: &str, listing: &Listing) -> Vec<u8> {
    let mut head = format!(r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":"#).into_bytes();
    write_metadata(&listing.revision.to_string(), &listing.continue_token, listing.remaining, &mut head);
    head.extend_from_slice(br#","items":["#);
    head
}

const TAIL: &[u8] = b"]}\n";

struct JsonList {
    head: Option<Vec<u8>>,
    /// Items of built-in kinds do not say what they are, as upstream's do not; custom ones do.
    is_typed: bool,
    entries: std::vec::IntoIter<Arc<Entry>>,
    first: bool,
    ended: bool,
    left: u64,
}

fn json(resource: &Resource, listing: Listing) -> JsonList {
    let head = head(resource.def.kind, &resource.def.api_version(), &listing);
    let is_typed = resource.def.message.is_empty();
    let items: usize = listing.entries.iter().map(|entry| item_len(entry, is_typed)).sum();
    let commas = listing.entries.len().saturating_sub(1);
    let left = (head.len() + items + commas + TAIL.len()) as u64;
    let entries = listing.entries.into_iter();
    JsonList { head: Some(head), is_typed, entries, first: true, ended: false, left }
}

fn item_len(entry: &Entry, is_typed: bool) -> usize {
    if is_typed { entry.json_len() } else { entry.item_len() }
}

/// The whole list's JSON at once, for forms that are made from it.
fn whole(resource: &Resource, listing: Listing) -> Vec<u8> {
    let mut chunks = json(resource, listing);
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next_chunk() {
        all.extend_from_slice(&chunk);
    }
    all
}

impl Chunks for JsonList {
    fn next_chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let room = CHUNK_BYTES.min(usize::try_from(self.left).unwrap_or(CHUNK_BYTES));
        let mut chunk = Vec::with_capacity(room + 64);
        if let Some(head) = self.head.take() {
            chunk.extend_from_slice(&head);
        }
        while let Some(entry) = self.entries.as_slice().first() {
            if !chunk.is_empty() && chunk.len() + item_len(entry, self.is_typed) >= CHUNK_BYTES {
                break;
            }
            if !std::mem::replace(&mut self.first, false) {
                chunk.push(b',');
            }
            if self.is_typed {
                entry.write_json(&mut chunk);
            } else {
                entry.write_item(&mut chunk);
            }
            self.entries.next();
        }
        if self.entries.as_slice().is_empty() {
            chunk.extend_from_slice(TAIL);
            self.ended = true;
        }
        self.left = self.left.saturating_sub(chunk.len() as u64);
        Some(Bytes::from(chunk))
    }

    fn bytes_left(&self) -> u64 {
        self.left
    }
}

fn partial_list(listing: &Listing) -> Vec<u8> {
    let mut out = head("PartialObjectMetadata", "meta.k8s.io/v1", listing);
    for (index, entry) in listing.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        partial::write(entry, &mut out);
    }
    out.extend_from_slice(TAIL);
    out
}
