//! Create: a new object under a given or generated name.

use super::books::{Booking, book, rebooked};
use super::{Judged, TRIES_MAX, Write, Written, contended, encode, metadata};
use crate::admission::{Attempt, Books, Operation};
use crate::registry::Registry;
use crate::resource::Resource;
use crate::surroundings::{second, suffix};
use api::{Object, Reason, Status};
use store::{Expect, Key};

/// Names that are generated before giving up.
const NAMES_MAX: usize = 8;
/// A generated name is cut to this before its five letters.
const PREFIX_BYTES_MAX: usize = 58;

impl Registry {
    pub async fn create(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        namespace: &str,
        mut object: Box<dyn Object>,
    ) -> Result<Written, Status> {
        self.inner.progress.health()?;
        metadata::place(resource, object.meta_mut(), namespace)?;
        let prefix = object.meta().generate_name.clone().unwrap_or_default();
        if prefix.is_empty() || !object.name().is_empty() {
            return self.create_named(resource, write, &Booking::Update, object, false).await;
        }
        for _ in 1..NAMES_MAX {
            let named = self.named(&prefix, object.boxed());
            let tried = self.create_named(resource, write, &Booking::Update, named, true).await;
            match tried {
                Err(status) if status.reason == Reason::AlreadyExists => continue,
                other => return other,
            }
        }
        let named = self.named(&prefix, object);
        self.create_named(resource, write, &Booking::Update, named, true).await.map_err(|mut status| {
            if status.reason == Reason::AlreadyExists {
                status.message.push_str(", the server was not able to generate a unique name for the object");
            }
            status
        })
    }

    fn named(&self, prefix: &str, mut object: Box<dyn Object>) -> Box<dyn Object> {
        let mut cut = prefix.len().min(PREFIX_BYTES_MAX);
        while !prefix.is_char_boundary(cut) {
            cut -= 1;
        }
        object.meta_mut().name = Some(format!("{}{}", &prefix[..cut], suffix(self.inner.surroundings.as_ref())));
        object
    }

    pub(super) async fn create_named(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        booking: &Booking<'_>,
        mut object: Box<dyn Object>,
        is_generated: bool,
    ) -> Result<Written, Status> {
        if self.inner.exclusive {
            let name = object.name().to_owned();
            let created = self.attempt_create(resource, write, booking, object, is_generated);
            return created.await?.ok_or_else(|| Status::already_exists(resource.def, &name));
        }
        if self.inner.keeps_unique(resource) {
            self.inner.fresh().await?;
        }
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        for _ in 0..TRIES_MAX {
            let again = object.boxed();
            if let Some(written) = self.attempt_create(resource, write, booking, object, is_generated).await? {
                return Ok(written);
            }
            if resource.get(&namespace, &name).is_some() {
                return Err(Status::already_exists(resource.def, &name));
            }
            // Another server's object was given what this one was to have, or counts for the same quota.
            object = again;
        }
        Err(contended(resource, &name))
    }

    /// One attempt; `None` when the name, or what only one object may have, was given to another, or there was another
    /// one to be counted.
    async fn attempt_create(
        &self,
        resource: &Resource,
        write: &Write<'_>,
        booking: &Booking<'_>,
        mut object: Box<dyn Object>,
        is_generated: bool,
    ) -> Result<Option<Written>, Status> {
        metadata::prepare_create(object.as_mut(), self.inner.surroundings.as_ref())?;
        object.prepare_create();
        object.defaults();
        let now = second(self.inner.surroundings.now());
        let booked = book(resource, write, booking, None, object.as_mut(), now).await?;
        // Who changes objects sees a name only once it is final, and may choose it where it was to be generated.
        let generated = if is_generated { object.meta_mut().name.take() } else { None };
        let (namespace, asked) = (object.namespace().to_owned(), object.name().to_owned());
        let books = Books { new: &booked, old: &[] };
        let attempt = write.attempt(resource, Operation::Create, (&namespace, &asked), books);
        write.admission.mutate(&attempt, &mut object, None).await?;
        if object.name().is_empty() {
            object.meta_mut().name = generated;
        }
        let (name, managed_fields) = (object.name().to_owned(), rebooked(write, object.as_mut(), &booked)?);
        let attempt = Attempt { name: &name, books: Books { new: &managed_fields, ..books }, ..attempt };
        let claim = match &resource.hook {
            Some(hook) => hook.claim(object.as_mut(), None, write.dry_run)?,
            None => None,
        };
        let mut errors = api::meta::validate(resource.kind, object.meta());
        errors.extend(object.validate());
        errors.extend(object.validate_create());
        errors.extend(resource.kind.validate_version(object.as_ref(), None));
        if !errors.is_empty() {
            return Err(Status::invalid(resource.def, &name, &errors));
        }
        write.warn_of(object.as_ref(), None);
        let claims = write.admission.validate(&attempt, Some(object.as_ref()), None).await?;
        let key: Key = resource.key(&namespace, &name).into();
        let value = encode(resource, object.as_mut(), &managed_fields).await?;
        let written = if write.dry_run {
            if resource.get(&namespace, &name).is_some() {
                return Err(Status::already_exists(resource.def, &name));
            }
            let entry = resource.entry(key, Default::default(), value, None).map_err(Status::internal)?;
            Written { uncommitted: true, ..self.unstored(resource, entry).await? }
        } else {
            let judged = Judged { old: None, new: object.as_ref(), claims: &claims };
            let put = self.put(resource, write, &key, Expect::Absent, judged, value).await?;
            let Some(entry) = put else { return Ok(None) };
            self.written(resource, entry).await?
        };
        drop((claim, claims));
        Ok(Some(Written { created: true, ..written }))
    }
}
