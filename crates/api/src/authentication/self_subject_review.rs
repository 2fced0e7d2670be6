//! SelfSubjectReview: asks who the asker is.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;

impl Kind for SelfSubjectReview {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authentication.k8s.io",
            "v1",
            "SelfSubjectReview",
            "selfsubjectreviews",
            "selfsubjectreview",
            Scope::Cluster,
            "k8s.io.api.authentication.v1.SelfSubjectReview",
        )
    };

    fn prepare_create(&mut self) {
        self.status = None;
    }
}
