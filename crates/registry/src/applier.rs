//! The one task that brings the store's changes into the caches, in revision order.
//!
//! Invariants: a batch's events of one revision become visible before that revision counts as reached; when the
//! follower fell behind the store's history it loads anew and all watches start over (410); when the store is lost
//! every waiting and later request is told so.

use crate::charge;
use crate::event::Event;
use crate::registry::{Inner, RegistryError};
use crate::resource::{Resource, Snapshot};
use api::Object;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Revision, StoreError, Watch};

/// All that the store has: objects' keys begin with a slash, and what stands beside them is followed as well, since a
/// commit of nothing else must count as reached, too.
pub(crate) const ROOT: &str = "";

/// Reads the whole state and opens the watch that continues it.
pub(crate) async fn load(inner: &Inner) -> Result<Box<dyn Watch>, RegistryError> {
    let store = |attempted| move |source| RegistryError::Store { attempted, source };
    let state = inner.store.range(ROOT, None, 0, None).await.map_err(store("reading the stored state"))?;
    let mut by_resource: HashMap<(&str, &str), Snapshot> = HashMap::new();
    let mut charged = Vec::new();
    for item in state.items {
        if charge::is_key(&item.key) {
            charged.push((item.key.clone(), Some(item.modified)));
        }
        let Some(resource) = inner.resource_of_key(&item.key) else {
            if item.key.starts_with('/') {
                tracing::debug!(key = %item.key, "a stored object of a kind that is not served is left alone");
            }
            continue;
        };
        let snapshot = by_resource.entry((resource.def.group, resource.def.plural)).or_default();
        let entry = match resource.read(item.key.clone(), item.modified, item.value, None) {
            Ok(entry) => entry,
            Err(reason) => {
                tracing::error!(key = %item.key, %reason, "a stored object cannot be read");
                snapshot.unreadable.insert(item.key, reason);
                continue;
            }
        };
        observe(&resource, None, Some(&entry))
            .map_err(|source| RegistryError::Undecodable { key: item.key.to_string(), source })?;
        snapshot.objects.insert(item.key, entry);
    }
    for (name, resource) in inner.all().iter() {
        let found = by_resource.remove(name).unwrap_or_default();
        resource.load(Snapshot { revision: state.revision, ..found });
    }
    inner.charged.clear();
    inner.charged.observe(charged);
    *inner.loaded.lock() = state.revision;
    inner.progress.advance(state.revision);
    inner.store.watch(ROOT, state.revision).await.map_err(store("watching the store"))
}

/// Follows until the store is lost.
pub(crate) async fn follow(inner: Arc<Inner>, mut watch: Box<dyn Watch>) {
    loop {
        let failure = match watch.next().await {
            Ok(events) => {
                let turn = inner.turn.lock().await;
                let applied = apply(&inner, events);
                drop(turn);
                match applied {
                    Ok(()) => continue,
                    Err(error) => error.to_string(),
                }
            }
            Err(StoreError::Compacted { .. }) => {
                let turn = inner.turn.lock().await;
                let loaded = load(&inner).await;
                drop(turn);
                match loaded {
                    Ok(fresh) => {
                        tracing::warn!("the cache fell behind the store's history and was loaded anew");
                        watch = fresh;
                        continue;
                    }
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        tracing::error!(reason = failure, "the store is no longer followed");
        inner.progress.fail(failure);
        inner.all().values().for_each(|resource| resource.close());
        return;
    }
}

/// One resource's part of a batch.
struct Part {
    resource: Arc<Resource>,
    snapshot: Snapshot,
    events: Vec<Arc<Event>>,
    /// Something came that cannot be read: whoever watches begins anew.
    broken: bool,
}

fn apply(inner: &Inner, batch: Vec<store::Event>) -> Result<(), RegistryError> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut reached, mut charged) = (Revision(0), Vec::new());
    for change in batch {
        reached = reached.max(change.revision);
        if charge::is_key(&change.key) {
            charged.push((change.key.clone(), change.value.as_ref().map(|_| change.revision)));
        }
        let Some(part) = part_of(inner, &mut parts, &change.key) else { continue };
        if change.revision <= part.resource.loaded() {
            continue;
        }
        if !part.snapshot.unreadable.is_empty() {
            part.snapshot.unreadable.remove(&change.key);
        }
        let objects = &mut part.snapshot.objects;
        let (before, after) = match change.value {
            Some(value) => {
                let selectable = inner.prepared.find(&value, part.resource.edition);
                match part.resource.read(change.key.clone(), change.revision, value, selectable) {
                    Ok(after) => (objects.insert(change.key, after.clone()), Some(after)),
                    Err(reason) => {
                        tracing::error!(key = %change.key, %reason, "a stored object cannot be read");
                        objects.remove(&change.key);
                        part.snapshot.unreadable.insert(change.key, reason);
                        part.snapshot.revision = change.revision;
                        part.broken = true;
                        continue;
                    }
                }
            }
            None => (objects.remove(&change.key), None),
        };
        if before.is_some() || after.is_some() {
            part.snapshot.revision = change.revision;
            part.events.push(Arc::new(Event::new(change.revision, before, after)));
        }
    }
    for part in parts {
        match part.broken {
            true => part.resource.load(part.snapshot),
            false => part.resource.apply(part.snapshot, &part.events),
        }
        for event in &part.events {
            let told = observe(&part.resource, event.before.as_deref(), event.after.as_deref());
            told.map_err(|source| RegistryError::Undecodable {
                key: event.entry(event.plain_type()).key().to_string(),
                source,
            })?;
        }
    }
    inner.charged.observe(charged);
    inner.progress.advance(reached);
    Ok(())
}

fn part_of<'a>(inner: &Inner, parts: &'a mut Vec<Part>, key: &str) -> Option<&'a mut Part> {
    let at = match parts.iter().position(|part| key.starts_with(part.resource.prefix())) {
        Some(at) => at,
        None => {
            let resource = inner.resource_of_key(key)?;
            let snapshot = Snapshot::clone(&resource.snapshot());
            parts.push(Part { resource, snapshot, events: Vec::new(), broken: false });
            parts.len() - 1
        }
    };
    parts.get_mut(at)
}

fn observe(
    resource: &Resource,
    before: Option<&crate::Entry>,
    after: Option<&crate::Entry>,
) -> Result<(), serde_json::Error> {
    let Some(hook) = &resource.hook else { return Ok(()) };
    let decode = |entry: Option<&crate::Entry>| -> Result<Option<Box<dyn Object>>, serde_json::Error> {
        entry.map(|entry| entry.decode(resource.kind)).transpose()
    };
    let (before, after) = (decode(before)?, decode(after)?);
    hook.observe(resource, before.as_deref(), after.as_deref());
    Ok(())
}
