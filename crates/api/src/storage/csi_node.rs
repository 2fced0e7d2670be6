//! CSINode: which storage drivers a node has.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::storage::v1::CSINode;

impl Kind for CSINode {
    const DEF: ResourceDef = ResourceDef {
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "CSINode",
            "csinodes",
            "csinode",
            Scope::Cluster,
            "k8s.io.api.storage.v1.CSINode",
        )
    };
}
