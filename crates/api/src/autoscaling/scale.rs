//! Scale: how many replicas, the same for every kind that has them. It is no resource of its own.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Verbs};
use k8s_openapi::api::autoscaling::v1::Scale;

impl Kind for Scale {
    const DEF: ResourceDef = ResourceDef {
        verbs: Verbs::CreateOnly,
        ..ResourceDef::new(
            "autoscaling",
            "v1",
            "Scale",
            "scales",
            "scale",
            Scope::Namespaced,
            "k8s.io.api.autoscaling.v1.Scale",
        )
    };
}
