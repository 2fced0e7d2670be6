//! A webhook's patch, applied to the object in the version that the webhook saw.
//!
//! Invariants: what comes out is defaulted, and of the same kind, name and identity; a webhook changes of the object no
//! more than the request's path lets its client change.

use super::annotations::{self, Place};
use super::ask::{Failure, internal};
use super::configurations::Webhook;
use super::review::{Answer, JSON_PATCH};
use crate::admission::request::{Judged, Seen, in_request_version};
use crate::subresources::body;
use api::custom::CustomObject;
use api::{Object, Registered, Status, Subresource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use registry::{Operation, Part, Registry};
use serde_json::Value;
use std::borrow::Cow;

type Managers = Vec<ManagedFieldsEntry>;

/// The object as an answer wants it; `None` where it wants nothing.
pub(super) async fn patched(
    registry: &Registry,
    hook: &Webhook,
    answer: &Answer,
    judged: &Judged<'_>,
    seen: &Seen,
    object: &Value,
    place: Place,
) -> Result<Option<Box<dyn Object>>, Failure> {
    let unaskable = |why: String| Failure::Unaskable(internal(&why));
    if answer.patch.is_empty() {
        return Ok(None);
    }
    let undecodable = |error: serde_json::Error| {
        Failure::Unheard(format!("received undecodable patch in webhook response: {error}"), 503)
    };
    let source: Value = serde_json::from_slice(&answer.patch).map_err(undecodable)?;
    let operations: json_patch::Patch = serde_json::from_slice(&answer.patch).map_err(undecodable)?;
    if operations.0.is_empty() {
        return Ok(None);
    }
    let Some(before) = judged.object else {
        return Err(unaskable(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            hook.name
        )));
    };
    if answer.patch_type != JSON_PATCH {
        return Err(Failure::Unheard(format!("unsupported patch type {:?}", answer.patch_type), 400));
    }
    let mut value = object.clone();
    registry::apply_operations(&mut value, &operations).map_err(|error| unaskable(error.to_string()))?;
    let object = decoded(registry, judged, seen, before, value).await.map_err(unaskable)?;
    let object = within_path(judged, before, object).map_err(Failure::Unaskable)?;
    annotations::patch(judged.attempt.notes, place, hook, &source).map_err(Failure::Unaskable)?;
    Ok(Some(object))
}

/// An object of the request's kind out of JSON of the version that was seen.
pub(in crate::admission) async fn decoded(
    registry: &Registry,
    judged: &Judged<'_>,
    seen: &Seen,
    before: &dyn Object,
    value: Value,
) -> Result<Box<dyn Object>, String> {
    let mut kind: &dyn Registered = seen.kind;
    let mut json = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
    if before.as_any().is::<CustomObject>() {
        // Versions of a custom kind differ in their schemas: the request's own is to judge it.
        kind = judged.attempt.kind;
        json = in_request_version(registry, judged, json).await?;
    }
    let checked = kind.check(&json).map_err(|error| error.to_string())?;
    let mut object = kind.decode(&checked.json).map_err(|error| error.to_string())?;
    object.defaults();
    Ok(object)
}

/// The managed fields that the object carries itself: those that a judge has put in the place of its books.
fn rebooked(books: &[u8], own: &ObjectMeta, patched: Option<Managers>) -> Result<Option<Managers>, Status> {
    let wanted = patched.unwrap_or_default();
    let present = match &own.managed_fields {
        Some(own) => Cow::Borrowed(own),
        None if books.is_empty() => Cow::Owned(Vec::new()),
        None => Cow::Owned(serde_json::from_slice(books).map_err(Status::internal)?),
    };
    Ok(if wanted == *present { own.managed_fields.clone() } else { Some(wanted) })
}

/// Puts back what the request's path does not let anybody change.
pub(in crate::admission) fn within_path(
    judged: &Judged<'_>,
    before: &dyn Object,
    mut object: Box<dyn Object>,
) -> Result<Box<dyn Object>, Status> {
    let attempt = judged.attempt;
    let (own, meta) = (before.meta(), object.meta_mut());
    // A name that is yet to be generated may be chosen.
    let is_renamed = meta.name != own.name && !before.name().is_empty();
    if is_renamed || meta.namespace != own.namespace {
        let (name, wanted) = (meta.name.clone().unwrap_or_default(), own.name.clone().unwrap_or_default());
        let why = format!("the name of the object ({name}) does not match the name on the URL ({wanted})");
        return Err(Status::bad_request(why));
    }
    meta.managed_fields = rebooked(attempt.books.new, own, meta.managed_fields.take())?;
    meta.uid.clone_from(&own.uid);
    meta.creation_timestamp.clone_from(&own.creation_timestamp);
    meta.deletion_timestamp.clone_from(&own.deletion_timestamp);
    meta.deletion_grace_period_seconds = own.deletion_grace_period_seconds;
    meta.generation = own.generation;
    if attempt.subresource.and_then(Subresource::kind).is_some() {
        return Ok(object);
    }
    match (attempt.operation, judged.old()) {
        (Operation::Create, _) => object.prepare_create(),
        (Operation::Update, Some(old)) => match body::part(attempt.subresource) {
            (Part::Object, _) => object.prepare_update(old),
            (Part::Status, _) => object.prepare_status(old),
            (Part::Given, pick) => object = pick(old, object)?,
        },
        _ => {}
    }
    object.defaults();
    Ok(object)
}
