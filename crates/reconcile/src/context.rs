//! What a reconcile works with: the client, the time, events, and writes that its key then waits to see.

use crate::clock::Clock;
use crate::controller::Shared;
use crate::events::Recorder;
use crate::unseen::{Wanted, revision};
use crate::{Key, key_of, names};
use api::{Kind, Reason, Status, Subresource};
use client::{Cached, Client, DeleteOptions, PatchType};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// One run of one key; cheap to clone into the tasks of a batch.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    key: Key,
    failures: u32,
}

/// How often a generated name may be taken before a create gives up.
const NAME_ATTEMPTS_MAX: u32 = 8;

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, key: Key, failures: u32) -> Context {
        Context { shared, key, failures }
    }

    /// For reads and for requests that are not writes of watched kinds; the key does not wait for what is written here.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub fn events(&self) -> &Recorder {
        &self.shared.events
    }

    /// How often the key failed since it last succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Creates an object. A `generateName` is completed here, so that an answer that is lost leaves a name to look for.
    pub async fn create<K: Kind>(&self, object: &K) -> Result<K, Status> {
        let base = object.metadata().generate_name.clone().filter(|_| object.metadata().name.is_none());
        let Some(base) = base else { return self.create_named(object).await };
        let mut named = object.clone();
        let mut attempt = 1;
        loop {
            named.metadata_mut().name = Some(names::generate(&base, rand::random()));
            match self.create_named(&named).await {
                Err(status) if status.reason == Reason::AlreadyExists && attempt < NAME_ATTEMPTS_MAX => attempt += 1,
                answer => return answer,
            }
        }
    }

    async fn create_named<K: Kind>(&self, object: &K) -> Result<K, Status> {
        let answer = self.client().create(object).await;
        match &answer {
            Ok(created) => self.wrote(created),
            Err(status) if outcome_unknown(status) => self.note::<K>(key_of(object), Wanted::Written { revision: 0 }),
            Err(_) => {}
        }
        answer
    }

    /// Replaces an object; conflicts if it is not at the given object's `resourceVersion`.
    pub async fn update<K: Kind>(&self, object: &K) -> Result<K, Status> {
        self.client().update(object).await.inspect(|object| self.wrote(object))
    }

    pub async fn update_status<K: Kind>(&self, object: &K) -> Result<K, Status> {
        self.client().update_status(object).await.inspect(|object| self.wrote(object))
    }

    /// A JSON merge patch.
    pub async fn merge<K: Cached>(
        &self,
        namespace: &str,
        name: &str,
        subresource: Option<Subresource>,
        patch: &impl Serialize,
    ) -> Result<K, Status> {
        let answer = self.client().patch(namespace, name, PatchType::Merge, subresource, patch).await;
        answer.inspect(|object| self.wrote(object))
    }

    /// Deletes this very object (its uid). `NotFound` is success: that is what was wanted.
    pub async fn delete<K: Cached>(&self, object: &K, propagation: Option<&'static str>) -> Result<(), Status> {
        let options = DeleteOptions { propagation, ..DeleteOptions::default() };
        self.delete_with(object, options).await
    }

    pub async fn delete_with<K: Cached>(&self, object: &K, mut options: DeleteOptions) -> Result<(), Status> {
        let meta = object.meta();
        options.uid = Some(meta.uid.to_owned()).filter(|uid| !uid.is_empty());
        match self.client().delete::<K>(meta.namespace, meta.name, &options).await {
            Err(status) if status.reason != Reason::NotFound => Err(status),
            _ => {
                let uid = meta.uid.to_owned();
                self.note::<K>(key_of(object), Wanted::Deleted { uid });
                Ok(())
            }
        }
    }

    fn wrote<K: Cached>(&self, object: &K) {
        // An update that removed the last finalizer is a deletion: there is no later state to wait for.
        let meta = object.meta();
        let ending = meta.deletion.is_some() && !meta.has_finalizers && !meta.uid.is_empty();
        let wanted = if ending {
            Wanted::Deleted { uid: meta.uid.to_owned() }
        } else {
            Wanted::Written { revision: revision(meta) }
        };
        self.note::<K>(key_of(object), wanted);
    }

    fn note<K: Cached>(&self, object: Key, wanted: Wanted) {
        self.shared.unseen.note::<K>(&self.key, object, wanted);
    }
}

/// Whether a request may have been carried out although an error came back.
fn outcome_unknown(status: &Status) -> bool {
    matches!(
        status.reason,
        Reason::Timeout | Reason::ServerTimeout | Reason::ServiceUnavailable | Reason::InternalError | Reason::Unknown
    )
}
