//! TokenRequest: asks for a token. It is answered and forgotten, below its service account.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::authentication::v1::TokenRequest;

impl Kind for TokenRequest {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "authentication.k8s.io",
            "v1",
            "TokenRequest",
            "tokenrequests",
            "tokenrequest",
            Scope::Namespaced,
            "k8s.io.api.authentication.v1.TokenRequest",
        )
    };
}
