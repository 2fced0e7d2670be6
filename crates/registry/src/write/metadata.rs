//! What every write does to an object's metadata, whatever the kind.

use crate::resource::Resource;
use crate::surroundings::{Surroundings, second, uid};
use api::{FieldError, FieldPath, Object, Reason, ResourceDef, Status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Refuses what contradicts the request's path, and takes the namespace from it.
pub(super) fn place(resource: &Resource, meta: &mut ObjectMeta, namespace: &str) -> Result<(), Status> {
    if !resource.def.namespaced() {
        return Ok(());
    }
    match given(&meta.namespace) {
        None => meta.namespace = Some(namespace.to_owned()),
        Some(own) if own != namespace => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Some(_) => {}
    }
    Ok(())
}

pub(super) fn prepare_create(object: &mut dyn Object, surroundings: &dyn Surroundings) -> Result<(), Status> {
    if given(&object.meta().resource_version).is_some_and(|version| version != "0") {
        return Err(Status::new(Reason::Unknown, "resourceVersion should not be set on objects to be created"));
    }
    let generation = object.has_generation().then_some(1);
    let meta = object.meta_mut();
    meta.resource_version = None;
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.self_link = None;
    meta.uid = Some(uid(surroundings));
    meta.creation_timestamp = Some(Time(second(surroundings.now())));
    meta.generation = generation;
    Ok(())
}

/// Refuses a body that is about another object than the path.
pub(super) fn check_name(resource: &Resource, meta: &ObjectMeta, namespace: &str, name: &str) -> Result<(), Status> {
    match given(&meta.name) {
        None => {
            return Err(Status::bad_request(format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )));
        }
        Some(own) if own != name => {
            let why = format!("the name of the object ({own}) does not match the name on the URL ({name})");
            return Err(Status::bad_request(why));
        }
        Some(_) => {}
    }
    match given(&meta.namespace) {
        Some(own) if resource.def.namespaced() && own != namespace => Err(Status::bad_request(format!(
            "the namespace of the object ({own}) does not match the namespace on the request ({namespace})"
        ))),
        _ => Ok(()),
    }
}

/// Checks an update's claims about the object it was made from, and restores what no update may change.
pub(super) fn prepare_update(resource: &Resource, new: &mut ObjectMeta, old: &ObjectMeta) -> Result<(), Status> {
    let name = old.name.as_deref().unwrap_or_default();
    if let (Some(wanted), Some(own)) = (given(&new.uid), given(&old.uid))
        && wanted != own
    {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {own}");
        return Err(Status::conflict(resource.def, name, &why));
    }
    match given(&new.resource_version) {
        None | Some("0") if !resource.def.unconditional_update => return Err(unconditional(resource, name)),
        // An unconditional update: whatever the object is now is what it replaces.
        None | Some("0") => new.resource_version.clone_from(&old.resource_version),
        version if version != old.resource_version.as_deref() => return Err(Status::modified(resource.def, name)),
        _ => {}
    }
    new.self_link = None;
    new.generation = old.generation;
    if given(&new.namespace).is_none() {
        new.namespace.clone_from(&old.namespace);
    }
    if given(&new.uid).is_none() {
        new.uid.clone_from(&old.uid);
    }
    if new.creation_timestamp.is_none() {
        new.creation_timestamp.clone_from(&old.creation_timestamp);
    }
    if given(&new.generate_name).is_none() {
        new.generate_name.clone_from(&old.generate_name);
    }
    if old.deletion_timestamp.is_some() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    if old.deletion_grace_period_seconds.is_some() && new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
    Ok(())
}

/// An update that does not say what it replaces, of a kind where it must. Upstream names the resource, not the kind.
fn unconditional(resource: &Resource, name: &str) -> Status {
    let path = FieldPath::new("metadata").child("resourceVersion");
    let error = FieldError::invalid(path, &0, "must be specified for an update");
    let def = ResourceDef { kind: resource.def.plural, ..*resource.def };
    Status::invalid(&def, name, &[error])
}

/// The next generation where the desired state changed.
pub(super) fn bump_generation(new: &mut dyn Object, old: &dyn Object) {
    let generation = old.meta().generation;
    new.meta_mut().generation = if new.has_generation() && new.spec_differs(old) {
        Some(generation.unwrap_or_default() + 1)
    } else {
        generation
    };
}
