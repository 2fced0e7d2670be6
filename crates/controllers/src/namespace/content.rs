//! Deleting all that is in a namespace, and counting what is left.

use crate::follow::{ListMeta, Listed, is_not_served};
use api::Kind;
use api::resource::{ResourceDef, Verbs};
use client::{Client, ListOptions, Request, Verb};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use reconcile::Error;
use std::collections::BTreeMap;

/// What is left, by resource and by finalizer, and what could not be deleted.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    pub(super) objects: BTreeMap<String, usize>,
    pub(super) finalizers: BTreeMap<String, usize>,
    pub(super) failures: Vec<Error>,
}

impl Remaining {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty()
    }
}

/// Objects read of each kind when counting; how many more there are the server says.
const COUNTED_MAX: usize = 500;

/// Asks for the deletion of every object there, of all but pods only when no pod is left that might need it (its
/// network policy before all).
pub(super) async fn delete(client: &Client, namespace: &str) -> Remaining {
    let mut remaining = Remaining::default();
    delete_kind(client, &Pod::DEF, namespace, &mut remaining).await;
    if !remaining.is_empty() {
        return remaining;
    }
    let defs = api::object::stored().map(|row| row.def());
    for def in defs.filter(|def| def.namespaced() && def.verbs == Verbs::Full) {
        delete_kind(client, def, namespace, &mut remaining).await;
    }
    match custom_kinds(client).await {
        Ok(defs) => {
            for def in defs {
                delete_kind(client, def, namespace, &mut remaining).await;
            }
        }
        Err(error) => remaining.failures.push(error),
    }
    remaining
}

/// Those that users have added and whose objects live in namespaces.
async fn custom_kinds(client: &Client) -> Result<Vec<&'static ResourceDef>, Error> {
    let definitions = match client.list::<CustomResourceDefinition>("", ListOptions::default()).await {
        Ok(list) => list.items,
        Err(status) if is_not_served(&status) => Vec::new(),
        Err(status) => return Err(Error::Api { what: "listing the custom kinds".to_owned(), status }),
    };
    let mut defs = Vec::new();
    for definition in definitions.iter().filter(|definition| definition.spec.scope == "Namespaced") {
        let row = api::custom::row_of(definition).map_err(|error| Error::Invalid(error.to_string()))?;
        defs.extend(row);
    }
    Ok(defs)
}

/// One kind's trouble is noted, and does not keep the others.
async fn delete_kind(client: &Client, def: &'static ResourceDef, namespace: &str, remaining: &mut Remaining) {
    match delete_all(client, def, namespace).await {
        Ok(left) if left.items.is_empty() => {}
        Ok(left) => {
            let count = left.items.len() + left.metadata.remaining_item_count;
            // Upstream writes the dot of core's empty group too.
            remaining.objects.insert(format!("{}.{}", def.plural, def.group), count);
            for finalizer in left.items.iter().flat_map(|object| &object.metadata.finalizers) {
                *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
        Err(error) => remaining.failures.push(error),
    }
}

async fn delete_all(client: &Client, def: &'static ResourceDef, namespace: &str) -> Result<Listed, Error> {
    let listed = list(client, def, namespace).await?;
    if listed.items.is_empty() {
        return Ok(listed);
    }
    let options = DeleteOptions {
        api_version: Some("v1".to_owned()),
        kind: Some("DeleteOptions".to_owned()),
        propagation_policy: Some("Background".to_owned()),
        ..DeleteOptions::default()
    };
    let body =
        serde_json::to_vec(&options).map_err(|error| Error::Invalid(format!("encoding delete options: {error}")))?;
    let what = format!("deleting all {} of {namespace}", def.plural);
    let request = Request::new(Verb::DeleteCollection, def, namespace, "").body(body);
    client.call(request).await.map_err(Error::api(what))?;
    list(client, def, namespace).await
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
