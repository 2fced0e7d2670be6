//! Server-side apply: the intent is merged into the object that is there, or becomes a new one.
//!
//! Invariants: an intent says nothing of managed fields; what it no longer says goes only where nobody else manages it;
//! a lost compare-and-swap merges the intent again.

use super::books::{Booking, Draft, Merging, Pair, author, decode, in_others};
use super::{FieldValidation, Part, Pick, Standing, TRIES_MAX, Write, Written, contended, decode_body, metadata};
use crate::entry::Entry;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::surroundings::second;
use api::schema::structured::{self, Conflicts, Intent, LAST_APPLIED, Managed, OtherVersions, Set};
use api::{Object, Reason, Status, Subresource};
use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whose applies go on where those of their client side ended.
const KUBECTL: &str = "kubectl";
/// Who manages what an object had before anybody applied it.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// All annotations of an object, as upstream bounds them.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Whether the applier may create what is not there.
pub type MayCreate<'a> = &'a (dyn Fn() -> Result<(), Status> + Send + Sync);

/// What is applied.
pub struct Apply<'a> {
    pub intent: Value,
    /// Whether fields are taken from other managers.
    pub force: bool,
    /// Asked when the object is not there.
    pub may_create: MayCreate<'a>,
    /// What a subresource takes from the merged object.
    pub pick: Option<Pick<'a>>,
}

/// A merge that is to be stored.
struct Merged {
    object: Box<dyn Object>,
    draft: Draft,
}

impl Registry {
    pub async fn apply(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        namespace: &str,
        name: &str,
        apply: &Apply<'_>,
    ) -> Result<Written, Status> {
        check(resource, namespace, name, &apply.intent)?;
        self.inner.fresh().await?;
        for _ in 0..TRIES_MAX {
            let Some(entry) = resource.look_up(namespace, name)? else {
                match self.apply_new(resource, write, part, namespace, name, apply).await {
                    // Somebody else created it meanwhile: it is merged with.
                    Err(status) if status.reason == Reason::AlreadyExists && !write.dry_run => continue,
                    other => return other,
                }
            };
            let standing = self.standing(resource, entry).await?;
            let merged = self.merged(resource, write, part, Some(&standing.own), apply).await?;
            metadata::check_name(resource, merged.object.meta(), namespace, name)?;
            if let Some(written) = self.apply_to(resource, write, part, &standing, apply, merged).await? {
                return Ok(written);
            }
        }
        Err(contended(resource, name))
    }

    async fn apply_to(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        standing: &Standing,
        apply: &Apply<'_>,
        merged: Merged,
    ) -> Result<Option<Written>, Status> {
        let object = match apply.pick {
            Some(pick) => pick(standing.object.as_ref(), merged.object)?,
            None => merged.object,
        };
        let booking = Booking::Applied(&merged.draft);
        self.attempt_update(resource, write, part, &booking, standing, object).await
    }

    async fn apply_new(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        namespace: &str,
        name: &str,
        apply: &Apply<'_>,
    ) -> Result<Written, Status> {
        if part != Part::Object || write.subresource.is_some() {
            return Err(Status::not_found(resource.def, name));
        }
        (apply.may_create)()?;
        if let Some(uid) = apply.intent.pointer("/metadata/uid").and_then(Value::as_str) {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(resource.def, name, &why));
        }
        let mut merged = self.merged(resource, write, part, None, apply).await?;
        metadata::check_name(resource, merged.object.meta(), namespace, name)?;
        metadata::place(resource, merged.object.meta_mut(), namespace)?;
        merged.object.meta_mut().resource_version = None;
        self.create_named(resource, write, &Booking::Applied(&merged.draft), merged.object, false).await
    }

    async fn merged(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        entry: Option<&Arc<Entry>>,
        apply: &Apply<'_>,
    ) -> Result<Merged, Status> {
        let merging = Merging::of(resource);
        let schema = merging.schema();
        let live = live(resource, entry)?;
        let managed = self.managed(resource, entry, &live);
        let api_version = resource.def.api_version();
        let manager = write.manager.unwrap_or_default();
        let author = author(write, manager, &api_version);
        let allowed = match write.subresource {
            None if manager == KUBECTL => structured::allowed_conflicts(schema, &live, &api_version),
            _ => None,
        };
        let intent = Intent {
            value: &apply.intent,
            author,
            force: apply.force,
            ignored: &ignored(resource, part, &apply.intent),
            allowed: &allowed.unwrap_or_default(),
        };
        let now = second(self.inner.surroundings.now());
        let mut applying = managed.begin_apply(schema, &live, &intent);
        let json = |value: &Value| serde_json::to_vec(value).map(Bytes::from).map_err(Status::internal);
        let last = applying.last_version(&intent.author).and_then(|version| resource.sibling(version));
        if let Some(sibling) = last {
            let there = decoded(&resource.in_version(sibling, json(applying.value())?).await?)?;
            // Who converts it is to see a whole object of its own kind, and the same one.
            let mut said = applying.said().clone();
            said["metadata"] = live["metadata"].clone();
            let said = decoded(&resource.in_version(sibling, json(&said)?).await?)?;
            let rest = applying.without_last(Merging::of_kind(sibling).schema(), there, &said);
            let rest = resource.in_version(resource.kind, json(&rest)?).await?;
            applying.drop_last(schema, &intent.author, &decoded(&rest)?);
        }
        let changes = structured::compare(schema, &live, applying.value());
        let spoken: BTreeSet<String> = applying.versions().map(str::to_owned).collect();
        let others = match resource.versions.is_empty() {
            true => OtherVersions::new(),
            false => {
                let pair = Pair { old: json(&live)?, new: json(applying.value())? };
                in_others(resource, &api_version, spoken, &pair, &changes).await?
            }
        };
        let applied = applying.finish(&intent, changes, &others, now);
        let mut applied = applied.map_err(|conflicts| conflict(&conflicts))?;
        if manager == KUBECTL && write.subresource.is_none() && live.pointer("/metadata/annotations").is_some() {
            follow_last_applied(&live, &mut applied.value, &apply.intent);
        }
        let json = serde_json::to_vec(&applied.value).map_err(Status::internal)?;
        let object = decode_body(resource, &json, FieldValidation::Ignore)?.object;
        let merged = object.to_value().map_err(Status::internal)?;
        Ok(Merged { object, draft: Draft { managed: applied.managed, merged } })
    }

    /// The object's books. One that has none, because nobody ever applied it, gets them now.
    fn managed(&self, resource: &Resource, entry: Option<&Arc<Entry>>, live: &Value) -> Managed {
        let Some(entry) = entry else { return Managed::default() };
        let managed = decode(entry.managed_fields());
        if !managed.is_empty() {
            return managed;
        }
        let api_version = resource.def.api_version();
        let author = structured::Author { manager: BEFORE_FIRST_APPLY, api_version: &api_version, subresource: "" };
        let empty = Value::Object(Map::new());
        let mut managed = Managed::default();
        let now = second(self.inner.surroundings.now());
        managed.update(&author, structured::compare(Merging::of(resource).schema(), &empty, live), now);
        managed
    }
}

fn decoded(json: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(json).map_err(Status::internal)
}

/// The object that the intent is merged into, without its managed fields.
fn live(resource: &Resource, entry: Option<&Arc<Entry>>) -> Result<Value, Status> {
    let Some(entry) = entry else {
        return Ok(json!({"apiVersion": resource.def.api_version(), "kind": resource.def.kind}));
    };
    let json = resource.present(entry.unmanaged_json())?;
    serde_json::from_slice(&json).map_err(Status::internal)
}

/// Refuses an intent that is of another kind, speaks of managed fields, or does not fit the schema.
fn check(resource: &Resource, namespace: &str, name: &str, intent: &Value) -> Result<(), Status> {
    let def = resource.def;
    let text = |pointer: &str| intent.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let named = |api_version: &str, kind: &str| {
        let slash = if api_version.contains('/') { "" } else { "/" };
        format!("{slash}{api_version}, Kind={kind}")
    };
    if !intent.is_object() {
        return Err(Status::bad_request("error decoding YAML: the body is no object"));
    }
    if api_version != def.api_version() || kind != def.kind {
        return Err(Status::bad_request(format!("invalid object type: {}", named(api_version, kind))));
    }
    if intent.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    match structured::validate(Merging::of(resource).schema(), intent) {
        None => Ok(()),
        Some(why) => {
            let place = if namespace.is_empty() { format!("/{name}") } else { format!("{namespace}/{name}") };
            let kind = named(api_version, kind);
            let why = format!("failed to create typed patch object ({place}; {kind}): {why}");
            Err(Status::new(Reason::Unknown, why))
        }
    }
}

/// What of the intent the request's path cannot set.
fn ignored(resource: &Resource, part: Part, intent: &Value) -> Set {
    match part {
        Part::Object if resource.def.has(Subresource::Status) => Set::of_fields(&["status"]),
        Part::Status => {
            let names = intent.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
            let others: Vec<&str> = names.filter(|name| !matches!(*name, "metadata" | "status")).collect();
            Set::of_fields(&others)
        }
        Part::Object | Part::Given => Set::default(),
    }
}

/// `kubectl apply` of before finds in the annotation what was applied last, by whichever side.
fn follow_last_applied(live: &Value, applied: &mut Value, intent: &Value) {
    let annotation = |object: &Value| {
        let text = object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    if annotation(live).is_none() {
        return;
    }
    let mut last = intent.clone();
    if let Some(annotations) = last.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
    }
    last.sort_all_objects();
    let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    annotations.insert(LAST_APPLIED.to_owned(), Value::from(format!("{last}\n")));
    let bytes: usize = annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        annotations.shift_remove(LAST_APPLIED);
    }
}

fn conflict(conflicts: &Conflicts) -> Status {
    let causes = conflicts.0.iter().map(|conflict| StatusCause {
        reason: Some("FieldManagerConflict".to_owned()),
        message: Some(format!("conflict with {}", conflict.manager)),
        field: Some(conflict.path.to_string()),
    });
    let mut status = Status::new(Reason::Conflict, conflicts.to_string());
    status.details = Some(Box::new(StatusDetails { causes: Some(causes.collect()), ..StatusDetails::default() }));
    status
}
