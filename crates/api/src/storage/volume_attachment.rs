//! VolumeAttachment: a volume that is to be attached to a node.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::storage::v1::VolumeAttachment;

impl Kind for VolumeAttachment {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "VolumeAttachment",
            "volumeattachments",
            "volumeattachment",
            Scope::Cluster,
            "k8s.io.api.storage.v1.VolumeAttachment",
        )
    };
}
