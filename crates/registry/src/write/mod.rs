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
mod operations;
mod patch;
mod update;

pub use apply::{Apply, MayCreate};
pub use decode::{Decoded, FieldValidation, decode_body};
pub use delete::{DeleteRequest, Deleted, Propagation};
pub use operations::apply_operations;
pub use patch::{Patch, PatchKind, Pick};
pub use update::{Change, Current, Part};

use crate::admission::{Admission, Attempt, Books, Notes, Operation, RequestOptions};
use crate::entry::Entry;
use crate::fence::Fence;
use crate::hook::Claim;
use crate::json;
use crate::registry::{Registry, store_status};
use crate::resource::Resource;
use crate::selectable::Selectable;
use crate::unique::Unique;
use api::user::User;
use api::{Object, Status, Subresource};
use bytes::Bytes;
use std::sync::Arc;
use store::{Expect, Key, KeyValue, Op, Outcome, Revision, Txn};

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
    /// What the request asked beside its object; `None` where there was no request.
    pub options: Option<&'a dyn RequestOptions>,
    pub notes: &'a Notes,
    /// What must hold when it is committed, of a write that only the leader of several servers makes.
    pub fence: Option<&'a Fence>,
}

impl<'a> Write<'a> {
    /// Says what is odd about an object that is valid.
    fn warn_of(&self, object: &dyn Object, old: Option<&dyn Object>) {
        api::warnings::of(object, old).into_iter().for_each(|text| self.notes.warn(text));
    }

    fn attempt<'b>(
        &self,
        resource: &Resource,
        operation: Operation,
        (namespace, name): (&'b str, &'b str),
        books: Books<'b>,
    ) -> Attempt<'b>
    where
        'a: 'b,
    {
        Attempt {
            def: resource.def,
            kind: resource.kind,
            operation,
            namespace,
            name,
            subresource: self.subresource,
            user: self.user,
            dry_run: self.dry_run,
            options: self.options,
            notes: self.notes,
            books,
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

/// A write that has passed its judges: the object before and after, and what the judges have claimed for it.
pub(crate) struct Judged<'a> {
    pub(crate) old: Option<&'a dyn Object>,
    pub(crate) new: &'a dyn Object,
    pub(crate) claims: &'a [Claim],
}

/// How a compare-and-swap ended.
pub(crate) enum Swap {
    Done(Revision),
    /// Somebody else was first; the cache has what they wrote.
    Lost,
}

impl Registry {
    /// Commits one operation on one key, with what goes with it, and waits until the cache has it.
    pub(crate) async fn swap(
        &self,
        write: &Write<'_>,
        key: &Key,
        expect: Expect,
        op: Op,
        unique: Unique,
    ) -> Result<Swap, Status> {
        let mut txn = Txn { checks: vec![(key.clone(), expect)], ops: vec![op] };
        txn.checks.extend(unique.checks);
        txn.checks.extend(write.fence.map(Fence::check));
        txn.ops.extend(unique.ops);
        // Where nobody else writes there is one check, or a newest state to wait for.
        let told_apart = txn.checks.iter().filter(|_| !self.inner.exclusive);
        let expected: Vec<Expect> = told_apart.map(|(_, expect)| *expect).collect();
        match self.inner.store.commit(txn).await.map_err(store_status)? {
            Outcome::Committed(revision) => {
                self.inner.progress.reached(revision).await?;
                Ok(Swap::Done(revision))
            }
            Outcome::Conflict(mut states) => {
                let is_gone =
                    |(state, expect): (&Option<KeyValue>, &Expect)| state.is_none() && *expect != Expect::Absent;
                let some_are_gone = states.iter().zip(&expected).any(is_gone);
                if let Some(fence) = write.fence {
                    fence.stands(states.pop().flatten().as_ref())?;
                }
                let newest = states.into_iter().flatten().map(|state| state.modified).max();
                match newest.filter(|_| !some_are_gone) {
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
        write: &Write<'_>,
        key: &Key,
        expect: Expect,
        judged: Judged<'_>,
        value: Bytes,
    ) -> Result<Option<Arc<Entry>>, Status> {
        // What this writer has in its hands must be what the cache reads.
        let is_read_so = resource.is_stored_version() || resource.kind.stored().is_some();
        let Judged { old, new, claims } = judged;
        let announce = || self.inner.prepared.announce(value.clone(), resource.edition, Selectable::of(new));
        let prepared = is_read_so.then(announce);
        let mut unique = self.inner.unique(resource, key, old, Some(new));
        claims.iter().for_each(|claim| unique.charge(&claim.charge));
        let op = Op::Put { key: key.clone(), value: value.clone() };
        let swap = self.swap(write, key, expect, op, unique).await;
        drop(prepared);
        match swap? {
            Swap::Done(revision) => {
                resource.entry(key.clone(), revision, value, None).map(Some).map_err(Status::internal)
            }
            Swap::Lost => Ok(None),
        }
    }
}

/// The bytes to be stored, with these managed fields, in the version in which the kind's objects are.
pub(crate) async fn encode(
    resource: &Resource,
    object: &mut dyn Object,
    managed_fields: &[u8],
) -> Result<Bytes, Status> {
    let failed = |error| Status::internal(format!("encoding an object: {error}"));
    resource.kept(json::stored(object, managed_fields).map_err(failed)?).await
}

/// An object that is there, as a writer of the resource's version finds it.
pub(crate) struct Standing {
    /// As it is stored.
    pub(crate) stored: Arc<Entry>,
    /// In the version in which the writer has objects in its hands: its own, but for a built-in kind, all of whose
    /// versions are decoded into the type that is stored.
    pub(crate) own: Arc<Entry>,
    pub(crate) object: Box<dyn Object>,
}

impl Registry {
    pub(crate) async fn standing(&self, resource: &Resource, stored: Arc<Entry>) -> Result<Standing, Status> {
        let own = match resource.kind.stored() {
            Some(_) => stored.clone(),
            None => self.inner.shown_one(resource, stored.clone()).await?,
        };
        let object = decode_stored(resource, &own)?;
        Ok(Standing { stored, own, object })
    }

    /// What a write answers: the object as it is stored now, in the writer's version.
    pub(crate) async fn written(&self, resource: &Resource, stored: Arc<Entry>) -> Result<Written, Status> {
        self.inner.shown_one(resource, stored).await.map(Written::of)
    }

    /// As `written`, of what is not stored: it was only tried, or is gone with its last finalizer.
    pub(crate) async fn unstored(&self, resource: &Resource, entry: Arc<Entry>) -> Result<Written, Status> {
        self.inner.shown_unstored(resource, entry).await.map(Written::of)
    }
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
