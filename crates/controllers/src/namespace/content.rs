//! Deleting all that is in a namespace, and counting what is left.

use crate::follow::{ListMeta, Listed, is_not_served};
use api::resource::{ResourceDef, Verbs};
use api::{Kind, Reason};
use client::{Aggregated, Client, Foreign, ListOptions, Request, Verb};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use reconcile::Error;
use std::collections::{BTreeMap, BTreeSet};

/// What is left, by resource and by finalizer, and what could not be deleted.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    pub(super) objects: BTreeMap<String, usize>,
    pub(super) finalizers: BTreeMap<String, usize>,
    pub(super) failures: Vec<Error>,
    /// Why it is not known of what else there may be objects.
    pub(super) undiscovered: Option<String>,
}

impl Remaining {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty() && self.undiscovered.is_none()
    }
}

/// Objects read of each kind when counting; how many more there are the server says.
const COUNTED_MAX: usize = 500;

/// Asks for the deletion of every object there, of all but pods only when no pod is left that might need it (its
/// network policy before all).
pub(super) async fn delete(client: &Client, namespace: &str) -> Remaining {
    let mut remaining = Remaining::default();
    delete_kind(client, Sort::own(&Pod::DEF), namespace, &mut remaining).await;
    if !remaining.is_empty() {
        return remaining;
    }
    let defs = api::object::stored().map(|row| row.def());
    for def in defs.filter(|def| def.namespaced() && def.verbs == Verbs::Full) {
        delete_kind(client, Sort::own(def), namespace, &mut remaining).await;
    }
    match custom_kinds(client).await {
        Ok(defs) => {
            for def in defs {
                delete_kind(client, Sort::own(def), namespace, &mut remaining).await;
            }
        }
        Err(error) => remaining.failures.push(error),
    }
    match client.transport().aggregated().await {
        Ok(all) => delete_foreign(client, all, namespace, &mut remaining).await,
        Err(status) => remaining.undiscovered = Some(status.message),
    }
    remaining
}

/// A kind, and how its objects can be got rid of.
#[derive(Clone, Copy)]
struct Sort {
    def: &'static ResourceDef,
    /// All at once, or else one by one.
    in_one: bool,
    is_listed: bool,
}

impl Sort {
    fn own(def: &'static ResourceDef) -> Sort {
        Sort { def, in_one: true, is_listed: true }
    }

    /// `None`: nothing of it can be deleted.
    fn foreign(kind: &Foreign) -> Option<Sort> {
        let may = |verb: &str| kind.verbs.iter().any(|own| own == verb);
        let (in_one, is_listed) = (may("deletecollection"), may("list"));
        let deletes = kind.def.namespaced() && may("delete") && (in_one || is_listed);
        deletes.then_some(Sort { def: kind.def, in_one, is_listed })
    }
}

/// What other servers serve, each kind in the preferred of its versions; who does not answer is told of.
async fn delete_foreign(client: &Client, all: Vec<Aggregated>, namespace: &str, remaining: &mut Remaining) {
    let (mut seen, mut stale) = (BTreeSet::new(), Vec::new());
    for served in all {
        let Some(kinds) = served.kinds else {
            stale.push(served.group_version);
            continue;
        };
        for sort in kinds.iter().filter_map(Sort::foreign) {
            if seen.insert((sort.def.group, sort.def.plural)) {
                delete_kind(client, sort, namespace, remaining).await;
            }
        }
    }
    if !stale.is_empty() {
        stale.sort();
        let each = stale.iter().map(|own| format!("{own}: stale GroupVersion discovery: {own}")).collect::<Vec<_>>();
        remaining.undiscovered = Some(format!(
            "Discovery failed for some groups, {} failing: unable to retrieve the complete list of server APIs: {}",
            stale.len(),
            each.join(", ")
        ));
    }
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
async fn delete_kind(client: &Client, sort: Sort, namespace: &str, remaining: &mut Remaining) {
    let def = sort.def;
    match delete_all(client, sort, namespace).await {
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

async fn delete_all(client: &Client, sort: Sort, namespace: &str) -> Result<Listed, Error> {
    let Sort { def, in_one, is_listed } = sort;
    let nothing = || Listed { items: Vec::new(), metadata: ListMeta::default() };
    let listed = if is_listed { list(client, def, namespace).await? } else { nothing() };
    if is_listed && listed.items.is_empty() {
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
    if in_one {
        let request = Request::new(Verb::DeleteCollection, def, namespace, "").body(body);
        client.call(request).await.map_err(Error::api(what))?;
    } else {
        for object in &listed.items {
            let request = Request::new(Verb::Delete, def, namespace, &object.metadata.name).body(body.clone());
            match client.call(request).await {
                Err(status) if status.reason != Reason::NotFound => return Err(Error::Api { what, status }),
                _ => {}
            }
        }
    }
    if is_listed { list(client, def, namespace).await } else { Ok(nothing()) }
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
