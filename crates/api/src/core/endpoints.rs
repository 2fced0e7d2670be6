//! Endpoints: the addresses behind a service, in their old form.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::core::v1::Endpoints;

impl Kind for Endpoints {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ep"],
        ..ResourceDef::new(
            "",
            "v1",
            "Endpoints",
            "endpoints",
            "endpoints",
            Scope::Namespaced,
            "k8s.io.api.core.v1.Endpoints",
        )
    };
}
