//! Update: the write loop of everything that changes an object that is there.

use super::apply::MayCreate;
use super::books::{Booking, book, is_same, rebooked};
use super::{Judged, Standing, Swap, Write, Written, contended, encode, metadata};
use crate::admission::{Attempt, Books, Operation};
use crate::entry::Entry;
use crate::registry::{Registry, store_status};
use crate::resource::Resource;
use crate::surroundings::second;
use crate::write::TRIES_MAX;
use api::{Object, Reason, Status, Subresource};
use std::sync::Arc;
use store::{Expect, Op};

/// The object that a change starts from.
pub struct Current<'a> {
    /// With its `resourceVersion`.
    pub object: &'a dyn Object,
    /// As the object was decoded.
    pub entry: &'a Entry,
}

/// Makes the new object of the present one; called again when the compare-and-swap was lost.
pub type Change<'a> = &'a mut (dyn FnMut(&Current<'_>) -> Result<Box<dyn Object>, Status> + Send);

/// What of the object a write may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object itself; its status stays.
    Object,
    /// Its status; all else stays.
    Status,
    /// Exactly what the change did: a subresource that has picked its fields itself, and judged their change. The
    /// kind's own rules for changes do not apply: binding a pod is not editing it.
    Given,
}

impl Registry {
    /// Replaces the object, or with `Part::Status` its status, by the one a client sent.
    pub async fn replace(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        namespace: &str,
        name: &str,
        object: Box<dyn Object>,
    ) -> Result<Written, Status> {
        metadata::check_name(resource, object.meta(), namespace, name)?;
        let mut change = |_: &Current<'_>| Ok(object.boxed());
        self.update(resource, write, part, namespace, name, &mut change).await
    }

    /// Replaces the object by the one a client sent, or creates it where it is not there.
    pub async fn replace_or_create(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        namespace: &str,
        name: &str,
        object: Box<dyn Object>,
        may_create: MayCreate<'_>,
    ) -> Result<Written, Status> {
        for _ in 0..TRIES_MAX {
            match self.replace(resource, write, Part::Object, namespace, name, object.boxed()).await {
                Err(status) if status.reason == Reason::NotFound => {}
                other => return other,
            }
            may_create()?;
            let mut new = object.boxed();
            if let Some(uid) = new.meta().uid.as_deref().filter(|uid| !uid.is_empty()) {
                let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
                return Err(Status::conflict(resource.def, name, &why));
            }
            new.meta_mut().resource_version = None;
            match self.create(resource, write, namespace, new).await {
                // Somebody else created it meanwhile: it is replaced.
                Err(status) if status.reason == Reason::AlreadyExists && !write.dry_run => {}
                other => return other,
            }
        }
        Err(contended(resource, name))
    }

    /// Changes the object that is there.
    pub async fn update(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        namespace: &str,
        name: &str,
        change: Change<'_>,
    ) -> Result<Written, Status> {
        self.inner.fresh().await?;
        for _ in 0..TRIES_MAX {
            let standing = self.standing(resource, resource.require(namespace, name)?).await?;
            let new = change(&Current { object: standing.object.as_ref(), entry: &standing.own })?;
            let attempt = self.attempt_update(resource, write, part, &Booking::Update, &standing, new);
            if let Some(written) = attempt.await? {
                return Ok(written);
            }
        }
        Err(contended(resource, name))
    }

    /// One attempt; `None` when somebody else was first.
    pub(super) async fn attempt_update(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        part: Part,
        booking: &Booking<'_>,
        standing: &Standing,
        mut new: Box<dyn Object>,
    ) -> Result<Option<Written>, Status> {
        let (entry, old) = (&standing.stored, standing.object.as_ref());
        let (namespace, name) = (entry.namespace(), entry.name());
        metadata::prepare_update(resource, new.meta_mut(), old.meta())?;
        match part {
            Part::Object => new.prepare_update(old),
            Part::Status => new.prepare_status(old),
            Part::Given => {}
        }
        new.defaults();
        let now = second(self.inner.surroundings.now());
        let booked = book(resource, write, booking, Some(&standing.own), new.as_mut(), now).await?;
        let books = Books { new: &booked, old: standing.own.managed_fields() };
        let attempt = write.attempt(resource, Operation::Update, (namespace, name), books);
        write.admission.mutate(&attempt, &mut new, Some(old)).await?;
        let managed_fields = rebooked(write, new.as_mut(), &booked)?;
        let attempt = Attempt { books: Books { new: &managed_fields, ..books }, ..attempt };
        // Being given a node is not a change of what the pod's author wanted.
        if write.subresource != Some(Subresource::Binding) {
            metadata::bump_generation(new.as_mut(), old);
        }
        let claim = match &resource.hook {
            Some(hook) => hook.claim(new.as_mut(), Some(old), write.dry_run)?,
            None => None,
        };
        let mut errors = api::meta::validate(resource.kind, new.meta());
        errors.extend(api::meta::validate_update(new.meta(), old.meta()));
        errors.extend(new.validate());
        match (part, write.subresource) {
            (Part::Given, Some(subresource)) => errors.extend(new.validate_subresource(subresource, old)),
            (Part::Given, None) => {}
            _ => errors.extend(new.validate_update(old)),
        }
        errors.extend(resource.kind.validate_version(new.as_ref(), Some(old)));
        if !errors.is_empty() {
            return Err(Status::invalid(resource.def, name, &errors));
        }
        if part == Part::Object {
            write.warn_of(new.as_ref(), Some(old));
        }
        let claims = write.admission.validate(&attempt, Some(new.as_ref()), Some(old)).await?;
        let value = encode(resource, new.as_mut(), &managed_fields).await?;
        let (left, is_stored) = if self.is_last_finalizer(resource, new.as_ref(), old) {
            (self.remove_finalized(resource, write, entry, old, value).await?, false)
        } else if is_same(entry, &value, &managed_fields) && !self.is_stale(write, entry).await? {
            (Some(entry.clone()), true)
        } else if write.dry_run {
            let tried = resource.entry(entry.key().clone(), entry.revision, value, None);
            (Some(tried.map_err(Status::internal)?), false)
        } else {
            let expect = Expect::At(entry.revision);
            let judged = Judged { old: Some(old), new: new.as_ref(), claims: &claims };
            (self.put(resource, write, entry.key(), expect, judged, value).await?, true)
        };
        drop((claim, claims));
        match left {
            Some(entry) if is_stored => self.written(resource, entry).await.map(Some),
            Some(entry) => self.unstored(resource, entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether what is stored would be stored otherwise today, so that writing the same again is a change.
    async fn is_stale(&self, write: &Write<'_>, entry: &Entry) -> Result<bool, Status> {
        if write.dry_run {
            return Ok(false);
        }
        if entry.is_rewritten() {
            return Ok(true);
        }
        self.inner.store.is_stale(entry.key()).await.map_err(store_status)
    }

    /// Whether this update takes away the last thing that kept a deleted object.
    fn is_last_finalizer(&self, resource: &Resource, new: &dyn Object, old: &dyn Object) -> bool {
        let was = old.meta();
        was.deletion_timestamp.is_some()
            && was.deletion_grace_period_seconds.unwrap_or_default() == 0
            && new.meta().finalizers.as_ref().is_none_or(Vec::is_empty)
            && !resource.hook.as_ref().is_some_and(|hook| hook.holds(new))
    }

    async fn remove_finalized(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        entry: &Arc<Entry>,
        old: &dyn Object,
        value: bytes::Bytes,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let last = resource.entry(entry.key().clone(), entry.revision, value, None).map_err(Status::internal)?;
        if write.dry_run {
            return Ok(Some(last));
        }
        let op = Op::Delete { key: entry.key().clone() };
        let unique = self.inner.unique(resource, entry.key(), Some(old), None);
        match self.swap(write, entry.key(), Expect::At(entry.revision), op, unique).await? {
            Swap::Done(_) => Ok(Some(last)),
            Swap::Lost => Ok(None),
        }
    }
}
