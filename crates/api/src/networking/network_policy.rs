//! NetworkPolicy: who may talk with which pods.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::networking::v1::NetworkPolicy;

impl Kind for NetworkPolicy {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["netpol"],
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
            "networkpolicy",
            Scope::Namespaced,
            "k8s.io.api.networking.v1.NetworkPolicy",
        )
    };
}
