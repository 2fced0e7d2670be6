//! Events from before this process began, read from the store when a watch first asks to resume there.
//!
//! Bound: what the store keeps; each log takes the newest of it that fits.

use crate::applier::ROOT;
use crate::event::Event;
use crate::registry::{Inner, store_status};
use crate::resource::Resource;
use api::Status;
use std::collections::HashMap;
use std::sync::Arc;
use store::{KeyValue, Revision, StoreError, Watch};

/// A resource's events, and after which revision they are complete, where that is later than for others.
#[derive(Default)]
struct Past {
    events: Vec<Arc<Event>>,
    floor: Revision,
}

type ByResource = HashMap<(&'static str, &'static str), Past>;

/// Makes the logs reach back as far as the store does; once.
pub(crate) async fn recall(inner: &Inner) -> Result<(), Status> {
    inner.history.get_or_try_init(|| read(inner)).await.copied()
}

async fn read(inner: &Inner) -> Result<(), Status> {
    let until = *inner.loaded.lock();
    let (mut watch, floor) = match oldest_watch(inner).await.map_err(store_status)? {
        Some(found) if found.1 < until => found,
        _ => return Ok(()),
    };
    let mut by_resource = ByResource::new();
    let mut reached = floor;
    while reached < until {
        let events = watch.next().await.map_err(store_status)?;
        for event in events {
            reached = event.revision;
            if reached <= until {
                collect(inner, &mut by_resource, event);
            }
        }
    }
    for (name, resource) in inner.all().iter() {
        // A log that was cut off and loaded anew since begins elsewhere; it stays as it is.
        if resource.log_floor() == until {
            let past = by_resource.remove(name).unwrap_or_default();
            resource.prepend_history(past.events, past.floor.max(floor));
        }
    }
    Ok(())
}

/// A watch from as far back as the store goes, and from where that is.
async fn oldest_watch(inner: &Inner) -> Result<Option<(Box<dyn Watch>, Revision)>, StoreError> {
    let mut from = Revision(0);
    // Compaction may move the end once or twice while we look; then history is short and not worth a third try.
    for _ in 0..3 {
        match inner.store.watch(ROOT, from).await {
            Ok(watch) => return Ok(Some((watch, from))),
            Err(StoreError::Compacted { oldest, .. }) => from = oldest,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn collect(inner: &Inner, by_resource: &mut ByResource, event: store::Event) {
    let Some(resource) = inner.resource_of_key(&event.key) else { return };
    let past = by_resource.entry((resource.def.group, resource.def.plural)).or_default();
    let revision = event.revision;
    match read_event(&resource, event) {
        Ok(event) => past.events.extend(event),
        // Of what cannot be read nothing can be told: the past begins after it.
        Err(_) => *past = Past { events: Vec::new(), floor: revision },
    }
}

fn read_event(resource: &Resource, event: store::Event) -> Result<Option<Arc<Event>>, Arc<str>> {
    let before = match event.previous {
        Some(KeyValue { key, value, modified, .. }) => Some(resource.read(key, modified, value, None)?),
        None => None,
    };
    let after = match event.value {
        Some(value) => Some(resource.read(event.key, event.revision, value, None)?),
        None => None,
    };
    let told = before.is_some() || after.is_some();
    Ok(told.then(|| Arc::new(Event::new(event.revision, before, after))))
}
