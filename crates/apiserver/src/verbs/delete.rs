//! DELETE of one object.

use crate::call::Call;
use crate::http::Answer;
use crate::render;
use api::{Reason, Status};
use registry::{DeleteRequest, Deleted, Entry, Propagation};
use serde::Deserialize;

/// `DeleteOptions`, of whatever group a client says it is.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// What a delete's body and query ask for, and whether it is to be tried only.
pub(crate) fn delete_options(call: &Call<'_>) -> Result<(DeleteRequest, bool), Status> {
    let mut options = if call.body.is_empty() {
        Options::default()
    } else {
        let body = call.json_body("k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions")?;
        serde_json::from_slice(&body)
            .map_err(|error| Status::bad_request(format!("decoding DeleteOptions: {error}")))?
    };
    if call.body.is_empty() {
        options.grace_period_seconds = call.query.integer("gracePeriodSeconds")?;
        options.propagation_policy = call.query.find("propagationPolicy").map(str::to_owned);
        options.orphan_dependents = call.query.optional_flag("orphanDependents");
    }
    let mut dry_run = call.query.dry_run()?;
    for value in options.dry_run.iter().flatten() {
        if value != "All" {
            return Err(Status::new(
                Reason::Invalid,
                format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [{value:?}]: \
                     supported values: \"All\""
                ),
            ));
        }
        dry_run = true;
    }
    let propagation = match (&options.propagation_policy, options.orphan_dependents) {
        (Some(_), Some(_)) => {
            return Err(Status::new(
                Reason::Invalid,
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: orphanDependents and \
                 deletionPropagation cannot be both set",
            ));
        }
        (Some(policy), None) => Some(Propagation::parse(policy)?),
        (None, Some(true)) => Some(Propagation::Orphan),
        (None, Some(false)) => Some(Propagation::Background),
        (None, None) => None,
    };
    let preconditions = options.preconditions.unwrap_or_default();
    let request = DeleteRequest {
        grace_seconds: options.grace_period_seconds,
        uid: preconditions.uid.filter(|uid| !uid.is_empty()),
        resource_version: preconditions.resource_version.filter(|version| !version.is_empty()),
        propagation,
    };
    Ok((request, dry_run))
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, Status> {
    let (request, dry_run) = delete_options(call)?;
    let write = registry::Write { dry_run, ..call.write()? };
    let deleted = call.registry().delete(&call.resource, &write, call.namespace(), call.info.name, &request).await?;
    let now = call.registry().now();
    match deleted {
        Deleted::Pending(pending) => render::json(&call.resource, pending.json(), call.form, now),
        Deleted::Removed(entry) => {
            let object = entry.decode(call.resource.kind).map_err(Status::internal)?;
            // Kinds with a grace answer with the object, as upstream does, the others with a Status.
            if object.default_grace_seconds().is_some() {
                return render::entry(&call.resource, &entry, call.form, now);
            }
            Answer::serialized(&success(call, &entry, object.meta().uid.clone()))
        }
    }
}

fn success(
    call: &Call<'_>,
    entry: &Entry,
    uid: Option<String>,
) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Status {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
    meta::Status {
        status: Some("Success".to_owned()),
        details: Some(meta::StatusDetails {
            name: Some(entry.name().to_owned()),
            group: Some(call.def().group.to_owned()).filter(|group| !group.is_empty()),
            kind: Some(call.def().plural.to_owned()),
            uid,
            ..meta::StatusDetails::default()
        }),
        ..meta::Status::default()
    }
}
