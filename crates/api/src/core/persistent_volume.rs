//! PersistentVolume: storage that outlives pods.

use super::pod::scheduling::node_selector;
use super::resources::{self, Holder, ResourceList};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};
use k8s_openapi::jiff::Timestamp;

pub(super) const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

impl Kind for PersistentVolume {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pv"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Capacity").about("How much it holds."),
            Column::text("Access Modes").about("How it may be mounted."),
            Column::text("Reclaim Policy").about("What becomes of it when nobody claims it any more."),
            Column::text("Status").about("Whether somebody claims it."),
            Column::text("Claim").about("Who claims it."),
            Column::text("StorageClass").about("The sort of storage."),
            Column::text("VolumeAttributesClass").about("Its qualities."),
            Column::text("Reason").about("Why it is in its state."),
            Column::AGE,
            Column::wide("VolumeMode").about("A file system, or a bare disk."),
        ],
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

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        if spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default().is_empty() {
            spec.persistent_volume_reclaim_policy = Some("Retain".to_owned());
        }
        if let Some(host_path) = &mut spec.host_path {
            host_path.type_.get_or_insert_default();
        }
        let status = self.status.get_or_insert_default();
        if status.phase.as_deref().unwrap_or_default().is_empty() {
            status.phase = Some("Pending".to_owned());
        }
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &PersistentVolume) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &PersistentVolume) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&mut errors, &FieldPath::new("spec"), &self.spec.clone().unwrap_or_default());
        errors
    }

    fn validate_update(&self, old: &PersistentVolume) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let mode = |volume: &PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.volume_mode.clone());
        check::immutable(&mut errors, FieldPath::new("spec").child("volumeMode"), &mode(self), &mode(old));
        if !check::same(&source(self), &source(old)) {
            let detail = "spec.persistentvolumesource is immutable after creation\n";
            errors.push(FieldError::forbidden(FieldPath::new("spec").child("persistentvolumesource"), detail));
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let (no_spec, no_status) = (PersistentVolumeSpec::default(), PersistentVolumeStatus::default());
        let spec = self.spec.as_ref().unwrap_or(&no_spec);
        let status = self.status.as_ref().unwrap_or(&no_status);
        let phase = match &self.metadata.deletion_timestamp {
            Some(_) => "Terminating",
            None => status.phase.as_deref().unwrap_or_default(),
        };
        let claim = spec.claim_ref.as_ref().map(|claim| {
            let (namespace, name) = (claim.namespace.as_deref(), claim.name.as_deref());
            format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
        });
        vec![
            columns::name(&self.metadata),
            Cell::Text(capacity(spec.capacity.as_ref())),
            Cell::Text(access_modes(spec.access_modes.as_deref())),
            Cell::from(spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default()),
            Cell::from(phase),
            Cell::Text(claim.unwrap_or_default()),
            Cell::from(spec.storage_class_name.as_deref().unwrap_or_default()),
            Cell::from(spec.volume_attributes_class_name.as_deref().unwrap_or("<unset>")),
            Cell::from(status.reason.as_deref().unwrap_or_default()),
            columns::created(&self.metadata, now),
            Cell::from(spec.volume_mode.as_deref().unwrap_or("<unset>")),
        ]
    }
}

/// The spec without what may change: where the storage is.
fn source(volume: &PersistentVolume) -> PersistentVolumeSpec {
    PersistentVolumeSpec {
        access_modes: None,
        capacity: None,
        claim_ref: None,
        mount_options: None,
        node_affinity: None,
        persistent_volume_reclaim_policy: None,
        storage_class_name: None,
        volume_attributes_class_name: None,
        volume_mode: None,
        ..volume.spec.clone().unwrap_or_default()
    }
}

pub(super) fn capacity(list: Option<&ResourceList>) -> String {
    list.and_then(|list| list.get("storage")).map(|amount| amount.0.clone()).unwrap_or_default()
}

/// `RWO,ROX`.
pub(super) fn access_modes(modes: Option<&[String]>) -> String {
    let modes = modes.unwrap_or_default();
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let own: Vec<&str> =
        short.iter().filter(|(mode, _)| modes.iter().any(|own| own == mode)).map(|(_, short)| *short).collect();
    own.join(",")
}

fn spec(errors: &mut Errors, path: &FieldPath, spec: &PersistentVolumeSpec) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    for mode in modes {
        check::supported_if_set(errors, &path.child("accessModes"), Some(mode), ACCESS_MODES);
    }
    let capacity = spec.capacity.as_ref();
    if capacity.is_none_or(|capacity| capacity.is_empty()) {
        errors.push(FieldError::required(path.child("capacity"), ""));
    }
    if capacity.is_some_and(|capacity| capacity.len() > 1 || !capacity.contains_key("storage")) {
        check::supported_if_set(errors, &path.child("capacity"), Some("capacity"), &["storage"]);
    }
    resources::list(errors, &path.child("capacity"), capacity, Holder::Any);
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    let policies = &["Delete", "Recycle", "Retain"];
    check::supported_if_set(errors, &path.child("persistentVolumeReclaimPolicy"), policy, policies);
    check::supported_if_set(errors, &path.child("volumeMode"), spec.volume_mode.as_deref(), &["Block", "Filesystem"]);
    if let Some(required) = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref()) {
        node_selector(errors, &path.child("nodeAffinity").child("required"), required);
    }
}
