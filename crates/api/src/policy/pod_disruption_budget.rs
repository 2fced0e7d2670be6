//! PodDisruptionBudget: how many of some pods may be evicted at once.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

impl Kind for PodDisruptionBudget {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pdb"],
        subresources: &[Subresource::Status],
        ..ResourceDef::new(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            "poddisruptionbudget",
            Scope::Namespaced,
            "k8s.io.api.policy.v1.PodDisruptionBudget",
        )
    };
}
