//! Adoption and release: objects that match an owner's selector and have no owner become its, and the reverse.

use api::Kind;
use api::selector::Selector;
use client::{Cached, Meta};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use reconcile::{Context, Error, owner};
use serde::Serialize;

/// What an owner does about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Its own.
    Keep,
    /// Nobody's, and it matches.
    Adopt,
    /// Its own, and it no longer matches.
    Release,
    Ignore,
}

pub(crate) fn decide(owner: &ObjectMeta, selector: &Selector, object: Meta<'_>) -> Claim {
    let matches = selector.matches(object.labels);
    let ending = owner.deletion_timestamp.is_some();
    match object.controller() {
        Some(controller) if Some(&controller.uid) != owner.uid.as_ref() => Claim::Ignore,
        Some(_) if matches => Claim::Keep,
        Some(_) if ending => Claim::Ignore,
        Some(_) => Claim::Release,
        None if matches && !ending && object.deletion.is_none() => Claim::Adopt,
        None => Claim::Ignore,
    }
}

/// A selector as controllers take it; an illegal one, which validation refuses, selects nothing.
pub(crate) fn selector(selector: &LabelSelector) -> Selector {
    Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing())
}

/// The text under which an index of owned objects keeps one: its owner's uid, or its namespace if it has none.
pub(crate) fn owner_or_orphan(meta: Meta<'_>) -> Option<String> {
    match meta.controller() {
        Some(owner) => Some(owner.uid.clone()),
        None => Some(orphans(meta.namespace)),
    }
}

pub(crate) fn orphans(namespace: &str) -> String {
    format!("orphan/{namespace}")
}

/// Whether the owner is still there, by a read from the server: a cache may not have heard of its deletion, and an
/// object adopted then would be lost with it.
pub(crate) async fn may_adopt<O: Kind>(ctx: &Context, owner: &O) -> Result<bool, Error> {
    let meta = owner.metadata();
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let found =
        ctx.client().find::<O>(namespace, name).await.map_err(Error::api(format!("reading {name} before adoption")))?;
    Ok(found.is_some_and(|found| found.metadata().uid == meta.uid && found.metadata().deletion_timestamp.is_none()))
}

#[derive(Serialize)]
struct Patch<'a> {
    metadata: PatchMeta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchMeta<'a> {
    /// With the revision, as the list is replaced whole.
    resource_version: Option<&'a str>,
    uid: Option<&'a str>,
    owner_references: Option<Vec<OwnerReference>>,
}

pub(crate) async fn adopt<O: Kind, K: Cached>(ctx: &Context, owner: &O, object: &K) -> Result<(), Error> {
    let mut owners = object.meta().owners.to_vec();
    owners.retain(|known| Some(&known.uid) != owner.metadata().uid.as_ref());
    owners.push(owner::reference(owner));
    set_owners(ctx, object, owners).await
}

pub(crate) async fn release<O: Kind, K: Cached>(ctx: &Context, owner: &O, object: &K) -> Result<(), Error> {
    let mut owners = object.meta().owners.to_vec();
    owners.retain(|known| Some(&known.uid) != owner.metadata().uid.as_ref());
    set_owners(ctx, object, owners).await
}

async fn set_owners<K: Cached>(ctx: &Context, object: &K, owners: Vec<OwnerReference>) -> Result<(), Error> {
    let meta = object.meta();
    let (namespace, name) = (meta.namespace, meta.name);
    let patch = Patch {
        metadata: PatchMeta {
            resource_version: Some(meta.resource_version).filter(|revision| !revision.is_empty()),
            uid: Some(meta.uid).filter(|uid| !uid.is_empty()),
            owner_references: Some(owners).filter(|owners| !owners.is_empty()),
        },
    };
    match ctx.merge::<K>(namespace, name, None, &patch).await {
        // Gone: nothing to own.
        Err(status) if status.reason == api::Reason::NotFound => Ok(()),
        answer => answer.map(drop).map_err(Error::api(format!("changing the owners of {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use std::collections::BTreeMap;

    fn meta(uid: &str, deleting: bool) -> ObjectMeta {
        let deletion_timestamp = deleting.then(|| serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap());
        ObjectMeta { uid: Some(uid.to_owned()), deletion_timestamp, ..ObjectMeta::default() }
    }

    fn check(owner_deleting: bool, owned_by: Option<&str>, app: &str, deleting: bool, want: Claim) {
        let mut object = meta("object", deleting);
        object.labels = Some(BTreeMap::from([("app".to_owned(), app.to_owned())]));
        object.owner_references = owned_by.map(|uid| {
            vec![OwnerReference { uid: uid.to_owned(), controller: Some(true), ..OwnerReference::default() }]
        });
        let selector = Selector::parse("app=web").unwrap();
        let object = ConfigMap { metadata: object, ..ConfigMap::default() };
        assert_eq!(
            decide(&meta("me", owner_deleting), &selector, object.meta()),
            want,
            "{owned_by:?} {app} {deleting}"
        );
    }

    #[test]
    fn objects_are_claimed_by_selector_and_owner() {
        check(false, Some("me"), "web", false, Claim::Keep);
        check(false, Some("me"), "web", true, Claim::Keep);
        check(false, Some("me"), "db", false, Claim::Release);
        check(true, Some("me"), "db", false, Claim::Ignore);
        check(false, Some("you"), "web", false, Claim::Ignore);
        check(false, None, "web", false, Claim::Adopt);
        check(false, None, "web", true, Claim::Ignore);
        check(true, None, "web", false, Claim::Ignore);
        check(false, None, "db", false, Claim::Ignore);
    }
}
