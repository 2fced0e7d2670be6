//! ReplicationController: the older ReplicaSet.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::ReplicationController;

impl Kind for ReplicationController {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "ReplicationController",
            "replicationcontrollers",
            "replicationcontroller",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ReplicationController",
        )
    };
}
