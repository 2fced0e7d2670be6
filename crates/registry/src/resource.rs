//! One resource's cache: its objects as a persistent tree, its log, and the logs of narrow watches.
//!
//! Invariants: the tree and the logs change together, under the feed's lock, in revision order; readers of the tree
//! take a snapshot and hold no lock. Bounds: the logs' own; one narrow log per name, namespace or node that is
//! watched at the moment.

use crate::conversion::Conversion;
use crate::entry::{Entry, NotAnObject};
use crate::event::Event;
use crate::hook::Hook;
use crate::log::{Log, NARROW, TooOld, WHOLE};
use crate::selectable::Selectable;
use crate::selection::{NODE_FIELD, Selection};
use crate::unreadable::Unreadable;
use api::{Registered, ResourceDef};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Key, Revision};

/// The objects by key, as they were at one revision.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Of the last event in it; everything up to the registry's applied revision is in it too.
    pub revision: Revision,
    pub objects: imbl::OrdMap<Key, Arc<Entry>>,
    pub(crate) unreadable: Unreadable,
}

/// A resource in one version: the cache of its objects, which all its versions share, and how this one shows them.
pub struct Resource {
    pub kind: &'static dyn Registered,
    pub def: &'static ResourceDef,
    cache: Arc<Cache>,
    pub(crate) hook: Option<Arc<dyn Hook>>,
    /// Of a kind whose versions somebody else converts.
    pub(crate) conversion: Option<Arc<Conversion>>,
    /// The kind in each version; empty where it has one.
    pub(crate) versions: Arc<[&'static dyn Registered]>,
    /// Counts how often the kind was installed: what one edition wrote another may read otherwise.
    pub(crate) edition: u64,
}

struct Cache {
    prefix: String,
    /// How its objects' JSON begins as stored, up to the metadata's brace.
    head: Vec<u8>,
    snapshot: ArcSwap<Snapshot>,
    feed: Mutex<Feed>,
    /// The revision of the last load: what the store's watch still tells up to there is in the snapshot already.
    loaded: AtomicU64,
}

struct Feed {
    whole: Arc<Log>,
    narrow: Narrow,
}

/// Logs of what concerns one namespace, one object (`namespace/name`) or one node.
#[derive(Default)]
struct Narrow {
    by_namespace: HashMap<String, Arc<Log>>,
    by_path: HashMap<String, Arc<Log>>,
    by_node: HashMap<String, Arc<Log>>,
}

/// Which log a watch reads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Whole,
    Namespace(String),
    Path(String),
    Node(String),
}

/// A watch's place in a log; the log of a narrow one goes with its last subscription.
pub(crate) struct Subscription {
    resource: Arc<Resource>,
    scope: Scope,
    pub(crate) log: Arc<Log>,
    pub(crate) index: u64,
    /// Events between the asked revision and the narrow log's first.
    pub(crate) backlog: Vec<Arc<Event>>,
}

impl Subscription {
    /// Whether every event of the log is to such a watch what it is to one of everything.
    pub(crate) fn is_plain(&self, selection: &Selection) -> bool {
        let within = match self.scope {
            Scope::Whole => selection.namespace.is_empty() && selection.name.is_empty(),
            Scope::Namespace(_) => selection.name.is_empty(),
            Scope::Path(_) => true,
            // A pod that comes to the node was there before, but not here.
            Scope::Node(_) => false,
        };
        within && !selection.selects()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.scope != Scope::Whole {
            self.resource.cache.feed.lock().narrow.leave(&self.scope, &self.log);
        }
    }
}

impl Narrow {
    fn map(&mut self, scope: &Scope) -> Option<(&mut HashMap<String, Arc<Log>>, String)> {
        match scope {
            Scope::Whole => None,
            Scope::Namespace(name) => Some((&mut self.by_namespace, name.clone())),
            Scope::Path(path) => Some((&mut self.by_path, path.clone())),
            Scope::Node(name) => Some((&mut self.by_node, name.clone())),
        }
    }

    fn join(&mut self, scope: &Scope, floor: Revision) -> Option<Arc<Log>> {
        let (map, key) = self.map(scope)?;
        Some(map.entry(key).or_insert_with(|| Arc::new(Log::new(NARROW, floor))).clone())
    }

    fn leave(&mut self, scope: &Scope, log: &Arc<Log>) {
        let Some((map, key)) = self.map(scope) else { return };
        // Two holders: the map and the subscription that is going. A log cut off earlier is no longer in the map.
        let last = Arc::strong_count(log) <= 2;
        if last && map.get(&key).is_some_and(|own| Arc::ptr_eq(own, log)) {
            map.remove(&key);
        }
    }

    fn append(&self, event: &Arc<Event>, kind: &'static dyn Registered) {
        let entry = event.entry(event.plain_type());
        let one = std::slice::from_ref(event);
        let tell = |map: &HashMap<String, Arc<Log>>, key: &str| {
            if let Some(log) = map.get(key) {
                log.append(one);
            }
        };
        if !self.by_namespace.is_empty() {
            tell(&self.by_namespace, entry.namespace());
        }
        if !self.by_path.is_empty() {
            tell(&self.by_path, entry.path());
        }
        if !self.by_node.is_empty() {
            let node = |entry: &Option<Arc<Entry>>| {
                entry.as_ref().map(|entry| entry.selectable(kind).field(NODE_FIELD).unwrap_or_default().to_owned())
            };
            let (before, after) = (node(&event.before), node(&event.after));
            let moved = after.as_ref().filter(|after| before.as_ref() != Some(after));
            for name in before.iter().chain(moved) {
                tell(&self.by_node, name);
            }
        }
    }

    fn close(&mut self) {
        for map in [&mut self.by_namespace, &mut self.by_path, &mut self.by_node] {
            map.drain().for_each(|(_, log)| log.close());
        }
    }
}

impl Resource {
    pub(crate) fn new(kind: &'static dyn Registered, hook: Option<Arc<dyn Hook>>) -> Resource {
        let def = kind.def();
        let head = format!(r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"#, def.api_version(), def.kind);
        let whole = Arc::new(Log::new(WHOLE, Revision(0)));
        let cache = Cache {
            prefix: def.prefix(),
            head: head.into_bytes(),
            snapshot: ArcSwap::default(),
            feed: Mutex::new(Feed { whole, narrow: Narrow::default() }),
            loaded: AtomicU64::default(),
        };
        Resource { kind, def, cache: Arc::new(cache), hook, conversion: None, versions: Arc::default(), edition: 0 }
    }

    pub(crate) fn edition(self, edition: u64, conversion: Option<Arc<Conversion>>) -> Resource {
        Resource { edition, conversion, ..self }
    }

    pub(crate) fn with_versions(self, versions: Arc<[&'static dyn Registered]>) -> Resource {
        Resource { versions, ..self }
    }

    /// The same objects in another version.
    pub(crate) fn version(&self, kind: &'static dyn Registered) -> Resource {
        let (hook, conversion, versions) = (self.hook.clone(), self.conversion.clone(), self.versions.clone());
        let (def, cache, edition) = (kind.def(), self.cache.clone(), self.edition);
        Resource { kind, def, cache, hook, conversion, versions, edition }
    }

    /// Whether objects are shown as they are stored.
    pub fn is_stored_version(&self) -> bool {
        !self.kind.converts()
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.cache.prefix
    }

    pub(crate) fn entry(
        &self,
        key: Key,
        revision: Revision,
        value: Bytes,
        selectable: Option<Arc<Selectable>>,
    ) -> Result<Arc<Entry>, NotAnObject> {
        self.bare_entry(key, revision, value).map(|entry| Arc::new(entry.with_selectable(selectable)))
    }

    pub(crate) fn bare_entry(&self, key: Key, revision: Revision, value: Bytes) -> Result<Entry, NotAnObject> {
        Entry::new(key, self.cache.prefix.len(), &self.cache.head, revision, value)
    }

    /// The present objects; cheap, and unaffected by later writes.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.cache.snapshot.load_full()
    }

    /// An object's key in the store; `ResourceDef::key` without making the prefix again.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        let mut key = String::with_capacity(self.cache.prefix.len() + namespace.len() + name.len() + 1);
        key.push_str(&self.cache.prefix);
        if self.def.namespaced() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        key
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.cache.snapshot.load().objects.get(self.key(namespace, name).as_str()).cloned()
    }

    /// Replaces everything by what the store holds; all watches have to start over.
    pub(crate) fn load(&self, snapshot: Snapshot) {
        let revision = snapshot.revision;
        let mut feed = self.cache.feed.lock();
        let fresh = Arc::new(Log::new(WHOLE, revision));
        std::mem::replace(&mut feed.whole, fresh).close();
        feed.narrow.close();
        self.cache.snapshot.store(Arc::new(snapshot));
        self.cache.loaded.store(revision.0, Ordering::Release);
    }

    /// What the last load contained.
    pub(crate) fn loaded(&self) -> Revision {
        Revision(self.cache.loaded.load(Ordering::Acquire))
    }

    /// Makes a batch visible: the tree first, then the logs, both before any reader can come between.
    pub(crate) fn apply(&self, snapshot: Snapshot, events: &[Arc<Event>]) {
        let feed = self.cache.feed.lock();
        self.cache.snapshot.store(Arc::new(snapshot));
        feed.whole.append(events);
        for event in events {
            feed.narrow.append(event, self.kind);
        }
    }

    /// Ends all watches: the store is lost.
    pub(crate) fn close(&self) {
        let mut feed = self.cache.feed.lock();
        feed.whole.close();
        feed.narrow.close();
    }

    pub(crate) fn prepend_history(&self, events: Vec<Arc<Event>>, floor: Revision) {
        self.cache.feed.lock().whole.prepend(events, floor);
    }

    pub(crate) fn log_floor(&self) -> Revision {
        self.cache.feed.lock().whole.floor()
    }

    /// A cursor at the first event after `after`, or, without one, the present state and a cursor right after it.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        selection: &Selection,
        after: Option<Revision>,
    ) -> Result<(Subscription, Arc<Snapshot>), TooOld> {
        let scope = self.scope(selection);
        let mut feed = self.cache.feed.lock();
        let snapshot = self.cache.snapshot.load_full();
        let whole = feed.whole.clone();
        let from = match after {
            Some(after) => whole.index_after(after)?,
            None => whole.end_index(),
        };
        let subscription = match feed.narrow.join(&scope, snapshot.revision) {
            None => Subscription { resource: self.clone(), scope, log: whole, index: from, backlog: Vec::new() },
            Some(log) => {
                let mut backlog = Vec::new();
                if whole.read(from, usize::MAX, &mut backlog).is_err() {
                    return Err(TooOld { floor: whole.floor() });
                }
                backlog.retain(|event| self.concerns(selection, event));
                let index = log.end_index();
                Subscription { resource: self.clone(), scope, log, index, backlog }
            }
        };
        drop(feed);
        Ok((subscription, snapshot))
    }

    fn scope(&self, selection: &Selection) -> Scope {
        let namespaced = self.def.namespaced();
        if !selection.name.is_empty() && (!namespaced || !selection.namespace.is_empty()) {
            let key = self.key(&selection.namespace, &selection.name);
            return Scope::Path(key[self.cache.prefix.len()..].to_owned());
        }
        match selection.node() {
            // What converts has fields of its own in each version.
            Some(node) if self.def.selectable.contains(&NODE_FIELD) && self.is_stored_version() => {
                Scope::Node(node.to_owned())
            }
            _ if namespaced && !selection.namespace.is_empty() => Scope::Namespace(selection.namespace.clone()),
            _ => Scope::Whole,
        }
    }

    fn concerns(&self, selection: &Selection, event: &Event) -> bool {
        [&event.before, &event.after].into_iter().flatten().any(|entry| selection.matches(entry, self.kind))
    }

    /// The keys of a namespace's objects, or all.
    pub(crate) fn bounds<'a>(&self, first: &'a str, after: Option<&'a str>) -> (Bound<&'a str>, Bound<&'a str>) {
        match after {
            Some(after) if after >= first => (Bound::Excluded(after), Bound::Unbounded),
            _ => (Bound::Included(first), Bound::Unbounded),
        }
    }

    /// Where the keys of a namespace (empty: of all) begin.
    pub(crate) fn first_key(&self, namespace: &str) -> String {
        if namespace.is_empty() || !self.def.namespaced() {
            self.cache.prefix.clone()
        } else {
            format!("{}{namespace}/", self.cache.prefix)
        }
    }
}
