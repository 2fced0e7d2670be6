//! Keeps the table at what APIServices say, and one task for each that is remote.
//!
//! Invariant: a remote server whose APIService says the same as before is the same: what is known of it stays.

use super::availability;
use super::condition::{self, Verdict};
use super::priority::Priority;
use super::remote::Remote;
use super::table::{Known, Table};
use crate::backend::Backend;
use crate::callout::{Callout, Identity};
use client::{Cache, Client};
use futures::{StreamExt, stream};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Writes under way at once.
const CONCURRENT: usize = 64;

/// Ends only when nothing is left to follow: where the backend has no parts.
pub(super) async fn run(backend: Arc<Backend>) {
    let Ok(parts) = backend.parts() else { return };
    let callout = parts.callout.clone();
    let client = callout.client().clone();
    let cache = client.cache::<APIService>();
    cache.synced().await;
    let mut changes = cache.changes();
    let identity = parts.front_proxy.clone();
    let mut follower = Follower { backend: backend.clone(), callout, client, identity, tasks: HashMap::new() };
    loop {
        // What changes after this is told again; what changed before is in the cache.
        while changes.try_next().is_some() {}
        follower.take(&cache).await;
        tokio::select! {
            _ = changes.next() => {}
            () = follower.renewed() => {}
        }
    }
}

/// A remote server, and the task that checks it.
struct Checked {
    remote: Arc<Remote>,
    _task: AbortOnDropHandle<()>,
}

struct Follower {
    backend: Arc<Backend>,
    callout: Callout,
    client: Client,
    /// As whom the servers are asked.
    identity: Option<watch::Receiver<Identity>>,
    /// By the APIServices' names.
    tasks: HashMap<String, Checked>,
}

impl Follower {
    /// Waits until this server has another identity, and shows that to all.
    async fn renewed(&mut self) {
        let changed = match &mut self.identity {
            Some(identity) => identity.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            return std::future::pending().await;
        }
        if let Some(identity) = &mut self.identity {
            let identity = identity.borrow_and_update().clone();
            self.tasks.values().for_each(|checked| checked.remote.identify(&identity));
        }
    }

    async fn take(&mut self, cache: &Cache<APIService>) {
        let objects = cache.list();
        let mut before = std::mem::take(&mut self.tasks);
        let mut table = Table::default();
        for object in &objects {
            let Some(spec) = &object.spec else { continue };
            let name = object.metadata.name.clone().unwrap_or_default();
            let remote = self.remote(object, before.remove(&name));
            let known = remote.as_ref().map(|checked| checked.remote.clone());
            let priority = Priority { group: spec.group_priority_minimum, version: spec.version_priority };
            let (group, version) = (spec.group.as_deref(), spec.version.as_deref());
            let known = Known { priority, remote: known };
            table.insert(group.unwrap_or_default(), version.unwrap_or_default(), known);
            self.tasks.extend(remote.map(|checked| (name, checked)));
        }
        let documents = |table: &Table| table.openapi_v2();
        let are_others = documents(&table) != documents(&self.backend.aggregation.table());
        self.backend.aggregation.set(table);
        if are_others {
            self.backend.documents.forget(&[]);
        }
        // Side by side, so that they are committed together: the next APIService waits for all of them.
        stream::iter(&objects).for_each_concurrent(CONCURRENT, |object| self.tell_local(object)).await;
    }

    /// What was known, or a new one with a task of its own.
    fn remote(&self, object: &APIService, before: Option<Checked>) -> Option<Checked> {
        if before.as_ref().is_some_and(|before| Some(&before.remote.spec) == object.spec.as_ref()) {
            return before;
        }
        let identity = self.identity.as_ref().map(|identity| identity.borrow().clone());
        let remote = Arc::new(Remote::of(object, identity.as_ref())?);
        let task = availability::run(self.backend.clone(), self.callout.clone(), remote.clone());
        Some(Checked { remote, _task: AbortOnDropHandle::new(tokio::spawn(task)) })
    }

    /// One that was remote before, too.
    async fn tell_local(&self, object: &APIService) {
        let verdict = Verdict::local();
        let is_local = object.spec.as_ref().is_some_and(|spec| spec.service.is_none());
        if !is_local || condition::says(object, &verdict) {
            return;
        }
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let now = self.backend.registry().now();
        if let Err(error) = condition::report(&self.client, name, &verdict, now).await {
            tracing::warn!(apiservice = name, %error, "that it is local could not be told");
        }
    }
}
