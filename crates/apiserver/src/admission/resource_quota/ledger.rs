//! All quota'd namespaces' books, kept current from the registry's own logs, and the claims of writes under way.
//!
//! Why no quota is exceeded, however many write at once: judging runs under one lock, and under it the ledger first
//! reads every change that the registry has applied. A write's claim is released only after its change was applied, or
//! the write was given up. So whoever judges sees each earlier write as a claim, or in the book, or (for the moment
//! between) as both, which counts once (`book`). Since `reserved` never exceeds what is allowed and what is stored
//! never exceeds `reserved`, quotas hold. What lifts usage without a claim is what upstream lets pass as well: a
//! claim's status, a pod's deadline, and what was there before the quota.
//!
//! Of several servers over one store each knows of the others' writes only what is applied here: a claim is charged
//! (`registry::Charge`), so that the write is judged again where another server's was committed meanwhile. Bounds: the
//! books'.

use super::book::{Ask, Book, ObjectId};
use super::limited::Covered;
use super::measure::{KindId, is_special, measure};
use super::scope::Traits;
use api::{Kind, Status};
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use registry::{Claim, Entry, EventType, Registry, Resource, Revision, Selection, Start, Step, Watcher};
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

const QUOTAS: KindId = (ResourceQuota::DEF.group, ResourceQuota::DEF.plural);

pub(super) struct Ledger {
    registry: Arc<Registry>,
    state: Mutex<State>,
    /// Rung when something that is followed has changed.
    bell: Arc<Notify>,
}

#[derive(Default)]
struct State {
    followed: HashMap<KindId, Followed>,
    books: HashMap<String, Book>,
    /// Kinds that quotas bound and that are not followed, by group and plural: not yet, or not served.
    unfollowed: BTreeSet<(String, String)>,
    next_claim: u64,
}

struct Followed {
    resource: Arc<Resource>,
    watcher: Watcher,
    ringer: AbortOnDropHandle<()>,
}

/// A write's claim: released when dropped.
pub(super) struct Claimed {
    ledger: Arc<Ledger>,
    namespace: String,
    id: ObjectId,
    number: u64,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut state = self.ledger.state.lock();
        if let Some(book) = state.books.get_mut(&self.namespace) {
            book.release(self.number, &self.id);
            if book.is_empty() {
                state.books.remove(&self.namespace);
            }
        }
    }
}

fn id_of(resource: &Resource) -> KindId {
    (resource.def.group, resource.def.plural)
}

fn from(first: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(first), Bound::Unbounded)
}

/// A namespace's objects, as the cache has them now.
fn present(resource: &Resource, namespace: &str) -> Vec<Arc<Entry>> {
    let first = resource.def.key(namespace, "");
    let snapshot = resource.snapshot();
    let range = snapshot.objects.range::<_, str>(from(&first));
    range.take_while(|(key, _)| key.starts_with(&first)).map(|(_, entry)| entry.clone()).collect()
}

impl Ledger {
    pub(super) fn new(registry: &Arc<Registry>) -> Arc<Ledger> {
        Arc::new(Ledger { registry: registry.clone(), state: Mutex::default(), bell: Arc::default() })
    }

    /// Whether the namespace has a quota: all that a namespace without one pays.
    pub(super) fn guards(&self, namespace: &str) -> bool {
        let Ok(quotas) = self.registry.resource(&ResourceQuota::DEF) else { return false };
        let snapshot = quotas.snapshot();
        let first = ResourceQuota::DEF.key(namespace, "");
        let mut range = snapshot.objects.range::<_, str>(from(&first));
        range.next().is_some_and(|(key, _)| key.starts_with(&first))
    }

    /// Judges a write, and claims what it uses more than before.
    ///
    /// # Errors
    /// `Ok(Err(why))` where it does not fit; a status where the registry cannot be followed.
    pub(super) async fn claim(
        self: &Arc<Self>,
        namespace: &str,
        ask: &Ask<'_>,
        dry_run: bool,
    ) -> Result<Result<Option<Claim>, String>, Status> {
        let judged = self.judge(namespace, ask, dry_run).await?;
        if judged.is_ok() || self.registry.is_exclusive() {
            return Ok(judged);
        }
        // Another server may have been told of what has become free before this one was.
        self.registry.fresh().await?;
        self.judge(namespace, ask, dry_run).await
    }

    async fn judge(
        self: &Arc<Self>,
        namespace: &str,
        ask: &Ask<'_>,
        dry_run: bool,
    ) -> Result<Result<Option<Claim>, String>, Status> {
        loop {
            let missing = {
                let mut state = self.state.lock();
                let charge = self.registry.charge(namespace);
                let missing = state.catch_up(&self.registry);
                if missing.is_empty() {
                    let claimed = self.claim_now(&mut state, namespace, ask, dry_run);
                    return Ok(claimed.map(|claimed| claimed.map(|claimed| Claim::charged(claimed, charge))));
                }
                missing
            };
            self.follow(missing).await?;
        }
    }

    fn claim_now(
        self: &Arc<Self>,
        state: &mut State,
        namespace: &str,
        ask: &Ask<'_>,
        dry_run: bool,
    ) -> Result<Option<Claimed>, String> {
        let Some(book) = state.books.get_mut(namespace) else { return Ok(None) };
        if !book.judge(ask)? || dry_run {
            return Ok(None);
        }
        let number = state.next_claim;
        state.next_claim += 1;
        book.claim(number, ask.id.clone(), ask.new.clone());
        Ok(Some(Claimed { ledger: self.clone(), namespace: namespace.to_owned(), id: ask.id.clone(), number }))
    }

    /// What the namespace's quotas speak of, of this kind and of objects like this.
    pub(super) async fn covered(&self, namespace: &str, kind: KindId, traits: &Traits) -> Result<Covered, Status> {
        loop {
            let missing = {
                let mut state = self.state.lock();
                let missing = state.catch_up(&self.registry);
                if missing.is_empty() {
                    return Ok(state.books.get(namespace).map(|book| book.covered(kind, traits)).unwrap_or_default());
                }
                missing
            };
            self.follow(missing).await?;
        }
    }

    /// Every quota whose status is to change, and when something changes by time alone.
    pub(super) async fn reports(
        &self,
    ) -> Result<(Vec<(Arc<ResourceQuota>, ResourceQuotaStatus)>, Option<Timestamp>), Status> {
        loop {
            let missing = {
                let mut state = self.state.lock();
                let missing = state.catch_up(&self.registry);
                if missing.is_empty() {
                    let ending = state.books.values().filter_map(Book::next_ending).min();
                    return Ok((state.books.values().flat_map(Book::reports).collect(), ending));
                }
                missing
            };
            self.follow(missing).await?;
        }
    }

    /// Returns when `reports` may have something new.
    pub(super) async fn changed(&self) {
        self.bell.notified().await;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.registry.now()
    }

    async fn follow(&self, missing: Vec<Arc<Resource>>) -> Result<(), Status> {
        for resource in missing {
            let watcher = self.registry.watch(&resource, Selection::all(""), Start::Now).await?;
            let ear = self.registry.watch(&resource, Selection::all(""), Start::Now).await?;
            let ringer = AbortOnDropHandle::new(tokio::spawn(ring(ear, self.bell.clone())));
            self.state.lock().take(&self.registry, Followed { resource, watcher, ringer });
            self.bell.notify_one();
        }
        Ok(())
    }
}

/// Rings at every change, until the watch ends: then once more, so that somebody looks.
async fn ring(mut ear: Watcher, bell: Arc<Notify>) {
    loop {
        match ear.try_next() {
            Ok(Some(_)) => bell.notify_one(),
            Ok(None) => ear.changed().await,
            Err(_) => return bell.notify_one(),
        }
    }
}

impl State {
    /// Reads what the registry has applied; what is still to be followed before the books are right.
    fn catch_up(&mut self, registry: &Registry) -> Vec<Arc<Resource>> {
        let now = registry.now();
        if !self.read(registry, QUOTAS, now) {
            return registry.resource(&ResourceQuota::DEF).into_iter().collect();
        }
        let kinds: Vec<KindId> = self.followed.keys().filter(|kind| **kind != QUOTAS).copied().collect();
        for kind in kinds {
            self.read(registry, kind, now);
        }
        self.books.values_mut().for_each(|book| book.pass(now));
        self.missing(registry)
    }

    /// Reads one kind's changes; `false` where it is not followed, or no more.
    fn read(&mut self, registry: &Registry, kind: KindId, now: Timestamp) -> bool {
        let Some(mut followed) = self.followed.remove(&kind) else { return false };
        loop {
            match followed.watcher.try_next() {
                Ok(Some(Step::Events(events))) => {
                    for (change, event) in &events {
                        self.apply(registry, &followed.resource, *change, event.revision, event.entry(*change), now);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) if !followed.ringer.is_finished() => {
                    self.followed.insert(kind, followed);
                    return true;
                }
                // The log was cut, the kind is gone, or the store is lost: it is followed anew if it can be.
                Ok(None) | Err(_) => {
                    self.books.values_mut().for_each(|book| book.unload(kind));
                    self.unfollowed.insert((kind.0.to_owned(), kind.1.to_owned()));
                    return false;
                }
            }
        }
    }

    fn apply(
        &mut self,
        registry: &Registry,
        resource: &Resource,
        change: EventType,
        revision: Revision,
        entry: &Entry,
        now: Timestamp,
    ) {
        let kind = id_of(resource);
        if let Some(book) = self.books.get_mut(entry.namespace()).filter(|book| book.has(kind)) {
            let id: ObjectId = (kind, entry.name().into());
            if change != EventType::Deleted {
                put(book, resource, id, entry, now);
            } else if !book.knows(&id, revision) {
                book.remove(&id);
            }
        }
        if kind == QUOTAS {
            self.apply_quota(registry, resource, change, entry);
        }
    }

    fn apply_quota(&mut self, registry: &Registry, resource: &Resource, change: EventType, entry: &Entry) {
        let (namespace, name) = (entry.namespace(), entry.name());
        if change == EventType::Deleted {
            if let Some(book) = self.books.get_mut(namespace) {
                book.retain_quotas(|own| own != name);
                if book.is_empty() {
                    self.books.remove(namespace);
                }
            }
            return;
        }
        let quota = match entry.decode(resource.kind).map(|object| object.downcast::<ResourceQuota>().cloned()) {
            Ok(Some(quota)) => quota,
            Ok(None) => return,
            Err(error) => {
                return tracing::error!(key = %entry.key(), %error, "a quota that cannot be read bounds nothing");
            }
        };
        let book = self.books.entry(namespace.to_owned()).or_default();
        if book.set_quota(name, quota) {
            self.open(registry, namespace);
        }
    }

    /// Brings the objects into a namespace's book that its quotas bound.
    fn open(&mut self, registry: &Registry, namespace: &str) {
        let now = registry.now();
        let Some(book) = self.books.get_mut(namespace) else { return };
        let bounded: BTreeSet<(String, String)> =
            book.bounded().map(|(group, plural)| (group.to_owned(), plural.to_owned())).collect();
        for (group, plural) in bounded {
            let followed = self.followed.iter().find(|(kind, _)| **kind == (group.as_str(), plural.as_str()));
            // While the quotas' own changes are read, they are out of the map.
            let of_quotas = || QUOTAS == (group.as_str(), plural.as_str());
            let resource = match followed {
                Some((_, followed)) => Some(followed.resource.clone()),
                None if of_quotas() => registry.resource(&ResourceQuota::DEF).ok(),
                None => None,
            };
            match resource {
                Some(resource) if !book.has(id_of(&resource)) => load(book, &resource, namespace, now),
                Some(_) => {}
                None => drop(self.unfollowed.insert((group, plural))),
            }
        }
    }

    fn missing(&mut self, registry: &Registry) -> Vec<Arc<Resource>> {
        if self.unfollowed.is_empty() {
            return Vec::new();
        }
        let bounded: BTreeSet<(&str, &str)> = self.books.values().flat_map(Book::bounded).collect();
        self.unfollowed.retain(|(group, plural)| bounded.contains(&(group.as_str(), plural.as_str())));
        if self.unfollowed.is_empty() {
            return Vec::new();
        }
        let wanted = |resource: &Arc<Resource>| {
            resource.def.namespaced()
                && self.unfollowed.contains(&(resource.def.group.to_owned(), resource.def.plural.to_owned()))
        };
        registry.resources().into_iter().filter(wanted).collect()
    }

    /// Follows a kind from here on; what is there already goes into the books.
    fn take(&mut self, registry: &Registry, followed: Followed) {
        let (now, resource, kind) = (registry.now(), followed.resource.clone(), id_of(&followed.resource));
        if self.followed.contains_key(&kind) {
            // Somebody was faster, and has read on since.
            return;
        }
        self.unfollowed.remove(&(kind.0.to_owned(), kind.1.to_owned()));
        self.followed.insert(kind, followed);
        if kind == QUOTAS {
            let snapshot = resource.snapshot();
            for (namespace, book) in &mut self.books {
                book.retain_quotas(|name| snapshot.objects.contains_key(resource.def.key(namespace, name).as_str()));
            }
            for entry in snapshot.objects.values() {
                self.apply_quota(registry, &resource, EventType::Added, entry);
            }
        }
        let bounding = self.books.iter_mut().filter(|(_, book)| book.bounded().any(|bounded| bounded == kind));
        for (namespace, book) in bounding.filter(|(_, book)| !book.has(kind)) {
            load(book, &resource, namespace, now);
        }
    }
}

/// The cache may be ahead of what was read of the log: what is read later is known by its revision.
fn load(book: &mut Book, resource: &Resource, namespace: &str, now: Timestamp) {
    book.load(id_of(resource));
    for entry in present(resource, namespace) {
        put(book, resource, (id_of(resource), entry.name().into()), &entry, now);
    }
}

fn put(book: &mut Book, resource: &Resource, id: ObjectId, entry: &Entry, now: Timestamp) {
    if book.knows(&id, entry.revision) {
        return;
    }
    let object = match is_special(resource.def).then(|| entry.decode(resource.kind)).transpose() {
        Ok(object) => object,
        Err(error) => {
            tracing::error!(key = %entry.key(), %error, "an object that cannot be read is counted, not measured");
            None
        }
    };
    book.set(id, entry.revision, measure(resource.def, object.as_deref(), now));
}
