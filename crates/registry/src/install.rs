//! Kinds that come and go while the registry runs.
//!
//! Invariants: a kind is served only when its objects are in the cache; versions of one kind share one cache; a kind
//! that changes keeps its cache, and its watches unless they would have been told otherwise: where an object now reads
//! otherwise, or somebody converts the objects, whoever watches begins anew. What is in the store of a kind that goes
//! stays there.

use crate::conversion::{Conversion, Converter};
use crate::entry::Entry;
use crate::registry::{ByName, ByVersion, Inner, Registry, store_status};
use crate::resource::{Resource, Snapshot};
use api::{Registered, Status};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Key, KeyValue};

/// Objects that are read in one go before others have their turn.
const READ_BATCH: usize = 256;

impl Registry {
    /// Serves a kind, or serves it otherwise than before, in these versions; in the first one its objects are stored.
    /// Where there is a converter, it makes one version's objects of another's.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn install(
        &self,
        stored: &'static dyn Registered,
        others: &[&'static dyn Registered],
        converter: Option<Arc<dyn Converter>>,
    ) -> Result<(), Status> {
        static EDITIONS: AtomicU64 = AtomicU64::new(1);
        let edition = EDITIONS.fetch_add(1, Ordering::Relaxed);
        let def = stored.def();
        let conversion = converter.map(|converter| Arc::new(Conversion::new(converter, def.version)));
        let versions: Arc<[&'static dyn Registered]> = match others {
            [] => Arc::default(),
            others => std::iter::once(&stored).chain(others).copied().collect(),
        };
        let made = |resource: Resource| resource.edition(edition, conversion.clone()).with_versions(versions.clone());
        let renewed = |present: &Resource| made(present.version(stored));
        let read = match self.inner.resource(def.group, def.plural) {
            // Before its turn comes, as it takes long where there are many.
            Some(present) => self.inner.read_all(&renewed(&present)).await?,
            None => HashMap::new(),
        };
        let turn = self.inner.turn.lock().await;
        let resource = match self.inner.resource(def.group, def.plural) {
            Some(present) => {
                let resource = Arc::new(renewed(&present));
                self.inner.renew(&present, &resource, read).await?;
                resource
            }
            None => self.inner.loaded_resource(made(Resource::new(stored, None))).await?,
        };
        let loaded = resource.loaded();
        let versions: Vec<Arc<Resource>> = others.iter().map(|kind| Arc::new(resource.version(*kind))).collect();
        self.inner.change(|resources, by_version| {
            forget(resources, by_version, def.group, def.plural);
            for version in versions {
                by_version.insert((version.def.group, version.def.version, version.def.plural), version);
            }
            resources.insert((def.group, def.plural), resource);
        });
        drop(turn);
        // The new cache may be ahead; a list of it is to carry a revision that all have reached.
        self.inner.progress.reached(loaded).await
    }

    /// Serves a kind no more; its watches end.
    pub async fn uninstall(&self, group: &str, plural: &str) {
        let turn = self.inner.turn.lock().await;
        let gone = self.inner.resource(group, plural);
        self.inner.change(|resources, by_version| forget(resources, by_version, group, plural));
        drop(turn);
        if let Some(gone) = gone {
            gone.close();
        }
    }

    /// Every resource in every version that clients may ask for, in no order.
    pub fn served(&self) -> Vec<Arc<Resource>> {
        let (resources, versions) = (self.inner.resources.load(), self.inner.versions.load());
        let all = resources.values().chain(versions.values());
        all.filter(|resource| resource.kind.is_served()).cloned().collect()
    }
}

fn forget(resources: &mut ByName, versions: &mut ByVersion, group: &str, plural: &str) {
    resources.retain(|name, _| *name != (group, plural));
    versions.retain(|(own_group, _, own_plural), _| (*own_group, *own_plural) != (group, plural));
}

impl Inner {
    /// Both tables change under `turn`, so that a copy loses nothing.
    fn change(&self, change: impl FnOnce(&mut ByName, &mut ByVersion)) {
        let (mut resources, mut versions) =
            (ByName::clone(&self.resources.load()), ByVersion::clone(&self.versions.load()));
        change(&mut resources, &mut versions);
        self.resources.store(Arc::new(resources));
        self.versions.store(Arc::new(versions));
    }

    /// A new resource with what the store has of it. To be called in turn: what is read here may be ahead of what was
    /// applied, and is not applied again.
    async fn loaded_resource(&self, resource: Resource) -> Result<Arc<Resource>, Status> {
        let resource = Arc::new(resource);
        let state = self.store.range(resource.prefix(), None, 0, None).await.map_err(store_status)?;
        let mut snapshot = Snapshot { revision: state.revision, ..Snapshot::default() };
        for item in state.items {
            match resource.read(item.key.clone(), item.modified, item.value, None) {
                Ok(entry) => drop(snapshot.objects.insert(item.key, entry)),
                Err(reason) => drop(snapshot.unreadable.insert(item.key, reason)),
            }
        }
        resource.load(snapshot);
        Ok(resource)
    }

    /// The stored objects as the resource reads them.
    async fn read_all(&self, resource: &Resource) -> Result<HashMap<Key, Arc<Entry>>, Status> {
        let state = self.store.range(resource.prefix(), None, 0, None).await.map_err(store_status)?;
        let mut read = HashMap::with_capacity(state.items.len());
        for batch in state.items.chunks(READ_BATCH) {
            read.extend(batch.iter().filter_map(|item| Some((item.key.clone(), read_item(resource, item)?))));
            tokio::task::yield_now().await;
        }
        Ok(read)
    }

    /// Has the cache hold what it held as the resource reads it now; `read` is what was read of it before its turn.
    async fn renew(
        &self,
        before: &Resource,
        resource: &Resource,
        mut read: HashMap<Key, Arc<Entry>>,
    ) -> Result<(), Status> {
        let mut snapshot = Snapshot::clone(&resource.snapshot());
        let mut differs = before.conversion.is_some() || resource.conversion.is_some();
        // What selectors looked at is kept with the entries.
        let selects_otherwise = before.def.selectable != resource.def.selectable;
        let present: Vec<Arc<Entry>> = snapshot.objects.values().cloned().collect();
        for entry in present {
            let fresh = match read.remove(entry.key()) {
                Some(fresh) if fresh.revision == entry.revision => Some(fresh),
                _ => {
                    let item = self.store.get(entry.key()).await.map_err(store_status)?;
                    // What was written since is yet to be applied, and read then.
                    item.filter(|item| item.modified == entry.revision).and_then(|item| read_item(resource, &item))
                }
            };
            let Some(fresh) = fresh else { continue };
            if selects_otherwise || fresh.value() != entry.value() {
                differs = true;
                snapshot.objects.insert(entry.key().clone(), fresh);
            }
        }
        if differs {
            resource.load(snapshot);
        }
        Ok(())
    }
}

fn read_item(resource: &Resource, item: &KeyValue) -> Option<Arc<Entry>> {
    resource.read(item.key.clone(), item.modified, item.value.clone(), None).ok()
}
