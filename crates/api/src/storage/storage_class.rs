//! StorageClass: a sort of storage that can be asked for.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::storage::v1::StorageClass;

impl Kind for StorageClass {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["sc"],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "StorageClass",
            "storageclasses",
            "storageclass",
            Scope::Cluster,
            "k8s.io.api.storage.v1.StorageClass",
        )
    };
}
