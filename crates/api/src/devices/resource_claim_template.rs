//! ResourceClaimTemplate: the claims that each pod gets of its own.

use super::requests;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::resource::v1::ResourceClaimTemplate;

impl Kind for ResourceClaimTemplate {
    const DEF: ResourceDef = ResourceDef {
        unattended: true,
        ..ResourceDef::new(
            "resource.k8s.io",
            "v1",
            "ResourceClaimTemplate",
            "resourceclaimtemplates",
            "resourceclaimtemplate",
            Scope::Namespaced,
            "k8s.io.api.resource.v1.ResourceClaimTemplate",
        )
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default().spec.get_or_insert_default();
        spec.devices.get_or_insert_default();
        requests::defaults(spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = self.spec.clone().unwrap_or_default();
        let meta = spec.metadata.unwrap_or_default();
        let own = path.child("metadata");
        check::annotations(&mut errors, &own.child("annotations"), meta.annotations.as_ref());
        check::label_map(&mut errors, &own.child("labels"), meta.labels.as_ref());
        requests::spec(&mut errors, &path.child("spec"), &spec.spec.unwrap_or_default());
        errors
    }

    fn validate_update(&self, old: &ResourceClaimTemplate) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("spec"), &self.spec, &old.spec);
        errors
    }
}
