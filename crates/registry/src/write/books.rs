//! Who manages which fields: every write is booked before admission has its say, so that what plugins and webhooks add
//! is nobody's.
//!
//! Invariants: only what a write changed is decoded; a write that changes nothing leaves the books as they are; objects
//! whose books were cleared stay without any until the next apply, as upstream's do.

use super::Write;
use crate::entry::Entry;
use crate::json;
use crate::resource::Resource;
use api::schema::structured::{self, Author, Comparison, Managed, OtherVersions, Schema, compare};
use api::{Object, Registered, ResourceDef, Status};
use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How a write is to be booked.
pub(super) enum Booking<'a> {
    /// Its writer manages what differs from before.
    Update,
    /// As an apply has worked it out.
    Applied(&'a Draft),
}

/// The books after an apply.
pub(super) struct Draft {
    pub(super) managed: Managed,
    /// The merged object, to see what the server did not take over of it.
    pub(super) merged: Value,
}

/// The row of the version in which the objects are stored: sets of fields are kept in its terms.
fn stored_def(resource: &Resource) -> &'static ResourceDef {
    resource.kind.stored().map_or(resource.def, |stored| stored.def())
}

/// How a kind's objects merge: by the table of messages, or by a schema of the kind's own.
pub(super) struct Merging {
    message: &'static str,
    open: Option<Arc<Value>>,
}

impl Merging {
    pub(super) fn of(resource: &Resource) -> Merging {
        Merging::of_kind(resource.kind)
    }

    pub(super) fn of_kind(kind: &dyn Registered) -> Merging {
        Merging { message: kind.def().message, open: kind.open_schema() }
    }

    fn stored(resource: &Resource) -> Merging {
        Merging { message: stored_def(resource).message, ..Merging::of(resource) }
    }

    pub(super) fn schema(&self) -> Schema<'_> {
        match &self.open {
            Some(open) => Schema::of_custom(open),
            None => Schema::of_message(self.message),
        }
    }
}

/// The managed fields of the object about to be admitted, as their JSON array; empty for none. What the client sent of
/// them is taken out of the object.
pub(super) async fn book(
    resource: &Resource,
    write: &Write<'_>,
    booking: &Booking<'_>,
    before: Option<&Entry>,
    object: &mut dyn Object,
    now: Timestamp,
) -> Result<Vec<u8>, Status> {
    let sent = object.meta_mut().managed_fields.take();
    let live = before.map_or(&[][..], Entry::managed_fields);
    match (booking, write.manager) {
        (Booking::Applied(draft), manager) => applied(resource, write, draft, manager.unwrap_or_default(), object),
        (Booking::Update, None) => Ok(live.to_vec()),
        (Booking::Update, Some(manager)) => {
            let def = stored_def(resource);
            let new = encoded(object)?;
            let merging = Merging::stored(resource);
            let changes = match before {
                Some(before) => changes(merging.schema(), &before.unmanaged(), &new)?,
                None => created(merging.schema(), &new)?,
            };
            // Managed fields are changed through the object itself only.
            let sent = sent.filter(|_| write.subresource.is_none());
            if sent.is_none() && changes.is_empty() {
                return Ok(live.to_vec());
            }
            let books = base(sent, live)?;
            if books.is_empty() && before.is_some() {
                return Ok(Vec::new());
            }
            let api_version = def.api_version();
            let author = author(write, manager, &api_version);
            let versioned = before.filter(|_| !resource.versions.is_empty());
            let managed = versioned.map(|before| (before, decode(&books)));
            let Some((before, mut managed)) = managed.filter(|(_, managed)| speaks_others(managed, &api_version))
            else {
                return Ok(update(&books, &author, changes, now));
            };
            let spoken = managed.entries.iter().map(|entry| entry.api_version.clone()).collect();
            let pair = Pair { old: Bytes::from(before.unmanaged().into_owned()), new: new.into() };
            let others = in_others(resource, &api_version, spoken, &pair, &changes).await?;
            managed.update_in(&author, changes, &others, now);
            Ok(managed.encoded())
        }
    }
}

/// The books after those who change objects: what one of them has put in their place, where it is understood.
pub(super) fn rebooked<'a>(
    write: &Write<'_>,
    object: &mut dyn Object,
    booked: &'a [u8],
) -> Result<Cow<'a, [u8]>, Status> {
    let Some(own) = object.meta_mut().managed_fields.take() else { return Ok(Cow::Borrowed(booked)) };
    if own.is_empty() {
        return Ok(Cow::Borrowed(&[]));
    }
    match Managed::decode(&serde_json::to_vec(&own).map_err(Status::internal)?) {
        Ok(mut managed) => {
            managed.normalize();
            Ok(Cow::Owned(managed.encoded()))
        }
        Err(error) => {
            write.notes.warn(format!(
                ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated \
                 mutating admission controller; please fix your requests: {error}"
            ));
            Ok(Cow::Borrowed(booked))
        }
    }
}

fn speaks_others(managed: &Managed, own: &str) -> bool {
    managed.entries.iter().any(|entry| entry.api_version != own)
}

/// An object before and after a write, in one version.
pub(super) struct Pair {
    pub(super) old: Bytes,
    pub(super) new: Bytes,
}

/// How a write reads in these versions; `changes` is how it reads in its own.
pub(super) async fn in_others(
    resource: &Resource,
    own: &str,
    spoken: BTreeSet<String>,
    pair: &Pair,
    changes: &Comparison,
) -> Result<OtherVersions, Status> {
    let mut others = OtherVersions::new();
    for version in spoken.into_iter().filter(|version| version != own) {
        let Some(sibling) = resource.sibling(&version) else {
            others.insert(version, None);
            continue;
        };
        let merging = Merging::of_kind(sibling);
        // Versions that differ in nothing but their name read alike.
        let is_alike =
            !resource.is_converted_elsewhere() && merging.open.is_some() && merging.open == Merging::of(resource).open;
        let read = match is_alike {
            true => changes.clone(),
            false => {
                let old = value(&resource.in_version(sibling, pair.old.clone()).await?)?;
                let new = value(&resource.in_version(sibling, pair.new.clone()).await?)?;
                compare(merging.schema(), &old, &new)
            }
        };
        others.insert(version, Some(read));
    }
    Ok(others)
}

fn value(json: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(json).map_err(Status::internal)
}

pub(super) fn author<'a>(write: &Write<'_>, manager: &'a str, api_version: &'a str) -> Author<'a> {
    Author { manager, api_version, subresource: write.subresource.map_or("", api::Subresource::name) }
}

/// Stored managed fields; what does not decode is nobody's, so that the object can still be written.
pub(super) fn decode(live: &[u8]) -> Managed {
    Managed::decode(live).unwrap_or_else(|error| {
        tracing::warn!(%error, "an object's managed fields are dropped");
        Managed::default()
    })
}

/// Stored managed fields that do not decode are dropped, as upstream drops them, so that the object can be written.
fn update(books: &[u8], author: &Author<'_>, changes: Comparison, now: Timestamp) -> Vec<u8> {
    structured::update_of_json(books, author, changes, now).unwrap_or_else(|error| {
        tracing::warn!(%error, "an object's managed fields are dropped");
        Vec::new()
    })
}

/// The books that an update continues: those that the client sent, where it understands them, or the object's own. An
/// empty list, or one empty entry, clears them.
fn base(sent: Option<Vec<ManagedFieldsEntry>>, live: &[u8]) -> Result<Cow<'_, [u8]>, Status> {
    let Some(sent) = sent else { return Ok(Cow::Borrowed(live)) };
    if sent.is_empty() || matches!(sent.as_slice(), [one] if *one == ManagedFieldsEntry::default()) {
        return Ok(Cow::Borrowed(&[]));
    }
    let json = serde_json::to_vec(&sent).map_err(Status::internal)?;
    match Managed::decode(&json) {
        Ok(mut managed) if !managed.is_empty() => {
            managed.normalize();
            Ok(Cow::Owned(managed.encoded()))
        }
        _ => Ok(Cow::Borrowed(live)),
    }
}

/// The object as it would be stored, its `resourceVersion` kept.
fn encoded(object: &mut dyn Object) -> Result<Vec<u8>, Status> {
    let version = object.meta_mut().resource_version.take();
    let json = object.encode().map_err(Status::internal);
    object.meta_mut().resource_version = version;
    json
}

fn created(schema: Schema<'_>, new: &[u8]) -> Result<Comparison, Status> {
    let added = structured::created_of_json(schema, new).map_err(Status::internal)?;
    Ok(Comparison { added, ..Comparison::default() })
}

/// What differs between two objects. Members that are equal byte by byte are not decoded.
fn changes(schema: Schema<'_>, old: &[u8], new: &[u8]) -> Result<Comparison, Status> {
    let decode = |json: &[u8]| serde_json::from_slice::<Value>(json).map_err(Status::internal);
    let before: Vec<json::Member<'_>> = json::members(old).collect();
    let mut changes = Comparison::default();
    let mut met = 0;
    for member in json::members(new) {
        let twin = before.iter().find(|own| own.name == member.name);
        met += usize::from(twin.is_some());
        if twin.is_some_and(|own| own.value == member.value) || matches!(member.name, b"apiVersion" | b"kind") {
            continue;
        }
        let (own, value) = (twin.map(|own| decode(own.value)).transpose()?, decode(member.value)?);
        changes.add_member(schema, &name(&member), own.as_ref(), Some(&value));
    }
    if met < before.len() {
        for own in before.iter().filter(|own| !json::members(new).any(|member| member.name == own.name)) {
            changes.add_member(schema, &name(own), Some(&decode(own.value)?), None);
        }
    }
    Ok(changes)
}

fn name<'a>(member: &json::Member<'a>) -> Cow<'a, str> {
    String::from_utf8_lossy(member.name)
}

/// An applier manages of its intent what the server took over: a subresource, or the server itself, may have put back
/// the rest.
fn applied(
    resource: &Resource,
    write: &Write<'_>,
    draft: &Draft,
    manager: &str,
    object: &mut dyn Object,
) -> Result<Vec<u8>, Status> {
    let mut managed = draft.managed.clone();
    // A built-in kind's other versions have the stored type in hand, which is not what was merged.
    if resource.kind.stored().is_none() {
        let object = object.to_value().map_err(Status::internal)?;
        let differences = compare(Merging::of(resource).schema(), &draft.merged, &object);
        let lost = differences.modified.union(&differences.removed);
        let api_version = resource.def.api_version();
        managed.forget(&author(write, manager, &api_version), &lost);
    }
    Ok(managed.encoded())
}

/// Whether a write would change nothing but the times of managers.
pub(super) fn is_same(entry: &Entry, value: &[u8], managed_fields: &[u8]) -> bool {
    if *value == **entry.value() {
        return true;
    }
    let (own, unmanaged) = (entry.managed_fields(), entry.unmanaged());
    if own == managed_fields || own.is_empty() || managed_fields.is_empty() {
        return false;
    }
    // Beside their managed fields the two are equally long if they are equal.
    let rest = |all: usize, managed: &[u8]| all - managed.len();
    if rest(value.len(), managed_fields) != rest(entry.value().len(), own) {
        return false;
    }
    let Some(start) = json::metadata_start(value) else { return false };
    let after = start + json::managed_fields(&value[start..]).1;
    unmanaged.starts_with(&value[..start])
        && unmanaged[start..] == value[after..]
        && decode(own).same_fields(&decode(managed_fields))
}
