//! ReplicaSet: so many pods of one template.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::apps::v1::ReplicaSet;

impl Kind for ReplicaSet {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        ..ResourceDef::new(
            "apps",
            "v1",
            "ReplicaSet",
            "replicasets",
            "replicaset",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.ReplicaSet",
        )
    };
}
