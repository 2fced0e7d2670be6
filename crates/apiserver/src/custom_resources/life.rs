//! A definition's own life: it is judged whole when it is written, and stays until its objects are gone.

use super::conditions::{self, TERMINATING, Wanted};
use super::{FINALIZER, rules};
use api::custom::{Definition, Schemas};
use api::{FieldError, FieldPath, Kind, Object, Status};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use registry::{Claim, Hook};

pub(crate) struct DefinitionLife;

impl Hook for DefinitionLife {
    /// Claims nothing; refuses what could not be served.
    fn claim(
        &self,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
        _dry_run: bool,
    ) -> Result<Option<Claim>, Status> {
        let Some(definition) = object.downcast::<CustomResourceDefinition>() else { return Ok(None) };
        let old = old.and_then(|old| old.downcast::<CustomResourceDefinition>());
        if old.is_some_and(|old| old.spec == definition.spec) {
            return Ok(None);
        }
        // What is wrong in other ways is refused by the kind's own validation, in its own words.
        if !Kind::validate(definition).is_empty() {
            return Ok(None);
        }
        let errors = errors(definition);
        if errors.is_empty() {
            return Ok(None);
        }
        let name = definition.metadata.name.as_deref().unwrap_or_default();
        Err(Status::invalid(&CustomResourceDefinition::DEF, name, &errors))
    }

    fn mark_deleted(&self, object: &mut dyn Object) {
        let Some(definition) = object.downcast_mut::<CustomResourceDefinition>() else { return };
        let finalizers = definition.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|name| name == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        let now = definition.metadata.deletion_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let wanted =
            Wanted { kind: TERMINATING, holds: true, reason: "InstanceDeletionPending", message: message.to_owned() };
        conditions::set(definition, &wanted, now);
    }

    /// Asked before the finalizer is there, so that it comes to be.
    fn holds(&self, object: &dyn Object) -> bool {
        object.meta().deletion_timestamp.is_none()
    }
}

fn errors(definition: &CustomResourceDefinition) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let versions = &definition.spec.versions;
    let is_alike = versions.iter().all(|version| version.schema == versions[0].schema);
    for (index, version) in definition.spec.versions.iter().enumerate() {
        let path = FieldPath::new("spec").child("versions").index(index);
        let schemas = Schemas::of(std::slice::from_ref(version));
        if let Err(error) = schemas.and_then(|schemas| Definition::of(definition, version, &schemas, None)) {
            errors.push(FieldError::invalid(path.clone(), &version.name, error.to_string()));
        }
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let Some(schema) = schema else { continue };
        // What all versions have alike upstream judges once, and names after its own one place for it.
        let path = match (is_alike, index) {
            (true, 0) => FieldPath::new("spec").child("validation"),
            (true, _) => continue,
            (false, _) => path.child("schema"),
        };
        errors.extend(rules::errors(schema, &path.child("openAPIV3Schema")));
    }
    errors
}
