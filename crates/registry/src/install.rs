//! Kinds that come and go while the registry runs.
//!
//! Invariants: a kind is served only when its objects are in the cache; versions of one kind share one cache; a kind
//! that changes keeps its cache and its watches. What is in the store of a kind that goes stays there.

use crate::registry::{ByName, ByVersion, Inner, Registry, store_status};
use crate::resource::Resource;
use api::{Registered, Status};
use std::sync::Arc;

impl Registry {
    /// Serves a kind, or serves it otherwise than before, in these versions; in the first one its objects are stored.
    ///
    /// # Errors
    /// When the store cannot be read, or an object in it is none.
    pub async fn install(
        &self,
        stored: &'static dyn Registered,
        others: &[&'static dyn Registered],
    ) -> Result<(), Status> {
        let turn = self.inner.turn.lock().await;
        let def = stored.def();
        let resource = match self.inner.resource(def.group, def.plural) {
            Some(present) => Arc::new(present.version(stored)),
            None => self.inner.loaded_resource(stored).await?,
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
    async fn loaded_resource(&self, kind: &'static dyn Registered) -> Result<Arc<Resource>, Status> {
        let resource = Arc::new(Resource::new(kind, None));
        let state = self.store.range(resource.prefix(), None, 0, None).await.map_err(store_status)?;
        let mut objects = imbl::OrdMap::new();
        for item in state.items {
            let entry = resource.entry(item.key.clone(), item.modified, item.value, None).map_err(Status::internal)?;
            objects.insert(item.key, entry);
        }
        resource.load(state.revision, objects);
        Ok(resource)
    }
}
