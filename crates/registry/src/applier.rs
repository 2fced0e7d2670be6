//! The one task that brings the store's changes into the caches, in revision order.
//!
//! Invariants: a batch's events of one revision become visible before that revision counts as reached; when the
//! follower fell behind the store's history it loads anew and all watches start over (410); when the store is lost
//! every waiting and later request is told so.

use crate::event::Event;
use crate::registry::{Inner, RegistryError};
use crate::resource::{Resource, Snapshot};
use api::Object;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Revision, StoreError, Watch};

/// Everything the registry reads lies below this.
pub(crate) const ROOT: &str = "/";

/// Reads the whole state and opens the watch that continues it.
pub(crate) async fn load(inner: &Inner) -> Result<Box<dyn Watch>, RegistryError> {
    let store = |attempted| move |source| RegistryError::Store { attempted, source };
    let state = inner.store.range(ROOT, None, 0, None).await.map_err(store("reading the stored state"))?;
    let mut by_resource: HashMap<(&str, &str), imbl::OrdMap<_, _>> = HashMap::new();
    for item in state.items {
        let Some(resource) = inner.resource_of_key(&item.key) else {
            tracing::debug!(key = %item.key, "a stored object of a kind that is not served is left alone");
            continue;
        };
        let entry = resource.entry(item.key.clone(), item.modified, item.value, None)?;
        observe(&resource, None, Some(&entry))
            .map_err(|source| RegistryError::Undecodable { key: item.key.to_string(), source })?;
        by_resource.entry((resource.def.group, resource.def.plural)).or_default().insert(item.key, entry);
    }
    for (name, resource) in inner.all().iter() {
        resource.load(state.revision, by_resource.remove(name).unwrap_or_default());
    }
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
}

fn apply(inner: &Inner, batch: Vec<store::Event>) -> Result<(), RegistryError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut reached = Revision(0);
    for change in batch {
        reached = reached.max(change.revision);
        let Some(part) = part_of(inner, &mut parts, &change.key) else { continue };
        if change.revision <= part.resource.loaded() {
            continue;
        }
        let objects = &mut part.snapshot.objects;
        let (before, after) = match change.value {
            Some(value) => {
                let selectable = inner.prepared.find(&value);
                let after = part.resource.entry(change.key.clone(), change.revision, value, selectable)?;
                (objects.insert(change.key, after.clone()), Some(after))
            }
            None => (objects.remove(&change.key), None),
        };
        if before.is_some() || after.is_some() {
            part.snapshot.revision = change.revision;
            part.events.push(Arc::new(Event::new(change.revision, before, after)));
        }
    }
    for part in parts {
        part.resource.apply(part.snapshot, &part.events);
        for event in &part.events {
            let told = observe(&part.resource, event.before.as_deref(), event.after.as_deref());
            told.map_err(|source| RegistryError::Undecodable {
                key: event.entry(event.plain_type()).key().to_string(),
                source,
            })?;
        }
    }
    inner.progress.advance(reached);
    Ok(())
}

fn part_of<'a>(inner: &Inner, parts: &'a mut Vec<Part>, key: &str) -> Option<&'a mut Part> {
    let at = match parts.iter().position(|part| key.starts_with(part.resource.prefix())) {
        Some(at) => at,
        None => {
            let resource = inner.resource_of_key(key)?;
            let snapshot = Snapshot::clone(&resource.snapshot());
            parts.push(Part { resource, snapshot, events: Vec::new() });
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
