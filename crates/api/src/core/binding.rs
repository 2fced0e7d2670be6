//! Binding: gives a pod its node. It is answered and forgotten, at a path of its own and below the pod's.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::core::v1::Binding;

impl Kind for Binding {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new("", "v1", "Binding", "bindings", "binding", Scope::Namespaced, "k8s.io.api.core.v1.Binding")
    };
}
