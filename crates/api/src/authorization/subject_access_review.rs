//! SubjectAccessReview: asks whether somebody may do something.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;

impl Kind for SubjectAccessReview {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authorization.k8s.io",
            "v1",
            "SubjectAccessReview",
            "subjectaccessreviews",
            "subjectaccessreview",
            Scope::Cluster,
            "k8s.io.api.authorization.v1.SubjectAccessReview",
        )
    };
}
