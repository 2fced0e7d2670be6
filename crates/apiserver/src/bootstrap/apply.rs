//! Writes of the bootstrap, many at once.

use super::reconcile::{Action, Reconciled, plan};
use api::{Kind, Reason, Status};
use client::{Client, DeleteOptions, ListOptions};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::ListableResource;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::HashMap;
use std::sync::Arc;

/// Writes under way at once: enough for the store to commit them together.
const CONCURRENT: usize = 64;
/// Another server, or a user, may write between a read and its update; one of so many tries comes through.
const TRIES: usize = 8;

fn key<K: Kind>(object: &K) -> (String, String) {
    let meta = object.metadata();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Creates; another server may have been quicker.
async fn create<K: Kind>(client: &Client, object: &K) -> Result<(), Status> {
    match client.create(object).await {
        Err(status) if status.reason != Reason::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}

/// Creates what is not there, and touches nothing else.
pub(crate) async fn create_missing<K: Kind>(client: &Client, wanted: Vec<K>) -> Result<(), Status> {
    let writes = wanted.into_iter().map(|object| async move {
        let (namespace, name) = key(&object);
        match client.find::<K>(&namespace, &name).await? {
            Some(_) => Ok(()),
            None => create(client, &object).await,
        }
    });
    stream::iter(writes).buffer_unordered(CONCURRENT).try_collect().await
}

/// A kind whose content is the server's own to say.
pub(crate) trait Kept: Kind {
    /// Takes `wanted`'s content over; whether anything changed.
    fn take(&mut self, wanted: &Self) -> bool;
}

fn replace<T: PartialEq + Clone>(present: &mut T, wanted: &T) -> bool {
    let changes = present != wanted;
    if changes {
        *present = wanted.clone();
    }
    changes
}

impl Kept for Endpoints {
    fn take(&mut self, wanted: &Self) -> bool {
        replace(&mut self.subsets, &wanted.subsets)
    }
}

impl Kept for EndpointSlice {
    fn take(&mut self, wanted: &Self) -> bool {
        replace(&mut self.endpoints, &wanted.endpoints) | replace(&mut self.ports, &wanted.ports)
    }
}

impl Kept for ConfigMap {
    /// Key by key: others may keep their own there (signatures of `cluster-info`).
    fn take(&mut self, wanted: &Self) -> bool {
        let mut changed = false;
        for (key, value) in wanted.data.iter().flatten() {
            let data = self.data.get_or_insert_default();
            if data.get(key) != Some(value) {
                data.insert(key.clone(), value.clone());
                changed = true;
            }
        }
        changed
    }
}

async fn keep_one<K: Kept>(client: &Client, wanted: &K) -> Result<(), Status> {
    let (namespace, name) = key(wanted);
    let mut refused = Ok(());
    for _ in 0..TRIES {
        let Some(mut present) = client.find::<K>(&namespace, &name).await? else { return create(client, wanted).await };
        if !present.take(wanted) {
            return Ok(());
        }
        refused = client.update(&present).await.map(drop);
        let again = |status: &Status| matches!(status.reason, Reason::Conflict | Reason::NotFound);
        if !refused.as_ref().is_err_and(again) {
            break;
        }
    }
    refused
}

/// Creates, or updates where the content differs.
pub(crate) async fn keep<K: Kept>(client: &Client, wanted: Vec<K>) -> Result<(), Status> {
    let writes = wanted.into_iter().map(|object| async move { keep_one(client, &object).await });
    stream::iter(writes).buffer_unordered(CONCURRENT).try_collect().await
}

/// Whether `keep` would write anything, were `present` all that is there.
pub(crate) fn astray<K: Kept>(present: &[Arc<K>], wanted: Vec<K>) -> bool {
    wanted.iter().any(|wanted| {
        let found = present.iter().find(|present| key(present.as_ref()) == key(wanted));
        found.is_none_or(|found| found.as_ref().clone().take(wanted))
    })
}

/// Reconciles default roles or bindings with those that are there: one list, then only the writes that are due.
pub(crate) async fn reconcile<K: Reconciled + ListableResource>(client: &Client, wanted: Vec<K>) -> Result<(), Status> {
    let present = client.list::<K>("", ListOptions::default()).await?;
    let mut present: HashMap<(String, String), K> =
        present.items.into_iter().map(|object| (key(&object), object)).collect();
    let planned = wanted.into_iter().map(|wanted| plan(present.remove(&key(&wanted)).as_ref(), wanted));
    let due: Vec<Action<K>> = planned.filter(|action| !matches!(action, Action::Nothing)).collect();
    let writes = due.into_iter().map(|action| async move {
        match action {
            Action::Nothing => Ok(()),
            Action::Create(object) => create(client, &object).await,
            Action::Update(object) => client.update(&object).await.map(drop),
            Action::Replace(object) => {
                let (namespace, name) = key(&object);
                client.delete::<K>(&namespace, &name, &DeleteOptions::default()).await?;
                create(client, &object).await
            }
        }
    });
    stream::iter(writes).buffer_unordered(CONCURRENT).try_collect().await
}
