//! LocalSubjectAccessReview: asks whether somebody may do something in one namespace.

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
}
