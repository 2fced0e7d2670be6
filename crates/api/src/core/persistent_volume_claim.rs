//! PersistentVolumeClaim: a request for storage that outlives pods.

use super::persistent_volume::{ACCESS_MODES, access_modes, capacity};
use super::resources;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus};
use k8s_openapi::jiff::Timestamp;

impl Kind for PersistentVolumeClaim {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pvc"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Status").about("Whether it has a volume."),
            Column::text("Volume").about("The volume that it has."),
            Column::text("Capacity").about("How much the volume holds."),
            Column::text("Access Modes").about("How the volume may be mounted."),
            Column::text("StorageClass").about("The sort of storage."),
            Column::text("VolumeAttributesClass").about("The qualities of the volume."),
            Column::AGE,
            Column::wide("VolumeMode").about("A file system, or a bare disk."),
        ],
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

    fn defaults(&mut self) {
        defaults(self);
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &PersistentVolumeClaim) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &PersistentVolumeClaim) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&mut errors, &FieldPath::new("spec"), &self.spec.clone().unwrap_or_default());
        errors
    }

    fn validate_update(&self, old: &PersistentVolumeClaim) -> Vec<FieldError> {
        let (mut rest, before) = (self.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default());
        if before.volume_name.as_deref().unwrap_or_default().is_empty() {
            rest.volume_name.clone_from(&before.volume_name);
        }
        if self.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound") {
            rest.resources.clone_from(&before.resources);
            rest.volume_attributes_class_name.clone_from(&before.volume_attributes_class_name);
        }
        if check::same(&rest, &before) {
            return Vec::new();
        }
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims\n";
        vec![FieldError::forbidden(FieldPath::new("spec"), detail)]
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let (no_spec, no_status) = (PersistentVolumeClaimSpec::default(), PersistentVolumeClaimStatus::default());
        let spec = self.spec.as_ref().unwrap_or(&no_spec);
        let status = self.status.as_ref().unwrap_or(&no_status);
        let bound = spec.volume_name.as_ref().is_some_and(|name| !name.is_empty());
        let phase = match &self.metadata.deletion_timestamp {
            Some(_) => "Terminating",
            None => status.phase.as_deref().unwrap_or_default(),
        };
        vec![
            columns::name(&self.metadata),
            Cell::from(phase),
            Cell::from(spec.volume_name.as_deref().unwrap_or_default()),
            Cell::Text(if bound { capacity(status.capacity.as_ref()) } else { String::new() }),
            Cell::Text(if bound { access_modes(status.access_modes.as_deref()) } else { String::new() }),
            Cell::from(spec.storage_class_name.as_deref().unwrap_or_default()),
            Cell::from(spec.volume_attributes_class_name.as_deref().unwrap_or("<unset>")),
            columns::created(&self.metadata, now),
            Cell::from(spec.volume_mode.as_deref().unwrap_or("<unset>")),
        ]
    }
}

/// Also of the claims that a StatefulSet makes.
pub(crate) fn defaults(claim: &mut PersistentVolumeClaim) {
    claim.spec.get_or_insert_default().volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    let status = claim.status.get_or_insert_default();
    if status.phase.as_deref().unwrap_or_default().is_empty() {
        status.phase = Some("Pending".to_owned());
    }
}

fn spec(errors: &mut Errors, path: &FieldPath, spec: &PersistentVolumeClaimSpec) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), "at least 1 access mode is required"));
    }
    for mode in modes {
        check::supported_if_set(errors, &path.child("accessModes"), Some(mode), ACCESS_MODES);
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path.child("accessModes"), detail));
    }
    if let Some(selector) = &spec.selector {
        check::label_selector(errors, &path.child("selector"), selector);
    }
    let storage_path = path.child("resources").key("storage");
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    match requests.and_then(|requests| requests.get("storage")) {
        None => errors.push(FieldError::required(storage_path, "")),
        Some(amount) => {
            let parsed = resources::amount(errors, &storage_path, "storage", amount);
            if parsed.is_some_and(|parsed| parsed.is_zero()) {
                errors.push(FieldError::invalid(storage_path, &amount.0, "must be greater than zero"));
            }
        }
    }
    for (field, name) in [
        ("storageClassName", &spec.storage_class_name),
        ("volumeAttributesClassName", &spec.volume_attributes_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            check::dns1123_subdomain(errors, &path.child(field), name);
        }
    }
    check::supported_if_set(errors, &path.child("volumeMode"), spec.volume_mode.as_deref(), &["Block", "Filesystem"]);
}
