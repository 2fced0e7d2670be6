//! PersistentVolumeClaim: a request for storage that outlives pods.

use super::persistent_volume::{access, access_modes, capacity};
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
        }
        rest.volume_attributes_class_name.clone_from(&before.volume_attributes_class_name);
        // Who asked for no class may be given one later.
        if before.storage_class_name.is_none() {
            rest.storage_class_name = None;
        }
        let mut errors = update::errors(self, old);
        if check::same(&rest, &before) {
            return errors;
        }
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims\n";
        errors.insert(0, FieldError::forbidden(FieldPath::new("spec"), detail));
        errors
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

/// What a claim, or a pod's template of one, asks for.
pub(crate) fn spec(errors: &mut Errors, path: &FieldPath, spec: &PersistentVolumeClaimSpec) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), "at least 1 access mode is required"));
    }
    access(errors, &path.child("accessModes"), modes);
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
    source(errors, path, spec);
}

/// What the new volume is to be filled with.
fn source(errors: &mut Errors, path: &FieldPath, spec: &PersistentVolumeClaimSpec) {
    let (source, reference) = (&spec.data_source, &spec.data_source_ref);
    if let Some(source) = source {
        named(errors, &path.child("dataSource"), source.api_group.as_deref(), &source.kind, &source.name);
    }
    let Some(reference) = reference else { return };
    let at = path.child("dataSourceRef");
    named(errors, &at, reference.api_group.as_deref(), &reference.kind, &reference.name);
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() {
        check::dns1123_label(errors, &at.child("namespace"), namespace);
    }
    let Some(source) = source else { return };
    let shown = path.child("dataSource").to_string();
    let is_same =
        (&source.api_group, &source.kind, &source.name) == (&reference.api_group, &reference.kind, &reference.name);
    if !namespace.is_empty() {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        errors.push(FieldError::invalid(path.clone(), &shown, detail));
    } else if !is_same {
        errors.push(FieldError::invalid(path.clone(), &shown, "must match dataSourceRef"));
    }
}

fn named(errors: &mut Errors, path: &FieldPath, group: Option<&str>, kind: &str, name: &str) {
    check::present(errors, path.child("name"), Some(name));
    check::present(errors, path.child("kind"), Some(kind));
    match group.unwrap_or_default() {
        "" if kind != "PersistentVolumeClaim" => {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(path.clone(), kind, detail));
        }
        "" => {}
        group => check::dns1123_subdomain(errors, &path.child("apiGroup"), group),
    }
}

/// What a claim that has a volume may become, and what its status may say.
mod update {
    use super::*;
    use crate::quantity::Quantity;

    const RESIZES: &[&str] = &[
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];

    pub(super) fn errors(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> Errors {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let asked = |claim: &PersistentVolumeClaim| {
            let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
            Quantity::try_from(requests.get("storage")?).ok()
        };
        let has = old.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
        if let (Some(new), Some(old)) = (asked(new), asked(old))
            && new < old
            && has.is_some_and(|has| Quantity::try_from(has).is_ok_and(|has| new <= has))
        {
            let path = path.child("resources").child("requests").child("storage");
            errors.push(FieldError::forbidden(path, "field can not be less than status.capacity"));
        }
        let class = |claim: &PersistentVolumeClaim| {
            claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.clone())
        };
        if class(old).is_some_and(|class| !class.is_empty()) && class(new).unwrap_or_default().is_empty() {
            let what = if class(new).is_none() { "nil" } else { "an empty string" };
            let detail = format!("update from non-nil value to {what} is forbidden");
            errors.push(FieldError::forbidden(path.child("volumeAttributesClassName"), detail));
        }
        if new.status != old.status {
            status(&mut errors, &FieldPath::new("status"), &new.status.clone().unwrap_or_default());
        }
        errors
    }

    /// Of Kubernetes' own resources a volume has only one.
    fn resource(errors: &mut Errors, path: &FieldPath, name: &str) {
        let before = errors.len();
        check::label_key(errors, path, name);
        if errors.len() == before && resources::is_native(name) {
            check::supported_if_set(errors, path, Some(name), &["storage"]);
        }
    }

    fn status(errors: &mut Errors, path: &FieldPath, status: &PersistentVolumeClaimStatus) {
        for (field, list) in [("capacity", &status.capacity), ("allocatedResources", &status.allocated_resources)] {
            for (name, amount) in list.iter().flatten() {
                resources::amount(errors, &path.child(field).key(name), name, amount);
            }
        }
        for name in status.allocated_resources.iter().flatten().map(|(name, _)| name) {
            resource(errors, &path.child("allocatedResources"), name);
        }
        // Upstream's path has the singular, and shows the resource.
        let path = path.child("allocatedResourceStatus");
        for (name, state) in status.allocated_resource_statuses.iter().flatten() {
            resource(errors, &path, name);
            if !RESIZES.contains(&state.as_str()) {
                errors.push(FieldError::not_supported(path.clone(), name, RESIZES));
            }
        }
    }
}
