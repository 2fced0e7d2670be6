//! Ingress: HTTP from outside to services.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::networking::v1::Ingress;

impl Kind for Ingress {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ing"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "Ingress",
            "ingresses",
            "ingress",
            Scope::Namespaced,
            "k8s.io.api.networking.v1.Ingress",
        )
    };
}
