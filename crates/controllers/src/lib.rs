//! The controllers: each makes the world match one kind of object. A folder or file and a table row each.
//!
//! Invariants: plans are pure; what a controller has done is in the API's objects, so that it can stop at any moment.

mod bootstrap_tokens;
mod claim;
mod csr;
mod definition;
mod deployment;
mod disruption;
mod endpoints;
mod event_expiry;
mod eviction;
mod follow;
mod garbage;
mod namespace;
mod node;
mod node_ipam;
mod node_lifecycle;
mod pod;
mod pod_autoscaler;
mod pod_garbage;
mod protection;
mod replica_set;
mod root_ca;
mod scaled;
mod service_account;
mod storage_migration;
mod table;

pub use csr::Signer;
pub use table::{Handle, Options, start};

use api::{Kind, Status};
use client::Change;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconcile::{Action, Error, Key, split};
use std::collections::BTreeMap;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

fn labels(meta: &ObjectMeta) -> &BTreeMap<String, String> {
    meta.labels.as_ref().unwrap_or(&NO_LABELS)
}

/// Whether a create was refused because the namespace is being deleted: there is nothing left to do there.
fn namespace_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    causes.into_iter().any(|cause| cause.reason.as_deref() == Some("NamespaceTerminating"))
}

/// The end of making an object that every namespace has: one that is there, or a namespace that is going, are fine.
fn created<K>(answer: Result<K, Status>, what: &str) -> Result<Action, Error> {
    match answer {
        Err(status) if status.reason == api::Reason::AlreadyExists || namespace_terminating(&status) => {
            Ok(Action::Done)
        }
        // The namespace is gone already.
        Err(status) if status.reason == api::Reason::NotFound => Ok(Action::Done),
        Err(status) => Err(Error::Api { what: what.to_owned(), status }),
        Ok(_) => Ok(Action::Done),
    }
}

fn is_active(namespace: Option<&Namespace>) -> bool {
    namespace.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
}

/// The namespace whose object `name` is gone.
fn namespace_of_deleted<K: Kind>(change: &Change<K>, name: &str) -> Vec<Key> {
    let (namespace, changed) = split(&change.key);
    if change.new.is_none() && changed == name { vec![namespace.into()] } else { Vec::new() }
}
