//! LocalSubjectAccessReview: asks whether somebody may do something in one namespace.

use super::reviews;
use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authorization::v1::LocalSubjectAccessReview;

impl Kind for LocalSubjectAccessReview {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authorization.k8s.io",
            "v1",
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
            Scope::Namespaced,
            "k8s.io.api.authorization.v1.LocalSubjectAccessReview",
        )
    };

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = &self.spec;
        reviews::one_question(&mut errors, spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
        reviews::somebody(&mut errors, spec.user.as_deref(), spec.groups.as_ref());
        reviews::no_metadata(&mut errors, &self.metadata, "must be empty except for namespace", false);
        let path = FieldPath::new("spec");
        if let Some(resource) = &spec.resource_attributes
            && resource.namespace.as_deref().unwrap_or_default()
                != self.metadata.namespace.as_deref().unwrap_or_default()
        {
            let path = path.child("resourceAttributes").child("namespace");
            errors.push(FieldError::invalid(path, &resource.namespace, "must match metadata.namespace"));
        }
        if let Some(other) = &spec.non_resource_attributes {
            let detail = "disallowed on this kind of request";
            errors.push(FieldError::invalid(path.child("nonResourceAttributes"), other, detail));
        }
        errors
    }
}
