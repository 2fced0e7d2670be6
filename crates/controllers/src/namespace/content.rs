//! Deleting all that is in a namespace, and counting what is left.

use crate::follow::Object;
use api::Reason;
use api::resource::{ResourceDef, Verbs};
use client::{Client, Request, Verb};
use reconcile::Error;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is left, by resource and by finalizer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Remaining {
    pub(super) objects: BTreeMap<String, usize>,
    pub(super) finalizers: BTreeMap<String, usize>,
}

impl Remaining {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// Objects read of each kind when counting; how many more there are the server says.
const COUNTED_MAX: usize = 500;

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    items: Vec<Object>,
    #[serde(default)]
    metadata: ListMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    remaining_item_count: usize,
}

/// Asks for the deletion of every object there; what is left after that.
pub(super) async fn delete(client: &Client, namespace: &str) -> Result<Remaining, Error> {
    let mut remaining = Remaining::default();
    let mut first_error = None;
    for def in api::object::builtin().iter().map(|row| row.def()) {
        if !def.namespaced() || def.verbs != Verbs::Full {
            continue;
        }
        // One kind's trouble does not keep the others.
        if let Err(error) = delete_kind(client, def, namespace, &mut remaining).await {
            first_error = first_error.or(Some(error));
        }
    }
    first_error.map_or(Ok(remaining), Err)
}

async fn delete_kind(
    client: &Client,
    def: &'static ResourceDef,
    namespace: &str,
    remaining: &mut Remaining,
) -> Result<(), Error> {
    if list(client, def, namespace).await?.items.is_empty() {
        return Ok(());
    }
    match client.call(Request::new(Verb::DeleteCollection, def, namespace, "")).await {
        Err(status) if !is_not_served(&status) => {
            return Err(Error::Api { what: format!("deleting all {} of {namespace}", def.plural), status });
        }
        _ => {}
    }
    let left = list(client, def, namespace).await?;
    if left.items.is_empty() {
        return Ok(());
    }
    remaining.objects.insert(def.group_resource(), left.items.len() + left.metadata.remaining_item_count);
    for finalizer in left.items.iter().flat_map(|object| &object.metadata.finalizers) {
        *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
    }
    Ok(())
}

fn is_not_served(status: &api::Status) -> bool {
    matches!(status.reason, Reason::NotFound | Reason::MethodNotAllowed | Reason::NotImplemented)
}

async fn list(client: &Client, def: &'static ResourceDef, namespace: &str) -> Result<Listed, Error> {
    let request = Request::new(Verb::List, def, namespace, "").query("limit", COUNTED_MAX.to_string());
    match client.call(request).await {
        Ok(body) => serde_json::from_slice(&body)
            .map_err(|error| Error::Invalid(format!("decoding the {} of {namespace}: {error}", def.plural))),
        Err(status) if is_not_served(&status) => Ok(Listed { items: Vec::new(), metadata: ListMeta::default() }),
        Err(status) => Err(Error::Api { what: format!("listing {} of {namespace}", def.plural), status }),
    }
}
