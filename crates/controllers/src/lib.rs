//! The controllers: each makes the world match one kind of object. A folder and a table row each.
//!
//! Invariants: plans are pure; what a controller has done is in the API's objects, so that it can stop at any moment.

mod claim;
mod deployment;
mod pod;
mod replica_set;
mod scaled;
mod table;

pub use table::{Handle, Options, start};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

fn labels(meta: &ObjectMeta) -> &BTreeMap<String, String> {
    meta.labels.as_ref().unwrap_or(&NO_LABELS)
}

/// Whether a create was refused because the namespace is being deleted: there is nothing left to do there.
fn namespace_terminating(status: &api::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    causes.into_iter().any(|cause| cause.reason.as_deref() == Some("NamespaceTerminating"))
}
