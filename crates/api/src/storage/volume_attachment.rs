//! VolumeAttachment: a volume that is to be attached to a node.

use crate::check::{self, Errors};
use crate::core::{columns, persistent_volume};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeAttachmentStatus};
use k8s_openapi::jiff::Timestamp;

const METADATA_BYTES_MAX: usize = 256 * 1024;
const MESSAGE_BYTES_MAX: usize = 1024;

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

    /// Whether it is attached is said from the start: the field has no absence.
    fn defaults(&mut self) {
        self.status.get_or_insert_default();
    }

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
        let (source, path) = (&self.spec.source, path.child("source"));
        const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        match (&source.inline_volume_spec, &source.persistent_volume_name) {
            (None, None) => errors.push(FieldError::required(path, ONE)),
            (Some(_), Some(_)) => errors.push(FieldError::forbidden(path, ONE)),
            (None, Some(name)) if name.is_empty() => {
                let detail = "must specify non empty persistentVolumeName";
                errors.push(FieldError::required(path.child("persistentVolumeName"), detail));
            }
            (Some(spec), None) => persistent_volume::inline(&mut errors, &path.child("inlineVolumeSpec"), spec),
            (None, Some(_)) => {}
        }
        if let Some(status) = &self.status {
            self::status(&mut errors, &FieldPath::new("status"), status);
        }
        errors
    }

    /// Held to more than what is there from the time before.
    fn validate_create(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        super::driver_name(&mut errors, &FieldPath::new("spec.attacher"), &self.spec.attacher);
        if let Some(name) = &self.spec.source.persistent_volume_name {
            check::dns1123_subdomain(&mut errors, &FieldPath::new("spec.source.persistentVolumeName"), name);
        }
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

/// That what the driver says is not endless.
fn status(errors: &mut Errors, path: &FieldPath, status: &VolumeAttachmentStatus) {
    let metadata = status.attachment_metadata.iter().flatten();
    if metadata.map(|(key, value)| key.len() + value.len()).sum::<usize>() > METADATA_BYTES_MAX {
        errors.push(FieldError::too_long(path.child("attachmentMetadata"), METADATA_BYTES_MAX));
    }
    for (field, error) in [("attachError", &status.attach_error), ("detachError", &status.detach_error)] {
        let message = error.as_ref().and_then(|error| error.message.as_deref()).unwrap_or_default();
        if message.len() > MESSAGE_BYTES_MAX {
            errors.push(FieldError::too_long(path.child(field).child("message"), MESSAGE_BYTES_MAX));
        }
    }
}
