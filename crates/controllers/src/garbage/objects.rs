//! The collector's requests: any kind by its metadata alone, and never without having looked at the object first.

use super::graph::{FOREGROUND, Node, ORPHAN};
use crate::follow::{Listed, Meta, Object};
use api::resource::ResourceDef;
use api::{Reason, Status};
use client::{PatchType, Request, Verb};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, OwnerReference, Preconditions};
use reconcile::{Context, Error, Key};
use serde::{Deserialize, Serialize};

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Invalid(format!("decoding {what}: {error}")))
}

fn encode(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Invalid(format!("encoding a request: {error}")))
}

/// Whether a server says that it has no object of this name; one that does not serve the kind says `NotFound` too.
fn is_absent(status: &Status, name: &str) -> bool {
    let named = status.details.as_ref().and_then(|details| details.name.as_deref());
    status.reason == Reason::NotFound && named == Some(name)
}

pub(super) async fn read(
    ctx: &Context,
    def: &'static ResourceDef,
    namespace: &str,
    name: &str,
) -> Result<Option<Meta>, Error> {
    match ctx.client().call(Request::new(Verb::Get, def, namespace, name)).await {
        Ok(body) => decode::<Object>(&body, def.kind).map(|object| Some(object.metadata)),
        Err(status) if is_absent(&status, name) => Ok(None),
        Err(status) => Err(Error::Api { what: format!("reading {} {name}", def.kind), status }),
    }
}

/// The namespace that has the object of this name and uid.
pub(super) async fn namespace_of(
    ctx: &Context,
    def: &'static ResourceDef,
    name: &str,
    uid: &str,
) -> Result<Option<String>, Error> {
    let request = Request::new(Verb::List, def, "", "").query("fieldSelector", format!("metadata.name={name}"));
    let body = ctx.client().call(request).await.map_err(Error::api(format!("looking for {} {name}", def.kind)))?;
    let listed: Listed = decode(&body, def.plural)?;
    let found = listed.items.into_iter().map(|object| object.metadata).find(|meta| meta.uid == uid);
    Ok(found.map(|meta| meta.namespace))
}

/// The object as it is now; `None` if it is gone, or another has its name.
async fn current(ctx: &Context, uid: &str, node: &Node) -> Result<Option<Meta>, Error> {
    let found = read(ctx, node.def, &node.namespace, &node.name).await?;
    Ok(found.filter(|meta| meta.uid == uid))
}

#[derive(Serialize)]
struct Patch<'a> {
    metadata: PatchMeta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchMeta<'a> {
    uid: &'a str,
    /// The lists are replaced whole.
    resource_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalizers: Option<Replaced<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_references: Option<Replaced<OwnerReference>>,
}

/// A list as a merge patch puts it; the empty one is no field at all.
type Replaced<T> = Option<Vec<T>>;

fn replaced<T>(list: Vec<T>) -> Replaced<T> {
    Some(list).filter(|list| !list.is_empty())
}

async fn patch(ctx: &Context, node: &Node, metadata: PatchMeta<'_>) -> Result<(), Error> {
    let body = encode(&Patch { metadata })?;
    let request = Request::new(Verb::Patch(PatchType::Merge), node.def, &node.namespace, &node.name).body(body);
    done(ctx.client().call(request).await.map(drop), || format!("changing {} {}", node.def.kind, node.name))
}

fn done(answer: Result<(), Status>, what: impl FnOnce() -> String) -> Result<(), Error> {
    match answer {
        // Gone meanwhile, which is the end of all that is wanted here.
        Err(status) if status.reason == Reason::NotFound => Ok(()),
        Err(status) => Err(Error::Api { what: what(), status }),
        Ok(()) => Ok(()),
    }
}

pub(super) async fn remove_finalizer(ctx: &Context, uid: &Key, node: &Node, finalizer: &str) -> Result<(), Error> {
    let Some(meta) = current(ctx, uid, node).await? else { return Ok(()) };
    if meta.finalizers.iter().all(|name| name != finalizer) {
        return Ok(());
    }
    let finalizers = Some(replaced(meta.finalizers.into_iter().filter(|name| name != finalizer).collect()));
    let resource_version = &meta.resource_version;
    patch(ctx, node, PatchMeta { uid, resource_version, finalizers, owner_references: None }).await
}

pub(super) async fn forget_owners(ctx: &Context, uid: &Key, node: &Node, owners: &[Key]) -> Result<(), Error> {
    let is_kept = |owner: &OwnerReference| owners.iter().all(|uid| **uid != *owner.uid);
    change_owners(ctx, uid, node, |references| references.retain(is_kept)).await
}

/// Its owners need not wait for it any more.
pub(super) async fn unblock_owners(ctx: &Context, uid: &Key, node: &Node) -> Result<(), Error> {
    let unblock = |owner: &mut OwnerReference| owner.block_owner_deletion = Some(false);
    change_owners(ctx, uid, node, |references| references.iter_mut().for_each(unblock)).await
}

async fn change_owners(
    ctx: &Context,
    uid: &Key,
    node: &Node,
    change: impl FnOnce(&mut Vec<OwnerReference>),
) -> Result<(), Error> {
    let Some(meta) = current(ctx, uid, node).await? else { return Ok(()) };
    let mut owners = meta.owner_references.clone();
    change(&mut owners);
    if owners == meta.owner_references {
        return Ok(());
    }
    let (resource_version, owner_references) = (&meta.resource_version, Some(replaced(owners)));
    patch(ctx, node, PatchMeta { uid, resource_version, finalizers: None, owner_references }).await
}

/// Deletes the object if its owners are still those by which it was judged; else their change has it judged again.
pub(super) async fn delete(ctx: &Context, uid: &Key, node: &Node, foreground: bool) -> Result<(), Error> {
    let Some(meta) = current(ctx, uid, node).await? else { return Ok(()) };
    let judged = |owner: &OwnerReference| node.owners.iter().any(|judged| *judged.uid == *owner.uid);
    if meta.deletion_timestamp.is_some() || !meta.owner_references.iter().all(judged) {
        return Ok(());
    }
    let own = |finalizer: &str| meta.finalizers.iter().any(|name| name == finalizer);
    let policy = match () {
        () if own(ORPHAN) => "Orphan",
        () if own(FOREGROUND) || foreground => "Foreground",
        () => "Background",
    };
    let options = DeleteOptions {
        api_version: Some("v1".to_owned()),
        kind: Some("DeleteOptions".to_owned()),
        preconditions: Some(Preconditions { uid: Some(meta.uid), resource_version: Some(meta.resource_version) }),
        propagation_policy: Some(policy.to_owned()),
        ..DeleteOptions::default()
    };
    let request = Request::new(Verb::Delete, node.def, &node.namespace, &node.name).body(encode(&options)?);
    done(ctx.client().call(request).await.map(drop), || format!("deleting {} {}", node.def.kind, node.name))
}
