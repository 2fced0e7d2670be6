//! The objects that are written again: of each nothing is changed but how it is stored.

use crate::follow::Meta;
use api::resource::ResourceDef;
use api::{Reason, Status};
use client::{Client, PatchType, Request, Transport, Verb};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use reconcile::{Context, Error, in_batches};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;

const MANAGER: &str = "storage-version-migrator-controller";
/// Objects that are read at once.
const PAGE: usize = 500;

/// Why objects are not written again.
pub(super) enum Failure {
    /// The API is not there, or busy: the whole is tried again.
    Retriable(Error),
    /// An object cannot be written.
    Final(String),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

#[derive(Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Deserialize)]
struct Page {
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Object>,
}

/// The row of a resource; `None` where it is not served.
pub(super) fn resource(
    name: &str,
    definition: Option<&CustomResourceDefinition>,
) -> Result<Option<&'static ResourceDef>, Error> {
    if let Some(definition) = definition {
        return api::custom::row_of(definition).map_err(|error| Error::Invalid(error.to_string()));
    }
    let (plural, group) = name.split_once('.').unwrap_or((name, ""));
    let mut builtin = api::object::stored().map(|row| row.def());
    Ok(builtin.find(|def| def.plural == plural && def.group == group))
}

fn decode<T: DeserializeOwned>(body: &[u8], def: &ResourceDef) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Invalid(format!("decoding a list of {}: {error}", def.plural)))
}

async fn page(client: &Client, def: &'static ResourceDef, limit: usize, after: &str) -> Result<Page, Status> {
    let mut request = Request::new(Verb::List, def, "", "").query("limit", limit.to_string());
    if !after.is_empty() {
        request = request.query("continue", after);
    }
    let body = client.call(request).await?;
    decode(&body, def).map_err(Status::internal)
}

/// Where the resource is now.
pub(super) async fn revision(client: &Client, def: &'static ResourceDef) -> Result<String, Error> {
    let what = format!("error getting latest resourceVersion for {}", def.group_resource());
    page(client, def, 1, "").await.map(|page| page.metadata.resource_version).map_err(Error::api(what))
}

/// Writes every object again that was not changed since the revision.
pub(super) async fn rewrite(ctx: &Context, def: &'static ResourceDef, begun: &str) -> Result<(), Failure> {
    let number = |version: &str| version.parse::<u64>().unwrap_or_default();
    let begun = number(begun);
    let mut after = String::new();
    loop {
        let listed = page(ctx.client(), def, PAGE, &after).await;
        let listed = listed.map_err(|status| failure(status, || format!("listing {}", def.plural)))?;
        let old = listed.items.into_iter().map(|object| object.metadata);
        let old = old.filter(|meta| number(&meta.resource_version) <= begun);
        let transport = ctx.client().transport();
        let (_, failed) = in_batches(old, ctx.failures(), |meta| write(transport.clone(), def, meta)).await;
        if let Some(failure) = failed {
            return Err(failure);
        }
        after = listed.metadata.r#continue;
        if after.is_empty() {
            return Ok(());
        }
    }
}

async fn write(transport: Arc<dyn Transport>, def: &'static ResourceDef, meta: Meta) -> Result<(), Failure> {
    // With both, an object that was changed, deleted or made anew is a conflict.
    let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}});
    let request = Request::new(Verb::Patch(PatchType::Merge), def, &meta.namespace, &meta.name)
        .query("fieldManager", MANAGER)
        .body(patch.to_string());
    match transport.call(request).await {
        Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
        Err(status) => Err(failure(status, || format!("writing {} {} again", def.plural, meta.name))),
        Ok(_) => Ok(()),
    }
}

fn failure(status: Status, what: impl FnOnce() -> String) -> Failure {
    let passes = matches!(
        status.reason,
        Reason::ServerTimeout
            | Reason::TooManyRequests
            | Reason::ServiceUnavailable
            | Reason::InternalError
            | Reason::Timeout
    );
    match passes {
        true => Failure::Retriable(Error::Api { what: what(), status }),
        false => Failure::Final(status.message),
    }
}
