//! PersistentVolumeClaim: a request for storage that outlives pods.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

impl Kind for PersistentVolumeClaim {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pvc"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            "persistentvolumeclaim",
            Scope::Namespaced,
            "k8s.io.api.core.v1.PersistentVolumeClaim",
        )
    };
}
