//! CSIDriver: how a storage driver wants to be called.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::storage::v1::CSIDriver;

impl Kind for CSIDriver {
    const DEF: ResourceDef = ResourceDef {
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "CSIDriver",
            "csidrivers",
            "csidriver",
            Scope::Cluster,
            "k8s.io.api.storage.v1.CSIDriver",
        )
    };
}
