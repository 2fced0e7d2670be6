//! Eviction: a delete that asks first. It is answered and forgotten, below its pod.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::policy::v1::Eviction;

impl Kind for Eviction {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "policy",
            "v1",
            "Eviction",
            "evictions",
            "eviction",
            Scope::Namespaced,
            "k8s.io.api.policy.v1.Eviction",
        )
    };
}
