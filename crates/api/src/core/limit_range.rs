//! LimitRange: bounds and defaults for what a namespace's pods ask for.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::core::v1::LimitRange;

impl Kind for LimitRange {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["limits"],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "LimitRange",
            "limitranges",
            "limitrange",
            Scope::Namespaced,
            "k8s.io.api.core.v1.LimitRange",
        )
    };
}
