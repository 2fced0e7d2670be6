//! `apply --server-side`: the server merges, and keeps the books of who manages what.
//!
//! Invariant: what client-side apply managed becomes the applier's, so that a field removed from a manifest afterwards
//! is removed from the object.

use super::apply::{LAST_APPLIED, field_validation, last_applied};
use super::output::Output;
use crate::calls::{At, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::Wanted;
use api::Reason;
use api::schema::structured::{Entry, Managed, Operation};
use client::PatchType;
use serde_json::{Value, json};

const MANAGER: &str = "kubectl";
/// Who manages the annotation of client-side apply.
const ANNOTATION_MANAGER: &str = "kubectl-last-applied";
/// Somebody else wrote between our read and our patch; upstream tries as often.
const ATTEMPTS_MAX: usize = 5;
const ADVICE: &str = "These fields have other managers. To take them over, apply again with --force-conflicts; to leave \
                      them to their managers, remove them from the manifest; to share them, give them the values that \
                      they have.";

#[derive(clap::Args, Debug)]
pub(crate) struct ServerSide {
    /// Let the server merge
    #[arg(long)]
    pub(super) server_side: bool,
    /// With --server-side: take fields from other managers
    #[arg(long)]
    force_conflicts: bool,
}

/// Refuses flags that do not go together.
pub(super) fn check(arguments: &ServerSide, output: &Output) -> Result<()> {
    if arguments.force_conflicts && !arguments.server_side {
        return Err(Failure::message("--force-conflicts only works with --server-side"));
    }
    if arguments.server_side && output.is_client_dry_run() {
        let why = "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)";
        return Err(Failure::message(why));
    }
    Ok(())
}

pub(super) async fn apply(
    context: &Context,
    arguments: &ServerSide,
    output: &Output,
    manager: &str,
    validate: &str,
    subresource: &str,
    wanted: &Wanted,
) -> Result<()> {
    let manager = if manager.is_empty() { MANAGER } else { manager };
    let query = [
        ("fieldManager", manager),
        ("force", if arguments.force_conflicts { "true" } else { "false" }),
        ("fieldValidation", field_validation(validate)?),
        output.dry_run_query(),
    ];
    let intent = &wanted.document.object;
    let applied = async || {
        let applied = context.patch(At { subresource, ..wanted.target.at() }, PatchType::Apply, intent, &query).await;
        applied.map_err(|failure| match failure {
            Failure::Api(status) if status.reason == Reason::Conflict && is_of_managers(&status) => {
                Failure::message(format!("{}\n{ADVICE}", status.message))
            }
            other => other,
        })
    };
    let mut object = applied().await?;
    if output.dry_run_query().1.is_empty() && manager == MANAGER {
        object = keep_annotation(context, wanted, object).await?;
    }
    if output.dry_run_query().1.is_empty() && migrate(context, wanted, manager, object.clone()).await? {
        object = applied().await?;
    }
    output.tell(context, &wanted.target, "serverside-applied", &object)
}

fn is_of_managers(status: &api::Status) -> bool {
    let causes = status.details.as_ref().and_then(|details| details.causes.as_ref());
    causes.into_iter().flatten().any(|cause| cause.reason.as_deref() == Some("FieldManagerConflict"))
}

/// Where client-side apply left its annotation, it gets a manager of its own: the next client-side apply finds it.
async fn keep_annotation(context: &Context, wanted: &Wanted, object: Value) -> Result<Value> {
    let Some(annotation) = last_applied(&object) else { return Ok(object) };
    let is_kept = managed(&object)?.entries.iter().any(|entry| entry.operation == Operation::Apply && holds(entry));
    if is_kept {
        return Ok(object);
    }
    let intent = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {"name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "annotations": {LAST_APPLIED: annotation}},
    });
    context.patch(wanted.target.at(), PatchType::Apply, &intent, &[("fieldManager", ANNOTATION_MANAGER)]).await
}

fn holds(entry: &Entry) -> bool {
    entry.subresource.is_empty() && entry.set.has_fields(&["metadata", "annotations", LAST_APPLIED])
}

fn managed(object: &Value) -> Result<Managed> {
    let json = object.pointer("/metadata/managedFields").map(Value::to_string).unwrap_or_default();
    Managed::decode(json.as_bytes())
        .map_err(|error| Failure::message(format!("reading the object's managed fields: {error}")))
}

/// Makes the fields of client-side apply the applier's; whether there were any.
async fn migrate(context: &Context, wanted: &Wanted, manager: &str, mut object: Value) -> Result<bool> {
    for attempt in 1..=ATTEMPTS_MAX {
        let Some(managed) = taken_over(&object, manager)? else { return Ok(false) };
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": managed},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": text(&object, "/metadata/resourceVersion")},
        ]);
        match context.patch(wanted.target.at(), PatchType::Json, &patch, &[]).await {
            Ok(_) => return Ok(true),
            Err(Failure::Api(status)) if status.reason == Reason::Conflict && attempt < ATTEMPTS_MAX => {
                object = context.get(wanted.target.at()).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::message(format!("{} is changed by others too often", wanted.target)))
}

/// The object's managed fields with those of whoever applied it on the client side given to the applier; `None` where
/// nobody did.
fn taken_over(object: &Value, manager: &str) -> Result<Option<Value>> {
    let (client_side, mut kept): (Vec<_>, Vec<_>) =
        managed(object)?.entries.into_iter().partition(|entry| entry.operation == Operation::Update && holds(entry));
    for client in client_side.iter() {
        let own = |entry: &&mut Entry| {
            entry.operation == Operation::Apply && entry.manager == manager && entry.subresource.is_empty()
        };
        match kept.iter_mut().find(own) {
            Some(own) => own.set = own.set.union(&client.set),
            None => {
                let mut own = client.clone();
                (own.operation, own.manager) = (Operation::Apply, manager.to_owned());
                kept.push(own);
            }
        }
    }
    if client_side.is_empty() {
        return Ok(None);
    }
    let mut managed = Managed { entries: kept };
    managed.normalize();
    crate::calls::decode(&managed.encode()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": "2020-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn the_applier_takes_over_from_the_client_side() {
        let annotation = json!({"f:annotations": {(format!("f:{LAST_APPLIED}")): {}}});
        let client =
            entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:a": {}}, "f:metadata": annotation}));
        let other = entry("other", "Update", json!({"f:data": {"f:b": {}}}));
        let own = entry("kubectl", "Apply", json!({"f:data": {"f:c": {}}}));
        let object = |entries: &[&Value]| json!({"metadata": {"managedFields": entries}});
        assert_eq!(taken_over(&object(&[&other, &own]), "kubectl").unwrap(), None);
        let alone = entry("kubectl", "Apply", json!({"f:data": {"f:a": {}}, "f:metadata": annotation}));
        assert_eq!(taken_over(&object(&[&client, &other]), "kubectl").unwrap(), Some(json!([alone, other])));
        let both = entry("kubectl", "Apply", json!({"f:data": {"f:a": {}, "f:c": {}}, "f:metadata": annotation}));
        assert_eq!(taken_over(&object(&[&own, &client]), "kubectl").unwrap(), Some(json!([both])));
    }
}
