//! IngressClass: which controller serves an Ingress.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::networking::v1::IngressClass;

impl Kind for IngressClass {
    const DEF: ResourceDef = ResourceDef {
        unattended: true,
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "IngressClass",
            "ingressclasses",
            "ingressclass",
            Scope::Cluster,
            "k8s.io.api.networking.v1.IngressClass",
        )
    };
}
