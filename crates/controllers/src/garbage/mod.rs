//! Garbage: objects whose owners are gone are deleted, and owners wait for theirs or let them go, as their deletion asks.
//!
//! One graph over all kinds, also those that users add and other servers serve, fed by watches; keys are uids. Invariants: nothing is deleted because a watch lags: an
//! owner that the graph does not have is asked for at the server, and so is every object before it is changed.

mod aggregated;
mod custom;
mod followed;
mod graph;
mod objects;

use crate::follow::{Told, follow};
use crate::table::Start;
use api::resource::{ResourceDef, Verbs};
use async_trait::async_trait;
use client::Transport;
use graph::{Ending, FOREGROUND, Graph, Node, ORPHAN, Owner, Reference, Verdict};
use k8s_openapi::api::core::v1::ObjectReference;
use parking_lot::Mutex;
use reconcile::{Action, Context, Controller, Error, Feed, Key, Reconcile, Severity, in_batches};
use std::sync::Arc;

/// Kinds of which nothing is owned and that come in crowds.
const NOT_FOLLOWED: [&str; 1] = ["Event"];
/// Deletions mostly wait for the API, and a large owner's dependents are many.
const WORKERS: usize = 16;

pub(crate) fn controller(start: &Start) -> Controller {
    let graph: Arc<Mutex<Graph>> = Arc::default();
    let mut controller = Controller::new("garbage-collector", Garbage { graph: graph.clone() }).workers(WORKERS);
    for def in kinds() {
        let (transport, graph) = (start.client.transport().clone(), graph.clone());
        controller = controller.source(move |feed| follow_kind(transport, def, graph, feed));
    }
    let (client, own) = (start.client.clone(), graph.clone());
    controller = controller.source(move |feed| custom::follow_all(client, own, feed));
    let client = start.client.clone();
    controller.source(move |feed| aggregated::follow_all(client, graph, feed))
}

/// Keeps the graph's objects of one kind current, for as long as it is polled.
async fn follow_kind(
    transport: Arc<dyn Transport>,
    def: &'static ResourceDef,
    graph: Arc<Mutex<Graph>>,
    mut feed: Feed,
) {
    follow(transport, def, move |told| {
        let mut graph = graph.lock();
        let look = match told {
            Told::Listing => {
                graph.list_begins(def);
                Vec::new()
            }
            Told::Is(meta) => graph.set(def, &meta),
            Told::Gone(uid) => graph.remove(&uid),
            Told::Listed => {
                feed.started();
                graph.list_ends(def)
            }
            Told::NotServed => {
                feed.started();
                Vec::new()
            }
        };
        drop(graph);
        look.into_iter().for_each(|uid| feed.add(uid));
    })
    .await;
}

fn kinds() -> impl Iterator<Item = &'static ResourceDef> {
    let defs = api::object::stored().map(|row| row.def());
    defs.filter(|def| def.verbs == Verbs::Full && !NOT_FOLLOWED.contains(&def.kind))
}

struct Garbage {
    graph: Arc<Mutex<Graph>>,
}

#[async_trait]
impl Reconcile for Garbage {
    async fn reconcile(&self, ctx: &Context, uid: &Key) -> Result<Action, Error> {
        let Some(node) = self.graph.lock().get(uid) else { return Ok(Action::Done) };
        match node.ending {
            Ending::Orphan => self.orphan(ctx, uid, &node).await?,
            // What it waits for is asked to go on its own; each that is gone wakes it again.
            Ending::Foreground if self.graph.lock().is_blocked(uid) => {}
            Ending::Foreground => objects::remove_finalizer(ctx, uid, &node, FOREGROUND).await?,
            Ending::No if node.deleted || node.owners.is_empty() => {}
            Ending::No => self.judge(ctx, uid, &node).await?,
        }
        Ok(Action::Done)
    }
}

impl Garbage {
    /// Decides by an object's owners whether it stays.
    async fn judge(&self, ctx: &Context, uid: &Key, node: &Node) -> Result<(), Error> {
        let mut owners = Vec::with_capacity(node.owners.len());
        for reference in &node.owners {
            owners.push((reference.uid.clone(), self.owner(ctx, uid, node, reference).await?));
        }
        let has_dependents = self.graph.lock().has_dependents(uid);
        match graph::verdict(&owners, has_dependents) {
            Verdict::Keep => Ok(()),
            Verdict::Forget(owners) => objects::forget_owners(ctx, uid, node, &owners).await,
            Verdict::Delete { foreground } => {
                if foreground && self.graph.lock().has_waiting_dependent(uid) {
                    objects::unblock_owners(ctx, uid, node).await?;
                }
                objects::delete(ctx, uid, node, foreground).await
            }
        }
    }

    async fn owner(&self, ctx: &Context, uid: &Key, node: &Node, reference: &Reference) -> Result<Owner, Error> {
        let served =
            reference.def().filter(|def| self.graph.lock().serves(def) || self.graph.lock().is_gone(&reference.uid));
        let Some(def) = served else {
            // It may well be there; only what is certainly gone counts as gone.
            tracing::debug!(kind = node.def.kind, name = &*node.name, "an owner of an unknown kind");
            return Ok(Owner::There);
        };
        let Some(namespace) = node.owners_namespace(def) else {
            report_namespace(ctx, uid, node, reference, def, "");
            return Ok(Owner::There);
        };
        let known = self.graph.lock().owner(node, reference);
        match known {
            Owner::Unknown => self.ask(ctx, uid, node, reference, (def, namespace)).await,
            Owner::Elsewhere => {
                let other = self.graph.lock().namespace_of(&reference.uid).unwrap_or_default();
                if other != namespace {
                    report_namespace(ctx, uid, node, reference, def, &other);
                }
                Ok(Owner::Elsewhere)
            }
            known => Ok(known),
        }
    }

    /// An owner that the graph lacks, as the server has it.
    async fn ask(
        &self,
        ctx: &Context,
        uid: &Key,
        node: &Node,
        reference: &Reference,
        (def, namespace): (&'static ResourceDef, &str),
    ) -> Result<Owner, Error> {
        let found = objects::read(ctx, def, namespace, &reference.name).await?;
        if let Some(meta) = found.filter(|meta| *meta.uid == *reference.uid) {
            self.graph.lock().found(def, &meta);
            return Ok(if graph::ending(&meta) == Ending::Foreground { Owner::Waiting } else { Owner::There });
        }
        if def.namespaced()
            && let Some(other) = objects::namespace_of(ctx, def, &reference.name, &reference.uid).await?
        {
            report_namespace(ctx, uid, node, reference, def, &other);
        }
        Ok(Owner::Gone)
    }

    /// Its dependents lose it as an owner, then it may go.
    async fn orphan(&self, ctx: &Context, uid: &Key, node: &Node) -> Result<(), Error> {
        let dependents = self.graph.lock().dependents(uid);
        let (_, error) = in_batches(dependents, ctx.failures(), |(dependent, node)| {
            let (ctx, owner) = (ctx.clone(), [uid.clone()]);
            async move { objects::forget_owners(&ctx, &dependent, &node, &owner).await }
        })
        .await;
        match error {
            Some(error) => Err(error),
            None => objects::remove_finalizer(ctx, uid, node, ORPHAN).await,
        }
    }
}

/// An owner in another namespace is none, which its author did not mean.
fn report_namespace(ctx: &Context, uid: &Key, node: &Node, owner: &Reference, def: &ResourceDef, elsewhere: &str) {
    let (kind, name) = (def.kind, &owner.name);
    let coordinates =
        format!("[{}/{kind}, namespace: {elsewhere}, name: {name}, uid: {}]", def.api_version(), owner.uid);
    let message = format!("ownerRef {coordinates} does not exist in namespace {:?}", node.namespace);
    let regarding = ObjectReference {
        api_version: Some(node.def.api_version()),
        kind: Some(node.def.kind.to_owned()),
        namespace: Some(node.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
        name: Some(node.name.to_string()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    };
    ctx.events().event_about(regarding, Severity::Warning, "OwnerRefInvalidNamespace", message);
}
