//! The registry: every resource over one store, and the one place that writes it.

use crate::applier;
use crate::charge::{Charge, Charged};
use crate::conversion::Memo;
use crate::freshness::Freshness;
use crate::hook::Hook;
use crate::progress::Progress;
use crate::resource::Resource;
use crate::selectable::Selectable;
use crate::surroundings::{Surroundings, System};
use api::{Registered, ResourceDef, Status};
use arc_swap::ArcSwap;
use bytes::Bytes;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Revision, Store, StoreError};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

/// What the registry is opened with.
pub struct Options {
    pub surroundings: Arc<dyn Surroundings>,
    /// No other process writes the store: a read needs no question to it to be consistent.
    pub exclusive: bool,
    /// This server's name, which no other over the same store has at the same time.
    pub server: Arc<str>,
    pub kinds: Vec<&'static dyn Registered>,
    /// By `group_resource()`.
    pub hooks: HashMap<String, Arc<dyn Hook>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            surroundings: System::shared(),
            exclusive: true,
            server: Arc::default(),
            kinds: api::object::builtin().to_vec(),
            hooks: HashMap::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{attempted}: {source}")]
    Store { attempted: &'static str, source: StoreError },
    #[error("setting right what only one object may have: {0}")]
    Repair(Status),
    #[error("loading the stored objects: {0}")]
    Corrupt(#[from] crate::entry::NotAnObject),
    #[error("loading the stored objects: {key} does not decode: {source}")]
    Undecodable { key: String, source: serde_json::Error },
}

/// By group and plural, in the version in which the objects are stored.
pub(crate) type ByName = HashMap<(&'static str, &'static str), Arc<Resource>>;

/// The other versions, by group, version and plural.
pub(crate) type ByVersion = HashMap<(&'static str, &'static str, &'static str), Arc<Resource>>;

/// What the applier, the readers and the writers share.
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) resources: ArcSwap<ByName>,
    pub(crate) versions: ArcSwap<ByVersion>,
    /// Held while a batch of changes is applied, and while a kind is added and its objects are read: between the two
    /// no change may pass. Asynchronous, because reading is.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) progress: Progress,
    freshness: Freshness,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) exclusive: bool,
    pub(crate) server: Arc<str>,
    pub(crate) charged: Charged,
    pub(crate) prepared: Prepared,
    pub(crate) memo: Memo,
    /// The revision whose state was loaded; history before it is read when a watch first asks for it.
    pub(crate) loaded: Mutex<Revision>,
    pub(crate) history: OnceCell<()>,
}

/// Any kind's life over one store. Ends its follower when dropped.
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
    applier: AbortHandle,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.applier.abort();
    }
}

impl Registry {
    /// Loads the present state, then follows the store.
    pub async fn open(store: Arc<dyn Store>, options: Options) -> Result<Arc<Registry>, RegistryError> {
        let (stored, others): (Vec<_>, Vec<_>) = options.kinds.into_iter().partition(|kind| kind.stored().is_none());
        let resources = stored.into_iter().map(|kind| {
            let def = kind.def();
            let hook = options.hooks.get(&def.group_resource()).cloned();
            let own = std::iter::once(kind);
            let versions: Arc<[_]> =
                own.chain(others.iter().copied().filter(|other| is_version_of(*other, def))).collect();
            let versions = if versions.len() > 1 { versions } else { Arc::default() };
            ((def.group, def.plural), Arc::new(Resource::new(kind, hook).with_versions(versions)))
        });
        let resources: ByName = resources.collect();
        let versions = others.into_iter().filter_map(|kind| {
            let stored = kind.stored()?.def();
            let (def, resource) = (kind.def(), resources.get(&(stored.group, stored.plural))?);
            Some(((def.group, def.version, def.plural), Arc::new(resource.version(kind))))
        });
        let versions: ByVersion = versions.collect();
        let inner = Arc::new(Inner {
            store,
            resources: ArcSwap::from_pointee(resources),
            versions: ArcSwap::from_pointee(versions),
            turn: tokio::sync::Mutex::default(),
            progress: Progress::default(),
            freshness: Freshness::default(),
            surroundings: options.surroundings,
            exclusive: options.exclusive,
            server: options.server,
            charged: Charged::default(),
            prepared: Prepared::default(),
            memo: Memo::default(),
            loaded: Mutex::default(),
            history: OnceCell::new(),
        });
        let watch = applier::load(&inner).await?;
        inner.repair_unique().await.map_err(RegistryError::Repair)?;
        let applier = tokio::spawn(applier::follow(inner.clone(), watch)).abort_handle();
        Ok(Arc::new(Registry { inner, applier }))
    }

    /// The cache of a served kind.
    pub fn resource(&self, def: &ResourceDef) -> Result<Arc<Resource>, Status> {
        self.find(def.group, def.version, def.plural).ok_or_else(Status::no_such_path)
    }

    /// The cache of a served path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let stored = self.inner.resource(group, plural).filter(|resource| resource.def.version == version);
        let found = stored.or_else(|| self.inner.versions.load().get(&(group, version, plural)).cloned());
        found.filter(|resource| resource.kind.is_served())
    }

    /// Every resource in the version in which it is stored, in no order.
    pub fn resources(&self) -> Vec<Arc<Resource>> {
        self.inner.resources.load().values().cloned().collect()
    }

    /// What caches and logs have reached.
    pub fn revision(&self) -> Revision {
        self.inner.progress.applied()
    }

    /// What a write in the namespace must be committed with once a judge has let it pass; to be asked for before the
    /// judge reads what is used.
    pub fn charge(&self, namespace: &str) -> Charge {
        self.inner.charge(namespace)
    }

    /// Whether no other server writes the store.
    pub fn is_exclusive(&self) -> bool {
        self.inner.exclusive
    }

    /// Waits until the caches have everything that was acknowledged before now, by whomever.
    pub async fn fresh(&self) -> Result<(), Status> {
        self.inner.fresh().await
    }

    /// Whether the store is still followed.
    pub fn health(&self) -> Result<(), Status> {
        self.inner.progress.health()
    }

    /// Returns when the store is followed no more; why. Nothing but opening it anew helps then.
    pub async fn lost(&self) -> String {
        self.inner.progress.failure().await
    }

    pub fn now(&self) -> Timestamp {
        self.inner.surroundings.now()
    }

    pub fn surroundings(&self) -> &Arc<dyn Surroundings> {
        &self.inner.surroundings
    }
}

fn is_version_of(kind: &dyn Registered, stored: &ResourceDef) -> bool {
    let own = kind.stored().map(|own| own.def());
    own.is_some_and(|own| (own.group, own.plural) == (stored.group, stored.plural))
}

impl Inner {
    pub(crate) fn resource(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.resources.load().get(&(group, plural)).cloned()
    }

    /// The resource that a store key belongs to.
    pub(crate) fn resource_of_key(&self, key: &str) -> Option<Arc<Resource>> {
        let mut parts = key.strip_prefix('/')?.splitn(3, '/');
        let (group, plural) = (parts.next()?, parts.next()?);
        self.resource(if group == "core" { "" } else { group }, plural)
    }

    pub(crate) fn all(&self) -> arc_swap::Guard<Arc<ByName>> {
        self.resources.load()
    }

    /// Waits until the cache has everything that was acknowledged before now, by whomever.
    pub(crate) async fn fresh(&self) -> Result<(), Status> {
        self.progress.health()?;
        if self.exclusive {
            // Our own acknowledged writes are in the cache: a write returns only then.
            return Ok(());
        }
        let revision = self.freshness.newest(self.store.as_ref(), store_status).await?;
        self.progress.reached(revision).await
    }
}

/// Labels and fields of values that are being committed, by the value's address, so that the applier need not decode
/// what the writer had in its hands. A store that copies values finds nothing here, and decodes.
#[derive(Default)]
pub(crate) struct Prepared {
    by_address: Mutex<HashMap<usize, (u64, Arc<Selectable>)>>,
}

/// Keeps the value alive, so that its address stays its own, until the commit is over.
pub(crate) struct PreparedValue<'a> {
    prepared: &'a Prepared,
    value: Bytes,
}

impl Prepared {
    /// `edition` is of the kind that the value was written by.
    pub(crate) fn announce(&self, value: Bytes, edition: u64, selectable: Selectable) -> PreparedValue<'_> {
        self.by_address.lock().insert(value.as_ptr() as usize, (edition, Arc::new(selectable)));
        PreparedValue { prepared: self, value }
    }

    pub(crate) fn find(&self, value: &Bytes, edition: u64) -> Option<Arc<Selectable>> {
        let known = self.by_address.lock().get(&(value.as_ptr() as usize)).cloned();
        known.filter(|(own, _)| *own == edition).map(|(_, selectable)| selectable)
    }
}

impl Drop for PreparedValue<'_> {
    fn drop(&mut self) {
        self.prepared.by_address.lock().remove(&(self.value.as_ptr() as usize));
    }
}

/// How a store's refusal reads to a client where nothing more special fits.
pub(crate) fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::Compacted { .. } => Status::expired("The resourceVersion for the provided list is too old."),
        StoreError::Future { asked, current } => too_large(asked, current),
        StoreError::TooLarge { reason } => Status::new(api::Reason::RequestEntityTooLarge, reason),
        StoreError::Closed { reason } => Status::unavailable(format!("the store is closed: {reason}")),
        other => Status::internal(other),
    }
}

/// A revision that has not happened: the client is to try again shortly.
pub(crate) fn too_large(asked: Revision, current: Revision) -> Status {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
    let mut status =
        Status::new(api::Reason::Timeout, format!("Too large resource version: {asked}, current: {current}"));
    status.details = Some(Box::new(StatusDetails {
        causes: Some(vec![StatusCause {
            reason: Some("ResourceVersionTooLarge".to_owned()),
            message: Some("Too large resource version".to_owned()),
            field: None,
        }]),
        retry_after_seconds: Some(1),
        ..StatusDetails::default()
    }));
    status
}
