//! Keeps the index and the node graph at what the caches hold: rebuilt on their events, never by a clock.

use super::Synced;
use super::index::Index;
use super::node_graph::NodeGraph;
use arc_swap::ArcSwap;
use client::{Cache, Cached, Change, Changes, Client};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// Changes taken over per hold of the graph's lock, so that a burst does not keep deciders waiting.
const CHANGES_PER_LOCK: usize = 64;

/// What has to be compiled anew.
#[derive(Default)]
struct Dirty {
    everything: bool,
    cluster: bool,
    namespaces: BTreeSet<String>,
}

struct Sources {
    cluster_roles: Changes<ClusterRole>,
    cluster_bindings: Changes<ClusterRoleBinding>,
    roles: Changes<Role>,
    bindings: Changes<RoleBinding>,
}

fn namespace_of(key: &str) -> String {
    key.split_once('/').map_or("", |(namespace, _)| namespace).to_owned()
}

impl Sources {
    /// Waits for a change, then takes all that are there: a burst is one rebuild.
    async fn next(&mut self) -> Dirty {
        let mut dirty = Dirty::default();
        tokio::select! {
            _ = self.cluster_roles.next() => dirty.everything = true,
            _ = self.cluster_bindings.next() => dirty.cluster = true,
            change = self.roles.next() => drop(dirty.namespaces.insert(namespace_of(&change.key))),
            change = self.bindings.next() => drop(dirty.namespaces.insert(namespace_of(&change.key))),
        }
        self.drain(&mut dirty);
        dirty
    }

    fn drain(&mut self, dirty: &mut Dirty) {
        while self.cluster_roles.try_next().is_some() {
            dirty.everything = true;
        }
        while self.cluster_bindings.try_next().is_some() {
            dirty.cluster = true;
        }
        while let Some(change) = self.roles.try_next() {
            dirty.namespaces.insert(namespace_of(&change.key));
        }
        while let Some(change) = self.bindings.try_next() {
            dirty.namespaces.insert(namespace_of(&change.key));
        }
    }
}

struct Caches {
    cluster_roles: Cache<ClusterRole>,
    cluster_bindings: Cache<ClusterRoleBinding>,
    roles: Cache<Role>,
    bindings: Cache<RoleBinding>,
}

impl Caches {
    fn of(client: &Client) -> Caches {
        Caches {
            cluster_roles: client.cache(),
            cluster_bindings: client.cache(),
            roles: client.cache(),
            bindings: client.cache(),
        }
    }

    async fn synced(&self) {
        tokio::join!(
            self.cluster_roles.synced(),
            self.cluster_bindings.synced(),
            self.roles.synced(),
            self.bindings.synced()
        );
    }

    fn changes(&self) -> Sources {
        Sources {
            cluster_roles: self.cluster_roles.changes(),
            cluster_bindings: self.cluster_bindings.changes(),
            roles: self.roles.changes(),
            bindings: self.bindings.changes(),
        }
    }

    fn namespace(&self, index: Index, name: &str) -> Index {
        index.with_namespace(name, &self.roles.list_namespace(name), &self.bindings.list_namespace(name))
    }

    fn everything(&self) -> Index {
        let keys = |namespace: &Option<String>| namespace.clone().unwrap_or_default();
        let mut namespaces: BTreeSet<String> =
            self.roles.list().iter().map(|role| keys(&role.metadata.namespace)).collect();
        namespaces.extend(self.bindings.list().iter().map(|binding| keys(&binding.metadata.namespace)));
        let index = Index::with_cluster_roles(&self.cluster_roles.list());
        let index = index.with_cluster_bindings(&self.cluster_bindings.list());
        namespaces.iter().fold(index, |index, name| self.namespace(index, name))
    }

    fn rebuild(&self, dirty: &Dirty, present: &Index) -> Index {
        if dirty.everything {
            return self.everything();
        }
        let mut index = present.clone();
        if dirty.cluster {
            index = index.with_cluster_bindings(&self.cluster_bindings.list());
        }
        dirty.namespaces.iter().fold(index, |index, name| self.namespace(index, name))
    }
}

/// Follows roles and bindings until it is dropped.
pub(crate) async fn rbac(client: Client, index: Arc<ArcSwap<Index>>, synced: Arc<watch::Sender<Synced>>) {
    let caches = Caches::of(&client);
    caches.synced().await;
    let mut sources = caches.changes();
    sources.drain(&mut Dirty::default());
    index.store(Arc::new(caches.everything()));
    synced.send_modify(|synced| synced.rbac = true);
    loop {
        let dirty = sources.next().await;
        let rebuilt = caches.rebuild(&dirty, &index.load());
        index.store(Arc::new(rebuilt));
    }
}

/// Follows objects of one kind into the graph until it is dropped.
pub(crate) async fn into_graph<K: Cached>(
    cache: Cache<K>,
    graph: Arc<RwLock<NodeGraph>>,
    synced: Arc<watch::Sender<Synced>>,
    apply: fn(&mut NodeGraph, &Change<K>),
) {
    cache.synced().await;
    let mut changes = cache.changes();
    let mut waiting = changes.try_next();
    let mut is_first = true;
    loop {
        while let Some(first) = waiting.take() {
            let mut graph = graph.write();
            apply(&mut graph, &first);
            for _ in 1..CHANGES_PER_LOCK {
                let Some(change) = changes.try_next() else { break };
                apply(&mut graph, &change);
            }
            drop(graph);
            waiting = changes.try_next();
        }
        if std::mem::take(&mut is_first) {
            synced.send_modify(|synced| synced.graph_parts += 1);
        }
        waiting = Some(changes.next().await);
    }
}
