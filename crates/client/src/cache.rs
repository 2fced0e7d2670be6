//! Shared caches: one watch and one decoding per kind and scope, however many consumers.
//!
//! Invariants: a cached object is immutable; a consumer hears of every state a key settles in, though not of every
//! state in between (a slow consumer gets one `Change` from what it knew to what is); `old` is what that consumer
//! was told before. Bound: one entry per live object, and per consumer at most one pending entry per changed key.

use crate::cached::Cached;
use crate::transport::{EventType, RawEvent, Transport, WatchRequest};
use api::{Reason, Status};
use futures::StreamExt;
use parking_lot::{Mutex, RwLock};
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Which objects of the kind; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    pub namespace: String,
    pub label_selector: String,
    pub field_selector: String,
}

/// `namespace/name`, or `name` for cluster-scoped kinds.
pub type ObjectKey = Arc<str>;

/// One key's change, as this consumer sees it. Both `None` never happens.
pub struct Change<K> {
    pub key: ObjectKey,
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

/// The process's caches by kind and scope.
#[derive(Default)]
pub(crate) struct Caches {
    by_kind: Mutex<HashMap<(TypeId, Scope), Arc<dyn Any + Send + Sync>>>,
}

impl Caches {
    pub(crate) fn get<K: Cached>(&self, transport: &Arc<dyn Transport>, scope: Scope) -> Cache<K> {
        let mut by_kind = self.by_kind.lock();
        let entry = by_kind.entry((TypeId::of::<K>(), scope.clone())).or_insert_with(|| {
            let shared = Arc::new(Shared::<K>::default());
            let mut held = shared.synced.subscribe();
            let followed = follow(Arc::downgrade(&shared), transport.clone(), scope);
            tokio::spawn(async move {
                tokio::select! {
                    () = followed => {}
                    // Nobody holds the cache any more; the next event may never come.
                    () = async { while held.changed().await.is_ok() {} } => {}
                }
            });
            shared
        });
        let shared = entry.clone().downcast::<Shared<K>>().expect("keyed by the type's id");
        Cache { shared }
    }
}

struct Shared<K> {
    objects: RwLock<BTreeMap<ObjectKey, Arc<K>>>,
    consumers: Mutex<Vec<Weak<Pending<K>>>>,
    synced: watch::Sender<bool>,
}

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Shared { objects: RwLock::default(), consumers: Mutex::default(), synced: watch::Sender::new(false) }
    }
}

/// One consumer's unread changes, coalesced per key.
struct Pending<K> {
    queue: Mutex<PendingQueue<K>>,
    ready: Notify,
}

struct PendingQueue<K> {
    order: VecDeque<ObjectKey>,
    /// What the consumer was last told of, for keys in `order`.
    told: HashMap<ObjectKey, Option<Arc<K>>>,
}

/// Room that a queue keeps when it is empty; what a burst took beyond that is given back.
const QUEUE_ROOM: usize = 256;

impl<K> PendingQueue<K> {
    fn shrink(&mut self) {
        if self.told.capacity() > 2 * QUEUE_ROOM {
            self.told.shrink_to(QUEUE_ROOM);
            self.order.shrink_to(QUEUE_ROOM);
        }
    }
}

/// All objects of a kind (and scope), kept current by a watch.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache { shared: self.shared.clone() }
    }
}

impl<K: Cached> Cache<K> {
    /// Returns when the first full state has been read.
    pub async fn synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        synced.wait_for(|synced| *synced).await.expect("the sender lives in `shared`, which `self` holds");
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let objects = self.shared.objects.read();
        if namespace.is_empty() {
            objects.get(name).cloned()
        } else {
            objects.get(format!("{namespace}/{name}").as_str()).cloned()
        }
    }

    pub fn get_key(&self, key: &str) -> Option<Arc<K>> {
        self.shared.objects.read().get(key).cloned()
    }

    /// In key order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.objects.read().values().cloned().collect()
    }

    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first: ObjectKey = format!("{namespace}/").into();
        let objects = self.shared.objects.read();
        objects
            .range(first.clone()..)
            .take_while(|(key, _)| key.starts_with(&*first))
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub fn len(&self) -> usize {
        self.shared.objects.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A consumer's stream of changes; begins with every present object as an addition.
    pub fn changes(&self) -> Changes<K> {
        let pending = Arc::new(Pending {
            queue: Mutex::new(PendingQueue { order: VecDeque::new(), told: HashMap::new() }),
            ready: Notify::new(),
        });
        let objects = self.shared.objects.read();
        {
            let mut queue = pending.queue.lock();
            for key in objects.keys() {
                queue.order.push_back(key.clone());
                queue.told.insert(key.clone(), None);
            }
        }
        self.shared.consumers.lock().push(Arc::downgrade(&pending));
        drop(objects);
        Changes { cache: self.clone(), pending }
    }
}

/// One consumer's place in a cache's changes.
pub struct Changes<K> {
    cache: Cache<K>,
    pending: Arc<Pending<K>>,
}

impl<K: Cached> Changes<K> {
    /// The next change; waits for one. Cancel-safe.
    pub async fn next(&mut self) -> Change<K> {
        loop {
            if let Some(change) = self.try_next() {
                return change;
            }
            self.pending.ready.notified().await;
        }
    }

    /// The next change if one is waiting.
    pub fn try_next(&mut self) -> Option<Change<K>> {
        loop {
            // The lock order is objects, then queue, here as in `Shared::set`.
            let objects = self.cache.shared.objects.read();
            let mut queue = self.pending.queue.lock();
            let Some(key) = queue.order.pop_front() else {
                queue.shrink();
                return None;
            };
            let old = queue.told.remove(&key).flatten();
            let new = objects.get(&key).cloned();
            let unchanged = match (&old, &new) {
                (None, None) => true,
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                _ => false,
            };
            if !unchanged {
                return Some(Change { key, old, new });
            }
        }
    }
}

impl<K: Cached> Shared<K> {
    /// Puts a key's new state and tells the consumers.
    fn set(&self, key: ObjectKey, new: Option<Arc<K>>) {
        let mut objects = self.objects.write();
        let old = match new {
            Some(new) => objects.insert(key.clone(), new),
            None => match objects.remove(&key) {
                Some(old) => Some(old),
                None => return,
            },
        };
        self.consumers.lock().retain(|consumer| {
            let Some(pending) = consumer.upgrade() else { return false };
            let mut queue = pending.queue.lock();
            if !queue.told.contains_key(&key) {
                queue.told.insert(key.clone(), old.clone());
                queue.order.push_back(key.clone());
            }
            drop(queue);
            pending.ready.notify_one();
            true
        });
    }
}

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Keeps a cache current until nobody holds it: watch, resume at the last revision, start over when told `Expired`.
async fn follow<K: Cached>(shared: Weak<Shared<K>>, transport: Arc<dyn Transport>, scope: Scope) {
    let mut revision = String::new();
    let mut wait = RETRY_FIRST;
    let mut shelf = K::Shelf::default();
    while shared.strong_count() > 0 {
        let request = WatchRequest {
            def: &K::RESOURCE,
            namespace: scope.namespace.clone(),
            label_selector: scope.label_selector.clone(),
            field_selector: scope.field_selector.clone(),
            resource_version: revision.clone(),
        };
        let (before, began) = (revision.clone(), Instant::now());
        let ended = one_watch(&shared, transport.as_ref(), request, &mut revision, &mut shelf).await;
        if revision != before || began.elapsed() > RETRY_MOST {
            wait = RETRY_FIRST;
        }
        match ended {
            Ok(()) => continue,
            Err(status) if matches!(status.reason, Reason::Expired | Reason::Gone) => revision.clear(),
            Err(status) => tracing::debug!(kind = K::RESOURCE.kind, %status, "watch ended; it is resumed"),
        }
        // A back-off, not a synchronisation: the server is away or refuses.
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MOST);
    }
}

async fn one_watch<K: Cached>(
    shared: &Weak<Shared<K>>,
    transport: &dyn Transport,
    request: WatchRequest,
    revision: &mut String,
    shelf: &mut K::Shelf,
) -> Result<(), Status> {
    // While the present state streams in, what is not in it must be found: it was deleted while we did not look.
    let mut initial: Option<std::collections::HashSet<ObjectKey>> =
        request.resource_version.is_empty().then(Default::default);
    let mut events = transport.watch(request).await?;
    while let Some(event) = events.next().await {
        let Some(shared) = shared.upgrade() else { return Ok(()) };
        let RawEvent { kind, object } = event?;
        if kind == EventType::Bookmark {
            let mark: Bookmark = serde_json::from_slice(&object)
                .map_err(|error| Status::internal(format!("decoding a bookmark: {error}")))?;
            if mark.metadata.annotations.contains_key("k8s.io/initial-events-end") {
                finish_initial(&shared, initial.take());
            }
            *revision = mark.metadata.resource_version;
            continue;
        }
        let object = K::decode(&object, shelf)
            .map_err(|error| Status::internal(format!("decoding a {}: {error}", K::RESOURCE.kind)))?;
        let key = object.key();
        if let Some(initial) = &mut initial {
            initial.insert(key.clone());
        } else {
            object.meta().resource_version.clone_into(revision);
        }
        shared.set(key, (kind != EventType::Deleted).then(|| Arc::new(object)));
    }
    Ok(())
}

fn finish_initial<K: Cached>(shared: &Shared<K>, initial: Option<std::collections::HashSet<ObjectKey>>) {
    if let Some(initial) = initial {
        let gone: Vec<ObjectKey> =
            shared.objects.read().keys().filter(|key| !initial.contains(*key)).cloned().collect();
        for key in gone {
            shared.set(key, None);
        }
    }
    shared.synced.send_replace(true);
}

#[derive(serde::Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{RawEvents, Request};
    use crate::{Client, Transport};
    use k8s_openapi::api::core::v1::Node;

    /// Whose watches are quiet.
    struct Quiet;

    #[async_trait::async_trait]
    impl Transport for Quiet {
        async fn call(&self, _: Request) -> Result<bytes::Bytes, Status> {
            Err(Status::internal("not asked for"))
        }

        async fn watch(&self, _: WatchRequest) -> Result<RawEvents, Status> {
            Ok(futures::stream::pending().boxed())
        }
    }

    #[tokio::test]
    async fn a_cache_that_nobody_holds_is_not_followed() {
        let transport: Arc<dyn Transport> = Arc::new(Quiet);
        let client = Client::new(transport.clone());
        let cache = client.cache::<Node>();
        tokio::task::yield_now().await;
        drop((client, cache));
        let alone = async {
            while Arc::strong_count(&transport) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), alone).await.expect("the watch is given up");
    }
}
