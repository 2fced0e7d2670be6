//! Own writes that the caches have not shown yet: what makes a second reconcile safe after a first that wrote.
//!
//! A controller that creates ten pods and is asked again before the watch has told of them would create ten more.
//! Here each write is noted with its revision, and its key rests until the cache has come that far. Invariant: a note
//! is dropped only when the cache shows the write or something newer, or the server says that the object is gone.

use crate::Key;
use api::{Reason, ResourceDef};
use client::{Cache, Cached, Change, Client, Meta, Request, Verb};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A kind's group and plural: its objects and the views of them are one.
type Kind = (&'static str, &'static str);

/// A kind and one of its objects.
type Object = (Kind, Key);

fn kind<K: Cached>() -> Kind {
    let def: &'static ResourceDef = &K::RESOURCE;
    (def.group, def.plural)
}

/// Of an object's metadata what shows whether a write has come.
#[derive(Clone)]
struct Shown {
    revision: u64,
    uid: String,
    is_ending: bool,
}

impl Shown {
    fn of<K: Cached>(object: &K) -> Shown {
        let meta = object.meta();
        Shown { revision: revision(meta), uid: meta.uid.to_owned(), is_ending: meta.deletion.is_some() }
    }
}

type Show = Box<dyn Fn(&str) -> Option<Shown> + Send + Sync>;

/// What the cache has to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// The object at this revision or later. Zero: the request's outcome is not known, any state will do.
    Written { revision: u64 },
    /// No object of this uid, or one that is going.
    Deleted { uid: String },
}

type Settled = fn(Client, Key) -> BoxFuture<'static, bool>;

struct Note {
    key: Key,
    wanted: Wanted,
    since: Instant,
    settled: Settled,
}

/// How long the cache may lag before the server is asked about a write.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Unseen {
    state: Mutex<State>,
    noted: Notify,
    caches: HashMap<Kind, Show>,
}

#[derive(Default)]
struct State {
    notes: HashMap<Object, Note>,
    by_key: HashMap<Key, HashSet<Object>>,
    /// The newest revision that each kind's cache is known to have reached.
    reached: HashMap<Kind, u64>,
}

impl Unseen {
    /// Writes of this kind are noted from now on.
    pub(crate) fn follow<K: Cached>(&mut self, cache: Cache<K>) {
        self.caches.insert(kind::<K>(), Box::new(move |key| cache.get_key(key).map(|object| Shown::of(&*object))));
    }

    /// Notes a write for which `key` is to wait, unless the cache shows it already.
    pub(crate) fn note<K: Cached>(&self, key: &Key, object: Key, wanted: Wanted) {
        let kind = kind::<K>();
        let Some(show) = self.caches.get(&kind) else { return };
        // The lock is taken before the cache is read: a change that comes in between is told to `observe` after us.
        let mut state = self.state.lock();
        let shown = show(&object);
        if state.shows(kind, &wanted, None, shown.as_ref()) {
            return;
        }
        let note = Note { key: key.clone(), wanted, since: Instant::now(), settled: settled::<K> };
        let object = (kind, object);
        // Another key's older note of the same object gives way, and that key need not wait for it.
        state.drop_note(&object);
        state.by_key.entry(key.clone()).or_default().insert(object.clone());
        state.notes.insert(object, note);
        drop(state);
        self.noted.notify_one();
    }

    /// Takes note of a change in the cache; the key that need not wait any longer.
    pub(crate) fn observe<K: Cached>(&self, change: &Change<K>) -> Option<Key> {
        let kind = kind::<K>();
        let mut state = self.state.lock();
        let new_revision = change.new.as_deref().map_or(0, |object| revision(object.meta()));
        let reached = state.reached.entry(kind).or_default();
        *reached = (*reached).max(new_revision);
        let object = (kind, change.key.clone());
        let note = state.notes.get(&object)?;
        let shown = |object: &Option<std::sync::Arc<K>>| object.as_deref().map(Shown::of);
        let (old, new) = (shown(&change.old), shown(&change.new));
        if !state.shows(kind, &note.wanted, old.as_ref(), new.as_ref()) {
            return None;
        }
        state.drop_note(&object)
    }

    /// Whether the key has to wait.
    pub(crate) fn blocks(&self, key: &Key) -> bool {
        let mut state = self.state.lock();
        let Some(objects) = state.by_key.get(key) else { return false };
        let passed: Vec<Object> = objects
            .iter()
            .filter(|object| {
                let reached = state.reached.get(&object.0).copied().unwrap_or_default();
                matches!(state.notes[*object].wanted, Wanted::Written { revision } if revision > 0 && revision <= reached)
            })
            .cloned()
            .collect();
        for object in &passed {
            state.drop_note(object);
        }
        state.by_key.contains_key(key)
    }

    /// Asks the server about writes that the cache does not show in time: an object that was deleted before the cache
    /// told of it never appears. `free` hears of each key that need not wait any longer. Runs as long as it is polled.
    pub(crate) async fn watch_over(&self, client: &Client, free: impl Fn(Key)) {
        loop {
            let Some(oldest) = self.state.lock().notes.values().map(|note| note.since).min() else {
                self.noted.notified().await;
                continue;
            };
            // At least one patience apart, however old the oldest note is.
            let next = (oldest + PATIENCE).max(Instant::now() + PATIENCE);
            tokio::time::sleep_until(next).await;
            for key in self.overdue() {
                self.verify(client, &key).await;
                if !self.blocks(&key) {
                    free(key);
                }
            }
        }
    }

    fn overdue(&self) -> HashSet<Key> {
        let state = self.state.lock();
        state.notes.values().filter(|note| note.since.elapsed() >= PATIENCE).map(|note| note.key.clone()).collect()
    }

    async fn verify(&self, client: &Client, key: &Key) {
        if !self.blocks(key) {
            return;
        }
        let questions: Vec<(Object, Settled)> = {
            let state = self.state.lock();
            let notes = state.by_key.get(key).into_iter().flatten().map(|object| (object, &state.notes[object]));
            // What the cache shows and is deleted, it will be told of; and until then it must not be worked with.
            let written = notes.filter(|(_, note)| matches!(note.wanted, Wanted::Written { .. }));
            written.map(|(object, note)| (object.clone(), note.settled)).collect()
        };
        for (object, settled) in questions {
            if settled(client.clone(), object.1.clone()).await {
                self.state.lock().drop_note(&object);
            }
        }
    }
}

impl State {
    fn shows(&self, kind: Kind, wanted: &Wanted, old: Option<&Shown>, new: Option<&Shown>) -> bool {
        match wanted {
            Wanted::Written { revision: 0 } => new.is_some(),
            Wanted::Written { revision: wanted } => {
                let revision = |shown: Option<&Shown>| shown.map_or(0, |shown| shown.revision);
                let shown = revision(old).max(revision(new));
                shown.max(self.reached.get(&kind).copied().unwrap_or_default()) >= *wanted
            }
            Wanted::Deleted { uid } => new.is_none_or(|shown| shown.uid != *uid || shown.is_ending),
        }
    }

    /// Drops one note; the key if it was the last of it.
    fn drop_note(&mut self, object: &Object) -> Option<Key> {
        let note = self.notes.remove(object)?;
        let rest = self.by_key.get_mut(&note.key)?;
        rest.remove(object);
        if !rest.is_empty() {
            return None;
        }
        self.by_key.remove(&note.key);
        Some(note.key)
    }
}

/// Whether the server has no such object any more, so that the cache may never show what was written.
fn settled<K: Cached>(client: Client, object: Key) -> BoxFuture<'static, bool> {
    Box::pin(async move {
        let (namespace, name) = crate::split(&object);
        match client.call(Request::new(Verb::Get, &K::RESOURCE, namespace, name)).await {
            Ok(_) => false,
            Err(status) if status.reason == Reason::NotFound => true,
            Err(status) => {
                tracing::debug!(%object, %status, "looking for an own write");
                false
            }
        }
    })
}

/// An object's revision; 0 where there is none. Revisions of one server are comparable numbers.
pub(crate) fn revision(meta: Meta<'_>) -> u64 {
    meta.resource_version.parse().unwrap_or_default()
}
