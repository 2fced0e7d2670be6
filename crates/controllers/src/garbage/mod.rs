//! Garbage: objects whose owners are gone are deleted, and owners wait for theirs or let them go, as their deletion asks.
//!
//! Event-driven: one graph over all kinds. Keys are uids. An owner that the graph does not have is asked for once at
//! the server, since a watch may lag.

mod graph;

use crate::follow::{Told, follow};
use crate::table::Start;
use api::resource::{ResourceDef, Verbs};
use api::{Reason, Status};
use async_trait::async_trait;
use client::{PatchType, Request, Verb};
use graph::{FOREGROUND, Graph, Node, ORPHAN, Owner, Verdict};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, OwnerReference, Preconditions};
use parking_lot::Mutex;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, in_batches};
use serde::Serialize;
use std::sync::Arc;

/// Kinds of which nothing is owned and that come in crowds.
const NOT_FOLLOWED: [&str; 1] = ["Event"];

pub(crate) fn controller(start: &Start) -> Controller {
    let graph: Arc<Mutex<Graph>> = Arc::default();
    let mut controller = Controller::new("garbage-collector", Garbage { graph: graph.clone() });
    for def in kinds() {
        let (transport, graph) = (start.client.transport().clone(), graph.clone());
        controller = controller.source(move |mut feed| async move {
            follow(transport, def, move |told| match told {
                Told::Started => feed.started(),
                Told::Is(meta) => graph.lock().set(def, *meta).into_iter().for_each(|uid| feed.add(uid.into())),
                Told::Gone(uid) => graph.lock().remove(&uid).into_iter().for_each(|uid| feed.add(uid.into())),
            })
            .await;
        });
    }
    controller
}

fn kinds() -> impl Iterator<Item = &'static ResourceDef> {
    let defs = api::object::builtin().iter().map(|row| row.def());
    defs.filter(|def| def.verbs == Verbs::Full && !NOT_FOLLOWED.contains(&def.kind))
}

struct Garbage {
    graph: Arc<Mutex<Graph>>,
}

#[async_trait]
impl Reconcile for Garbage {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(node) = self.graph.lock().get(key) else { return Ok(Action::Done) };
        if node.deleting && node.finalizers.iter().any(|name| name == ORPHAN) {
            return self.orphan(ctx, &node).await;
        }
        if node.deleting && node.finalizers.iter().any(|name| name == FOREGROUND) {
            // What it waits for is asked to go; each that is gone wakes it again.
            let waits = self.graph.lock().blocks(&node.uid);
            return if waits { Ok(Action::Done) } else { self.without_finalizer(ctx, &node, FOREGROUND).await };
        }
        if node.deleting || node.owners.is_empty() {
            return Ok(Action::Done);
        }
        self.judge(ctx, &node).await
    }
}

impl Garbage {
    /// Decides by an object's owners whether it stays.
    async fn judge(&self, ctx: &Context, node: &Node) -> Result<Action, Error> {
        let mut owners = Vec::with_capacity(node.owners.len());
        for owner in &node.owners {
            let known = self.graph.lock().owner(&owner.uid);
            let state = match known {
                Owner::Unknown => look(ctx, node, owner).await?,
                known => known,
            };
            owners.push((owner.clone(), state));
        }
        let has_dependents = self.graph.lock().has_dependents(&node.uid);
        match graph::verdict(&owners, has_dependents) {
            Verdict::Keep => Ok(Action::Done),
            Verdict::Forget(uids) => {
                change_owners(ctx, node, |owner| !uids.contains(&owner.uid)).await?;
                Ok(Action::Done)
            }
            Verdict::Delete { foreground } => {
                let own = |finalizer: &str| node.finalizers.iter().any(|name| name == finalizer);
                let policy = match () {
                    () if own(ORPHAN) => "Orphan",
                    () if own(FOREGROUND) || foreground => "Foreground",
                    () => "Background",
                };
                delete(ctx, node, policy).await
            }
        }
    }

    /// Its dependents lose it as an owner, then it may go.
    async fn orphan(&self, ctx: &Context, node: &Node) -> Result<Action, Error> {
        let dependents = self.graph.lock().dependents(&node.uid);
        let uid: Arc<str> = node.uid.as_str().into();
        let (_, error) = in_batches(dependents, ctx.failures(), |dependent| {
            let (ctx, uid) = (ctx.clone(), uid.clone());
            async move { change_owners(&ctx, &dependent, |owner| *owner.uid != *uid).await }
        })
        .await;
        match error {
            Some(error) => Err(error),
            None => self.without_finalizer(ctx, node, ORPHAN).await,
        }
    }

    async fn without_finalizer(&self, ctx: &Context, node: &Node, finalizer: &str) -> Result<Action, Error> {
        let Some(meta) = read(ctx, node.def, &node.namespace, &node.name).await?.filter(|meta| meta.uid == node.uid)
        else {
            return Ok(Action::Done);
        };
        if !meta.finalizers.iter().any(|name| name == finalizer) {
            return Ok(Action::Done);
        }
        let finalizers = meta.finalizers.into_iter().filter(|name| name != finalizer).collect();
        patch(ctx, node, &meta.resource_version, Change::Finalizers { finalizers }).await
    }
}

/// An owner that the graph lacks, as the server has it.
async fn look(ctx: &Context, node: &Node, owner: &OwnerReference) -> Result<Owner, Error> {
    let Some(row) = api::object::find_kind(&owner.api_version, &owner.kind) else {
        // A kind that is not known here may well have the owner; only what is certainly gone counts as gone.
        tracing::debug!(owner.api_version, owner.kind, "an owner of an unknown kind");
        return Ok(Owner::There);
    };
    let namespace = if row.def().namespaced() { node.namespace.as_str() } else { "" };
    let found = read(ctx, row.def(), namespace, &owner.name).await?;
    Ok(match found {
        Some(meta) if meta.uid == owner.uid => Owner::There,
        _ => Owner::Gone,
    })
}

async fn read(
    ctx: &Context,
    def: &'static ResourceDef,
    namespace: &str,
    name: &str,
) -> Result<Option<crate::follow::Meta>, Error> {
    match ctx.client().call(Request::new(Verb::Get, def, namespace, name)).await {
        Ok(body) => {
            let object: crate::follow::Object = serde_json::from_slice(&body)
                .map_err(|error| Error::Invalid(format!("decoding {} {name}: {error}", def.kind)))?;
            Ok(Some(object.metadata))
        }
        Err(status) if status.reason == Reason::NotFound => Ok(None),
        Err(status) => Err(Error::Api { what: format!("reading {} {name}", def.kind), status }),
    }
}

#[derive(Serialize)]
struct Patch<'a> {
    metadata: PatchMeta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchMeta<'a> {
    uid: &'a str,
    resource_version: &'a str,
    #[serde(flatten)]
    change: Change,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Change {
    Finalizers { finalizers: Vec<String> },
    Owners { owner_references: Vec<OwnerReference> },
}

/// Keeps those owners for which `keep` holds.
async fn change_owners(ctx: &Context, node: &Node, keep: impl Fn(&OwnerReference) -> bool) -> Result<(), Error> {
    let Some(meta) = read(ctx, node.def, &node.namespace, &node.name).await?.filter(|meta| meta.uid == node.uid) else {
        return Ok(());
    };
    if meta.owner_references.iter().all(&keep) {
        return Ok(());
    }
    let owner_references = meta.owner_references.into_iter().filter(keep).collect();
    patch(ctx, node, &meta.resource_version, Change::Owners { owner_references }).await.map(|_| ())
}

async fn patch(ctx: &Context, node: &Node, revision: &str, change: Change) -> Result<Action, Error> {
    let patch = Patch { metadata: PatchMeta { uid: &node.uid, resource_version: revision, change } };
    let body = serde_json::to_vec(&patch).map_err(|error| Error::Invalid(format!("encoding a patch: {error}")))?;
    let request = Request::new(Verb::Patch(PatchType::Merge), node.def, &node.namespace, &node.name).body(body);
    done(ctx.client().call(request).await.map(drop), || format!("changing {} {}", node.def.kind, node.name))
}

async fn delete(ctx: &Context, node: &Node, policy: &'static str) -> Result<Action, Error> {
    let options = DeleteOptions {
        api_version: Some("v1".to_owned()),
        kind: Some("DeleteOptions".to_owned()),
        preconditions: Some(Preconditions {
            uid: Some(node.uid.clone()),
            resource_version: Some(node.revision.clone()),
        }),
        propagation_policy: Some(policy.to_owned()),
        ..DeleteOptions::default()
    };
    let body =
        serde_json::to_vec(&options).map_err(|error| Error::Invalid(format!("encoding delete options: {error}")))?;
    let request = Request::new(Verb::Delete, node.def, &node.namespace, &node.name).body(body);
    done(ctx.client().call(request).await.map(drop), || format!("deleting {} {}", node.def.kind, node.name))
}

fn done(answer: Result<(), Status>, what: impl FnOnce() -> String) -> Result<Action, Error> {
    match answer {
        Err(status) if status.reason != Reason::NotFound => Err(Error::Api { what: what(), status }),
        _ => Ok(Action::Done),
    }
}
