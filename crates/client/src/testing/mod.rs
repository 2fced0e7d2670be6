//! An in-memory API server for tests: the semantics that controllers rely on, none of the durability.
//!
//! Invariants: revisions are global and rise by one per write; a watch sees every commit once, in order; a write with
//! a stale `resourceVersion` conflicts; an object with finalizers outlives its delete. Not kept: defaulting,
//! validation, admission, managed fields. What is not modelled answers `NotImplemented`.

mod matcher;
mod state;
mod watch;

use crate::transport::{Aggregated, ForeignRead, RawEvents, Request, Transport, Verb, WatchRequest};
use crate::typed::Client;
use api::{Kind, Status};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use state::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

type Fault = Box<dyn Fn(&Request) -> Option<Status> + Send + Sync>;
type ForeignAnswer = Box<dyn Fn(&ForeignRead) -> Result<Option<Value>, Status> + Send + Sync>;
type Lag = Box<dyn Fn(&str, u64) -> Duration + Send + Sync>;

/// The server. Its clock follows tokio's, so that `start_paused` tests own the time. Clones are the same server.
#[derive(Clone)]
pub struct Fake {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    committed: tokio::sync::watch::Sender<u64>,
    epoch: (Timestamp, Instant),
    fault: Mutex<Option<Fault>>,
    lag: Mutex<Option<Lag>>,
    calls: Mutex<BTreeMap<String, u64>>,
    aggregated: Mutex<Vec<Aggregated>>,
    foreign: Mutex<Option<ForeignAnswer>>,
}

/// The time at which every test's server starts.
pub const START: &str = "2026-01-01T00:00:00Z";

impl Fake {
    pub fn start() -> (Fake, Client) {
        let inner = Inner {
            state: Mutex::default(),
            committed: tokio::sync::watch::Sender::new(0),
            epoch: (START.parse().expect("a literal timestamp"), Instant::now()),
            fault: Mutex::default(),
            lag: Mutex::default(),
            calls: Mutex::default(),
            aggregated: Mutex::default(),
            foreign: Mutex::default(),
        };
        let fake = Fake { inner: Arc::new(inner) };
        (fake.clone(), Client::new(Arc::new(fake)))
    }

    /// The server's time, which runs as tokio's does.
    pub fn now(&self) -> Timestamp {
        let elapsed =
            SignedDuration::try_from(self.inner.epoch.1.elapsed()).expect("tests run for less than centuries");
        self.inner.epoch.0 + elapsed
    }

    /// Answers requests for which `fault` returns a status with that status.
    pub fn set_fault(&self, fault: impl Fn(&Request) -> Option<Status> + Send + Sync + 'static) {
        *self.inner.fault.lock() = Some(Box::new(fault));
    }

    /// What other servers serve behind this one: their objects are kept here as any others.
    pub fn set_aggregated(&self, aggregated: Vec<Aggregated>) {
        *self.inner.aggregated.lock() = aggregated;
    }

    /// What other servers answer to a `ForeignRead`; without it, none serves anything.
    pub fn set_foreign(&self, answer: impl Fn(&ForeignRead) -> Result<Option<Value>, Status> + Send + Sync + 'static) {
        *self.inner.foreign.lock() = Some(Box::new(answer));
    }

    pub fn clear_fault(&self) {
        *self.inner.fault.lock() = None;
    }

    /// Holds watch events back for so long after their commit, by resource and revision; order is kept.
    pub fn set_lag(&self, lag: impl Fn(&str, u64) -> Duration + Send + Sync + 'static) {
        *self.inner.lag.lock() = Some(Box::new(lag));
    }

    pub fn revision(&self) -> u64 {
        self.inner.state.lock().revision()
    }

    /// How many calls came, by `verb plural` or `verb plural/subresource`.
    pub fn calls(&self, what: &str) -> u64 {
        self.inner.calls.lock().get(what).copied().unwrap_or_default()
    }

    pub fn all<K: Kind>(&self) -> Vec<K> {
        self.inner.state.lock().all(&K::DEF.group_resource()).iter().map(|object| typed(object)).collect()
    }

    pub fn get<K: Kind>(&self, namespace: &str, name: &str) -> Option<K> {
        let object = self.inner.state.lock().get(&K::DEF.group_resource(), namespace, name)?;
        Some(typed(&object))
    }

    pub fn len<K: Kind>(&self) -> usize {
        self.inner.state.lock().all(&K::DEF.group_resource()).len()
    }

    pub fn is_empty<K: Kind>(&self) -> bool {
        self.len::<K>() == 0
    }

    /// Every commit of a kind: before and after, in order.
    pub fn history<K: Kind>(&self) -> Vec<(Option<K>, Option<K>)> {
        let resource = K::DEF.group_resource();
        let state = self.inner.state.lock();
        let commits = state.log().iter().filter(|commit| commit.path.0 == resource);
        commits.map(|commit| (commit.old.as_deref().map(typed), commit.new.as_deref().map(typed))).collect()
    }

    /// Waits until `done` holds, looking after every commit; fails after ten minutes of tokio's time.
    pub async fn until(&self, what: &str, mut done: impl FnMut(&Fake) -> bool) {
        let mut committed = self.inner.committed.subscribe();
        let deadline = Instant::now() + Duration::from_secs(600);
        while !done(self) {
            let changed = tokio::time::timeout_at(deadline, committed.changed()).await;
            assert!(changed.is_ok(), "waited too long for: {what}");
        }
    }

    fn handle(&self, request: &Request) -> Result<Value, Status> {
        let mut state = self.inner.state.lock();
        let answer = state.answer(request, self.now());
        let revision = state.revision();
        drop(state);
        self.inner.committed.send_if_modified(|committed| std::mem::replace(committed, revision) != revision);
        answer
    }

    fn count(&self, request: &Request) {
        let verb = match request.verb {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch(_) => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        };
        let subresource = request.subresource.map(|s| format!("/{}", s.name())).unwrap_or_default();
        *self.inner.calls.lock().entry(format!("{verb} {}{subresource}", request.def.plural)).or_default() += 1;
    }
}

fn typed<K: DeserializeOwned>(object: &Value) -> K {
    K::deserialize(object).expect("stored objects decode as their kind")
}

#[async_trait]
impl Transport for Fake {
    async fn call(&self, request: Request) -> Result<Bytes, Status> {
        // Real transports suspend; a double that never does would hide races.
        tokio::task::yield_now().await;
        self.count(&request);
        if let Some(status) = self.inner.fault.lock().as_ref().and_then(|fault| fault(&request)) {
            return Err(status);
        }
        let answer = self.handle(&request)?;
        serde_json::to_vec(&answer).map(Bytes::from).map_err(Status::internal)
    }

    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status> {
        watch::open(self.inner.clone(), &request)
    }

    async fn aggregated(&self) -> Result<Vec<Aggregated>, Status> {
        Ok(self.inner.aggregated.lock().clone())
    }

    async fn read_foreign(&self, read: ForeignRead) -> Result<Option<Bytes>, Status> {
        tokio::task::yield_now().await;
        let Some(answer) = self.inner.foreign.lock().as_ref().map(|own| own(&read)).transpose()?.flatten() else {
            return Ok(None);
        };
        serde_json::to_vec(&answer).map(|json| Some(Bytes::from(json))).map_err(Status::internal)
    }
}
