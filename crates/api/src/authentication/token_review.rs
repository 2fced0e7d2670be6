//! TokenReview: asks whose token this is.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authentication::v1::TokenReview;

impl Kind for TokenReview {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authentication.k8s.io",
            "v1",
            "TokenReview",
            "tokenreviews",
            "tokenreview",
            Scope::Cluster,
            "k8s.io.api.authentication.v1.TokenReview",
        )
    };

    fn prepare_create(&mut self) {
        self.status = None;
    }
}
