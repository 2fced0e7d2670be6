//! SelfSubjectRulesReview: asks what the asker may do in a namespace.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;

impl Kind for SelfSubjectRulesReview {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authorization.k8s.io",
            "v1",
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "selfsubjectrulesreview",
            Scope::Cluster,
            "k8s.io.api.authorization.v1.SelfSubjectRulesReview",
        )
    };

    fn prepare_create(&mut self) {
        self.status = None;
    }
}
