//! VolumeAttachment: a volume that is to be attached to a node.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::jiff::Timestamp;

impl Kind for VolumeAttachment {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Attacher").about("Who attaches it."),
            Column::text("PV").about("The volume."),
            Column::text("Node").about("The node."),
            Column::boolean("Attached").about("Whether it is attached."),
            Column::AGE,
        ],
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

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &VolumeAttachment) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &VolumeAttachment) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        check::present(&mut errors, path.child("attacher"), Some(&self.spec.attacher));
        check::dns1123_subdomain(&mut errors, &path.child("nodeName"), &self.spec.node_name);
        let source = &self.spec.source;
        let detail = match (&source.inline_volume_spec, &source.persistent_volume_name) {
            (None, None) => "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            (Some(_), Some(_)) => "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            _ => return errors,
        };
        errors.push(FieldError::required(path.child("source"), detail));
        errors
    }

    fn validate_update(&self, old: &VolumeAttachment) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("spec"), &self.spec, &old.spec);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let attached = self.status.as_ref().is_some_and(|status| status.attached);
        vec![
            columns::name(&self.metadata),
            Cell::from(self.spec.attacher.as_str()),
            Cell::from(self.spec.source.persistent_volume_name.as_deref().unwrap_or_default()),
            Cell::from(self.spec.node_name.as_str()),
            Cell::Text(attached.to_string()),
            columns::created(&self.metadata, now),
        ]
    }
}
