//! Kinds that come and go: each is followed by a task of its own from when it is there, until it is gone.
//!
//! Bound: one watch per kind.

use super::follow_kind;
use super::graph::Graph;
use api::resource::ResourceDef;
use client::Client;
use parking_lot::Mutex;
use reconcile::{Feed, Key};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::{AbortHandle, JoinSet};

pub(super) struct Followed {
    client: Client,
    graph: Arc<Mutex<Graph>>,
    by_name: HashMap<Key, (&'static ResourceDef, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Followed {
    pub(super) fn new(client: Client, graph: Arc<Mutex<Graph>>) -> Followed {
        Followed { client, graph, by_name: HashMap::new(), tasks: JoinSet::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &'static ResourceDef)> {
        self.by_name.iter().map(|(name, (def, _))| (name, *def))
    }

    /// Follows a kind by the row that is `wanted`, or no more. `is_gone`: its objects are gone with it; else nothing is
    /// concluded of them.
    pub(super) fn set(&mut self, name: &Key, wanted: Option<&'static ResourceDef>, is_gone: bool, feed: &Feed) {
        let known = self.by_name.get(name).map(|(def, _)| *def);
        if known.map(std::ptr::from_ref) == wanted.map(std::ptr::from_ref) {
            return;
        }
        if let Some((def, task)) = self.by_name.remove(name) {
            task.abort();
            if wanted.is_none() {
                self.leave(def, is_gone).into_iter().for_each(|uid| feed.add(uid));
            }
        }
        // They never end by themselves.
        while let Some(ended) = self.tasks.try_join_next() {
            tracing::trace!(cancelled = ended.is_err(), "a kind is followed no more");
        }
        let Some(def) = wanted else { return };
        self.graph.lock().learn(def).into_iter().for_each(|uid| feed.add(uid));
        let (transport, graph) = (self.client.transport().clone(), self.graph.clone());
        let task = self.tasks.spawn(follow_kind(transport, def, graph, feed.clone()));
        self.by_name.insert(name.clone(), (def, task));
    }

    /// A kind is not served any more; the uids that are to be looked at.
    fn leave(&self, def: &ResourceDef, is_gone: bool) -> Vec<Key> {
        let mut graph = self.graph.lock();
        graph.unlearn(def);
        if !is_gone {
            return Vec::new();
        }
        graph.list_begins(def);
        graph.list_ends(def)
    }
}
