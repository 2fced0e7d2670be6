//! Namespace: a room for names, and what is deleted with it.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::Namespace;

impl Kind for Namespace {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ns"],
        subresources: &[Subresource::Status, Subresource::Finalize],
        ..ResourceDef::new(
            "",
            "v1",
            "Namespace",
            "namespaces",
            "namespace",
            Scope::Cluster,
            "k8s.io.api.core.v1.Namespace",
        )
    };
}
