//! Secret: settings that not everybody may read.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::core::v1::Secret;

impl Kind for Secret {
    const DEF: ResourceDef = ResourceDef::new(
            "",
            "v1",
            "Secret",
            "secrets",
            "secret",
            Scope::Namespaced,
            "k8s.io.api.core.v1.Secret",
        );
}
