//! Writing: every write is decoded, prepared, defaulted, admitted, validated and committed by compare-and-swap.
//!
//! Invariants: no write without its admission; a lost compare-and-swap runs the whole attempt again on the fresh
//! object; a write that changes nothing is not committed; a dry run does everything but commit. Bound: `TRIES_MAX`
//! attempts. The managed fields of an object in the hands of a writer are apart from it, as bytes.

mod apply;
mod books;
mod collection;
mod create;
mod decode;
mod delete;
mod metadata;
mod patch;
mod update;

pub use apply::{Apply, MayCreate};
pub use decode::{Decoded, FieldValidation, decode_body};
pub use delete::{DeleteRequest, Deleted, Propagation};
pub use patch::{Patch, PatchKind, Pick};
pub use update::{Change, Current, Part};

use crate::admission::{Admission, Attempt, Operation};
use crate::entry::Entry;
use crate::json;
use crate::registry::{Registry, store_status};
use crate::resource::Resource;
use crate::selectable::Selectable;
use api::user::User;
use api::{Object, Status, Subresource};
use bytes::Bytes;
use std::sync::Arc;
use store::{Expect, Key, Op, Outcome, Revision, Txn};

/// Attempts of one write before it gives up; more than any sensible number of writers on one object.
pub(crate) const TRIES_MAX: usize = 64;

/// What accompanies every write.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    pub user: &'a User,
    pub admission: &'a dyn Admission,
    pub dry_run: bool,
    pub subresource: Option<Subresource>,
    /// Who manages the fields that are written; `None` for a write that nobody is to be seen behind.
    pub manager: Option<&'a str>,
}

impl<'a> Write<'a> {
    fn attempt<'b>(&self, resource: &Resource, operation: Operation, namespace: &'b str, name: &'b str) -> Attempt<'b>
    where
        'a: 'b,
    {
        Attempt {
            def: resource.def,
            operation,
            namespace,
            name,
            subresource: self.subresource,
            user: self.user,
            dry_run: self.dry_run,
        }
    }
}

/// A write's result.
#[derive(Debug)]
pub struct Written {
    /// The object as it now is.
    pub entry: Arc<Entry>,
    /// A dry run that would have created the object: there is no resourceVersion to show.
    pub uncommitted: bool,
    /// Whether there was no object before.
    pub created: bool,
    pub warnings: Vec<String>,
}

impl Written {
    /// The object's JSON for its writer.
    pub fn json(&self) -> Bytes {
        if self.uncommitted { self.entry.value().clone() } else { self.entry.json() }
    }

    fn of(entry: Arc<Entry>) -> Written {
        Written { entry, uncommitted: false, created: false, warnings: Vec::new() }
    }
}

/// How a compare-and-swap ended.
pub(crate) enum Swap {
    Done(Revision),
    /// Somebody else was first; the cache has what they wrote.
    Lost,
}

impl Registry {
    /// Commits one operation on one key and waits until the cache has it.
    pub(crate) async fn swap(&self, key: &Key, expect: Expect, op: Op) -> Result<Swap, Status> {
        let txn = Txn { checks: vec![(key.clone(), expect)], ops: vec![op] };
        match self.inner.store.commit(txn).await.map_err(store_status)? {
            Outcome::Committed(revision) => {
                self.inner.progress.reached(revision).await?;
                Ok(Swap::Done(revision))
            }
            Outcome::Conflict(states) => {
                let newest = states.into_iter().flatten().map(|state| state.modified).max();
                match newest {
                    Some(revision) => self.inner.progress.reached(revision).await?,
                    None => self.catch_up().await?,
                }
                Ok(Swap::Lost)
            }
        }
    }

    /// Waits for all that the store has: a deletion that beat us has no revision to wait for.
    async fn catch_up(&self) -> Result<(), Status> {
        let revision = self.inner.store.revision().await.map_err(store_status)?;
        self.inner.progress.reached(revision).await
    }

    /// Stores a finished object.
    pub(crate) async fn put(
        &self,
        resource: &Resource,
        key: &Key,
        expect: Expect,
        object: &dyn Object,
        value: Bytes,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let prepared = self.inner.prepared.announce(value.clone(), Selectable::of(object));
        let swap = self.swap(key, expect, Op::Put { key: key.clone(), value: value.clone() }).await;
        drop(prepared);
        match swap? {
            Swap::Done(revision) => {
                resource.entry(key.clone(), revision, value, None).map(Some).map_err(Status::internal)
            }
            Swap::Lost => Ok(None),
        }
    }
}

/// The bytes to be stored, with these managed fields.
pub(crate) fn encode(object: &mut dyn Object, managed_fields: &[u8]) -> Result<Bytes, Status> {
    json::stored(object, managed_fields)
        .map(Bytes::from)
        .map_err(|error| Status::internal(format!("encoding an object: {error}")))
}

/// A stored object, decoded; that it does not decode is the server's fault.
pub(crate) fn decode_stored(resource: &Resource, entry: &Entry) -> Result<Box<dyn Object>, Status> {
    let failed = |error| Status::internal(format!("decoding the stored {}: {error}", entry.key()));
    entry.decode(resource.kind).map_err(failed)
}

/// Too many writers on one object.
pub(crate) fn contended(resource: &Resource, name: &str) -> Status {
    Status::conflict(resource.def, name, "the object has been modified too often by others; please try again")
}
