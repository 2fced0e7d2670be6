//! PersistentVolume: storage that outlives pods.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::PersistentVolume;

impl Kind for PersistentVolume {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pv"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "PersistentVolume",
            "persistentvolumes",
            "persistentvolume",
            Scope::Cluster,
            "k8s.io.api.core.v1.PersistentVolume",
        )
    };
}
