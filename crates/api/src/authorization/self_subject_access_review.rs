//! SelfSubjectAccessReview: asks whether the asker may do something.

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
}
