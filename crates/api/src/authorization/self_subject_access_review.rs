//! SelfSubjectAccessReview: asks whether the asker may do something.

use super::reviews;
use crate::check::Errors;
use crate::field::FieldError;
use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;

impl Kind for SelfSubjectAccessReview {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authorization.k8s.io",
            "v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
            Scope::Cluster,
            "k8s.io.api.authorization.v1.SelfSubjectAccessReview",
        )
    };

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = &self.spec;
        reviews::one_question(&mut errors, spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
        reviews::no_metadata(&mut errors, &self.metadata, "must be empty", true);
        errors
    }
}
