//! Delete: at once, after a grace, or when the last finalizer goes.

use super::{Judged, Standing, Swap, TRIES_MAX, Write, Written, contended, encode};
use crate::admission::{Books, Operation};
use crate::entry::Entry;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::surroundings::second;
use api::{Object, Reason, Status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use store::{Expect, Op};

/// What becomes of the objects that this one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

#[derive(Clone, Debug, Default)]
pub struct DeleteRequest {
    pub grace_seconds: Option<i64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub propagation: Option<Propagation>,
}

#[derive(Debug)]
pub enum Deleted {
    /// Gone; its last state.
    Removed(Arc<Entry>),
    /// Marked, and gone when its grace ends or its finalizers do.
    Pending(Written),
}

/// What a delete does to the object as it stands.
enum Plan {
    Remove,
    /// Changed in its metadata, to be stored.
    Mark,
    /// On its way already.
    Leave,
}

impl Registry {
    pub async fn delete(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        namespace: &str,
        name: &str,
        request: &DeleteRequest,
    ) -> Result<Deleted, Status> {
        self.inner.fresh().await?;
        for _ in 0..TRIES_MAX {
            let standing = self.standing(resource, resource.require(namespace, name)?).await?;
            if let Some(deleted) = self.attempt_delete(resource, write, standing, request).await? {
                return Ok(deleted);
            }
        }
        Err(contended(resource, name))
    }

    async fn attempt_delete(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        standing: Standing,
        request: &DeleteRequest,
    ) -> Result<Option<Deleted>, Status> {
        let Standing { stored: entry, own, object: old } = standing;
        check_preconditions(resource, old.meta(), request)?;
        let (named, books) = ((entry.namespace(), entry.name()), Books { new: &[], old: own.managed_fields() });
        let attempt = write.attempt(resource, Operation::Delete, named, books);
        let claims = write.admission.validate(&attempt, None, Some(old.as_ref())).await?;
        let mut object = old.boxed();
        match plan(resource, object.as_mut(), request, self.inner.surroundings.now()) {
            Plan::Leave => self.written(resource, entry).await.map(|written| Some(Deleted::Pending(written))),
            Plan::Remove if write.dry_run => Ok(Some(Deleted::Removed(own))),
            Plan::Remove => {
                let op = Op::Delete { key: entry.key().clone() };
                let unique = self.inner.unique(resource, entry.key(), Some(old.as_ref()), None);
                match self.swap(write, entry.key(), Expect::At(entry.revision), op, unique).await? {
                    Swap::Done(_) => Ok(Some(Deleted::Removed(own))),
                    Swap::Lost => Ok(None),
                }
            }
            Plan::Mark => {
                let value = encode(resource, object.as_mut(), own.managed_fields()).await?;
                if write.dry_run {
                    let marked = resource.entry(entry.key().clone(), entry.revision, value, None);
                    let marked = self.unstored(resource, marked.map_err(Status::internal)?).await?;
                    return Ok(Some(Deleted::Pending(marked)));
                }
                let expect = Expect::At(entry.revision);
                let judged = Judged { old: Some(old.as_ref()), new: object.as_ref(), claims: &claims };
                let put = self.put(resource, write, entry.key(), expect, judged, value).await?;
                let Some(entry) = put else { return Ok(None) };
                self.written(resource, entry).await.map(|written| Some(Deleted::Pending(written)))
            }
        }
    }
}

fn check_preconditions(resource: &Resource, meta: &ObjectMeta, request: &DeleteRequest) -> Result<(), Status> {
    let name = meta.name.as_deref().unwrap_or_default();
    let refuse = |why: String| {
        let mut status = Status::conflict(resource.def, name, &why);
        status.message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.def.kind);
        Err(status)
    };
    match (&request.uid, &meta.uid) {
        (Some(wanted), own) if own.as_ref() != Some(wanted) => {
            return refuse(format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({}). \
                 The object might have been deleted and then recreated",
                own.as_deref().unwrap_or_default()
            ));
        }
        _ => {}
    }
    match (&request.resource_version, &meta.resource_version) {
        (Some(wanted), own) if own.as_ref() != Some(wanted) => refuse(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            own.as_deref().unwrap_or_default()
        )),
        _ => Ok(()),
    }
}

/// Decides, and for `Mark` changes the object.
fn plan(resource: &Resource, object: &mut dyn Object, request: &DeleteRequest, now: Timestamp) -> Plan {
    let first = object.meta().deletion_timestamp.is_none();
    let grace = if first {
        grace_seconds(object, request.grace_seconds)
    } else {
        match (object.meta().deletion_grace_period_seconds, request.grace_seconds) {
            (None, _) => 0,
            (Some(own), Some(shorter)) if shorter.max(0) < own => shorter.max(0),
            _ => return Plan::Leave,
        }
    };
    let changed = set_finalizers(object.meta_mut(), request.propagation);
    let held = object.meta().finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
        || resource.hook.as_ref().is_some_and(|hook| hook.holds(object));
    if grace == 0 && !held {
        return Plan::Remove;
    }
    if !first && !changed && object.meta().deletion_grace_period_seconds == Some(grace) {
        return Plan::Leave;
    }
    mark(object.meta_mut(), grace, now);
    if let Some(hook) = &resource.hook {
        hook.mark_deleted(object);
    }
    Plan::Mark
}

fn grace_seconds(object: &dyn Object, asked: Option<i64>) -> i64 {
    let Some(default) = object.default_grace_seconds() else { return 0 };
    let grace = asked.unwrap_or(default);
    // Upstream's reading of a negative grace: as short as can be, but not by force.
    let grace = if grace < 0 { 1 } else { grace };
    if object.deletes_at_once(grace) { 0 } else { grace }
}

fn mark(meta: &mut ObjectMeta, grace: i64, now: Timestamp) {
    let begun = match (&meta.deletion_timestamp, meta.deletion_grace_period_seconds) {
        (Some(until), Some(own)) => until.0 - SignedDuration::from_secs(own),
        _ => second(now),
    };
    if meta.deletion_timestamp.is_none() && meta.generation.is_some_and(|generation| generation > 0) {
        meta.generation = meta.generation.map(|generation| generation + 1);
    }
    // A grace so long that the date overflows never ends anyway.
    let until = begun.checked_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
    meta.deletion_timestamp = Some(Time(second(until)));
    meta.deletion_grace_period_seconds = Some(grace);
}

/// Notes the wanted propagation where the garbage collector looks for it; whether anything changed.
fn set_finalizers(meta: &mut ObjectMeta, propagation: Option<Propagation>) -> bool {
    let Some(propagation) = propagation else { return false };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let before = meta.finalizers.clone().unwrap_or_default();
    let mut after: Vec<String> = before
        .iter()
        .filter(|name| ![FOREGROUND, ORPHAN].contains(&name.as_str()) || Some(name.as_str()) == wanted)
        .cloned()
        .collect();
    if let Some(wanted) = wanted
        && !after.iter().any(|name| name == wanted)
    {
        after.push(wanted.to_owned());
    }
    let changed = after != before;
    if changed {
        meta.finalizers = (!after.is_empty()).then_some(after);
    }
    changed
}

impl Propagation {
    /// As clients write it.
    pub fn parse(text: &str) -> Result<Propagation, Status> {
        match text {
            "Background" => Ok(Propagation::Background),
            "Foreground" => Ok(Propagation::Foreground),
            "Orphan" => Ok(Propagation::Orphan),
            other => Err(Status::new(
                Reason::Invalid,
                format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: \
                     supported values: \"Background\", \"Foreground\", \"Orphan\""
                ),
            )),
        }
    }
}
