//! ConfigMaps and Secrets that pods refer to: each watched by name, which is all that a node may read.
//!
//! Invariants: an object is watched once per namespace however many pods refer to it; all watches of a namespace end
//! with its last pod on this node. Bound: one entry per referenced name.

use crate::pod;
use api::Kind;
use client::{Cache, CacheScope, Changes, Client};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Volume};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a pod's start waits for an object's first state; then it fails, and is tried again.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// Names that a pod or container refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) config_maps: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
}

impl Wanted {
    /// By a container's environment.
    pub(crate) fn by_container(container: &Container) -> Wanted {
        let mut wanted = Wanted::default();
        for source in container.env_from.iter().flatten() {
            wanted.config_maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
            wanted.secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            wanted.config_maps.extend(from.config_map_key_ref.iter().map(|selector| selector.name.clone()));
            wanted.secrets.extend(from.secret_key_ref.iter().map(|selector| selector.name.clone()));
        }
        wanted
    }

    /// By a volume's files.
    pub(crate) fn by_volume(volume: &Volume) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        wanted.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for source in sources {
            wanted.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
            wanted.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
        }
        wanted
    }

    pub(crate) fn by_volumes(pod: &Pod) -> Wanted {
        let mut wanted = Wanted::default();
        for volume in pod::spec(pod).volumes.iter().flatten() {
            let of_volume = Wanted::by_volume(volume);
            wanted.config_maps.extend(of_volume.config_maps);
            wanted.secrets.extend(of_volume.secrets);
        }
        wanted
    }
}

/// The objects as they were found; `None` does not exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    pub(crate) config_maps: BTreeMap<String, Option<Arc<ConfigMap>>>,
    pub(crate) secrets: BTreeMap<String, Option<Arc<Secret>>>,
}

impl Objects {
    pub(crate) fn config_map(&self, name: &str, optional: bool) -> Result<Option<&ConfigMap>, String> {
        found(self.config_maps.get(name), "configmap", name, optional)
    }

    pub(crate) fn secret(&self, name: &str, optional: bool) -> Result<Option<&Secret>, String> {
        found(self.secrets.get(name), "secret", name, optional)
    }
}

fn found<'a, K>(
    entry: Option<&'a Option<Arc<K>>>,
    kind: &str,
    name: &str,
    optional: bool,
) -> Result<Option<&'a K>, String> {
    match entry.and_then(Option::as_deref) {
        Some(object) => Ok(Some(object)),
        None if optional => Ok(None),
        None => Err(format!("{kind} {name:?} not found")),
    }
}

/// All namespaces that have pods here.
pub(crate) struct Namespaces {
    client: Client,
    known: Mutex<HashMap<String, Weak<Namespace>>>,
}

impl Namespaces {
    pub(crate) fn new(client: Client) -> Namespaces {
        Namespaces { client, known: Mutex::default() }
    }

    /// One namespace's objects, for as long as somebody holds it.
    pub(crate) fn get(&self, name: &str) -> Arc<Namespace> {
        let mut known = self.known.lock();
        if let Some(namespace) = known.get(name).and_then(Weak::upgrade) {
            return namespace;
        }
        known.retain(|_, namespace| namespace.strong_count() > 0);
        // A client of its own has caches of its own, which end with it.
        let client = Client::new(self.client.transport().clone());
        let namespace = Arc::new(Namespace { name: name.to_owned(), client });
        known.insert(name.to_owned(), Arc::downgrade(&namespace));
        namespace
    }
}

/// A namespace's watched objects.
pub(crate) struct Namespace {
    name: String,
    client: Client,
}

impl Namespace {
    fn watched<K: Kind>(&self, name: &str) -> Cache<K> {
        self.client.cache_of(CacheScope {
            namespace: self.name.clone(),
            field_selector: format!("metadata.name={name}"),
            ..CacheScope::default()
        })
    }

    async fn state<K: Kind>(&self, name: &str) -> Result<Option<Arc<K>>, String> {
        let cache = self.watched::<K>(name);
        let synced = tokio::time::timeout(SYNC_TIMEOUT, cache.synced()).await;
        synced.map_err(|_| format!("failed to sync {} cache: timed out waiting for the condition", K::DEF.singular))?;
        Ok(cache.get(&self.name, name))
    }

    /// The present states of all that is wanted.
    pub(crate) async fn states(&self, wanted: &Wanted) -> Result<Objects, String> {
        let mut objects = Objects::default();
        for name in &wanted.config_maps {
            objects.config_maps.insert(name.clone(), self.state(name).await?);
        }
        for name in &wanted.secrets {
            objects.secrets.insert(name.clone(), self.state(name).await?);
        }
        Ok(objects)
    }

    /// A stream that ends a wait whenever any of them changes.
    pub(crate) fn changes(&self, wanted: &Wanted) -> ObjectChanges {
        ObjectChanges {
            config_maps: wanted.config_maps.iter().map(|name| self.watched(name).changes()).collect(),
            secrets: wanted.secrets.iter().map(|name| self.watched(name).changes()).collect(),
        }
    }
}

pub(crate) struct ObjectChanges {
    config_maps: Vec<Changes<ConfigMap>>,
    secrets: Vec<Changes<Secret>>,
}

impl ObjectChanges {
    /// Returns when something changed; never when nothing is watched.
    pub(crate) async fn next(&mut self) {
        let maps = self.config_maps.iter_mut().map(boxed);
        let secrets = self.secrets.iter_mut().map(boxed);
        let all: Vec<_> = maps.chain(secrets).collect();
        if all.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(all).await;
    }

    /// Drops what is waiting, so that `next` tells of later changes only.
    pub(crate) fn skip(&mut self) {
        for changes in &mut self.config_maps {
            while changes.try_next().is_some() {}
        }
        for changes in &mut self.secrets {
            while changes.try_next().is_some() {}
        }
    }
}

fn boxed<K: Kind>(changes: &mut Changes<K>) -> futures::future::BoxFuture<'_, ()> {
    use futures::FutureExt;
    async { drop(changes.next().await) }.boxed()
}
