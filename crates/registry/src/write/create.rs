//! Create: a new object under a given or generated name.

use super::books::{Booking, book};
use super::{Write, Written, encode, metadata};
use crate::admission::Operation;
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
            return self.create_named(resource, write, &Booking::Update, object).await;
        }
        for _ in 1..NAMES_MAX {
            let named = self.named(&prefix, object.boxed());
            let tried = self.create_named(resource, write, &Booking::Update, named).await;
            match tried {
                Err(status) if status.reason == Reason::AlreadyExists => continue,
                other => return other,
            }
        }
        let named = self.named(&prefix, object);
        self.create_named(resource, write, &Booking::Update, named).await.map_err(|mut status| {
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
    ) -> Result<Written, Status> {
        metadata::prepare_create(object.as_mut(), self.inner.surroundings.as_ref())?;
        object.prepare_create();
        object.defaults();
        let now = second(self.inner.surroundings.now());
        let managed_fields = book(resource, write, booking, None, object.as_mut(), now)?;
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        let attempt = write.attempt(resource, Operation::Create, &namespace, &name);
        write.admission.mutate(&attempt, object.as_mut(), None).await?;
        let claim = match &resource.hook {
            Some(hook) => hook.claim(object.as_mut(), None, write.dry_run)?,
            None => None,
        };
        let mut errors = api::meta::validate(resource.kind, object.meta());
        errors.extend(object.validate());
        errors.extend(object.validate_create());
        if !errors.is_empty() {
            return Err(Status::invalid(resource.def, &name, &errors));
        }
        write.admission.validate(&attempt, Some(object.as_ref()), None).await?;
        let key: Key = resource.key(&namespace, &name).into();
        let value = encode(object.as_mut(), &managed_fields)?;
        let written = if write.dry_run {
            if resource.get(&namespace, &name).is_some() {
                return Err(Status::already_exists(resource.def, &name));
            }
            let entry = resource.entry(key, Default::default(), value, None).map_err(Status::internal)?;
            Written { uncommitted: true, ..Written::of(entry) }
        } else {
            let entry = self.put(resource, &key, Expect::Absent, object.as_ref(), value).await?;
            Written::of(entry.ok_or_else(|| Status::already_exists(resource.def, &name))?)
        };
        drop(claim);
        Ok(Written { created: true, ..written })
    }
}
