//! PersistentVolume: storage that outlives pods.

use super::pod::scheduling::node_selector;
use super::resources::{self, Holder, ResourceList};
use super::volume_sources;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::quantity::Quantity;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus, VolumeNodeAffinity};
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
        super::pod::defaults::persistent_volume(spec);
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
        let (path, spec) = (FieldPath::new("spec"), self.spec.clone().unwrap_or_default());
        self::spec(&mut errors, &path, self.metadata.name.as_deref().unwrap_or_default(), &spec);
        own(&mut errors, &path, &spec);
        errors
    }

    fn validate_update(&self, old: &PersistentVolume) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let mode = |volume: &PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.volume_mode.clone());
        check::immutable(&mut errors, FieldPath::new("spec").child("volumeMode"), &mode(self), &mode(old));
        let csi = |volume: &PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.csi.clone());
        let with_secret = csi(old).is_some_and(|csi| csi.controller_expand_secret_ref.is_some());
        if !check::same(&source(self, with_secret), &source(old, with_secret)) {
            let detail = "spec.persistentvolumesource is immutable after creation\n";
            errors.push(FieldError::forbidden(FieldPath::new("spec").child("persistentvolumesource"), detail));
        }
        let affinity = |volume: &PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.node_affinity.clone());
        if let Some(before) = affinity(old) {
            let new = affinity(self);
            let before = Some(renamed(before, new.as_ref()));
            check::immutable(&mut errors, FieldPath::new("nodeAffinity"), &new, &before);
        }
        let class =
            |volume: &PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.clone());
        if class(old).is_some() && class(self).is_none() {
            let path = FieldPath::new("spec").child("volumeAttributesClassName");
            errors.push(FieldError::forbidden(path, "update from non-nil value to nil is forbidden"));
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

/// The spec without what may change: where the storage is. The secret for its growth may be named later.
fn source(volume: &PersistentVolume, with_secret: bool) -> PersistentVolumeSpec {
    let mut spec = volume.spec.clone().unwrap_or_default();
    if let Some(csi) = spec.csi.as_mut().filter(|_| !with_secret) {
        csi.controller_expand_secret_ref = None;
    }
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
        ..spec
    }
}

/// Old names of labels, which may become the present ones where they stand in an affinity that is otherwise fixed.
const RENAMED: [(&str, &str); 3] = [
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
];

/// The affinity as it was, but with the present names of labels where the new one has them in the same place.
fn renamed(mut old: VolumeNodeAffinity, new: Option<&VolumeNodeAffinity>) -> VolumeNodeAffinity {
    let terms = |affinity: Option<&VolumeNodeAffinity>| {
        affinity.and_then(|affinity| affinity.required.clone()).unwrap_or_default().node_selector_terms
    };
    let new = terms(new);
    let old_terms = old.required.iter_mut().flat_map(|selector| &mut selector.node_selector_terms);
    for (old, new) in old_terms.zip(&new) {
        let expressions = old.match_expressions.iter_mut().flatten();
        for (old, new) in expressions.zip(new.match_expressions.iter().flatten()) {
            if RENAMED.contains(&(old.key.as_str(), new.key.as_str())) {
                old.key.clone_from(&new.key);
            }
        }
    }
    old
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

/// Modes that there are, and one that wants to be alone.
pub(super) fn access(errors: &mut Errors, path: &FieldPath, modes: &[String]) {
    for mode in modes {
        check::supported_if_set(errors, path, Some(mode), ACCESS_MODES);
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path.clone(), detail));
    }
}

/// What holds for a volume wherever its spec stands.
fn spec(errors: &mut Errors, path: &FieldPath, name: &str, spec: &PersistentVolumeSpec) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    access(errors, &path.child("accessModes"), modes);
    volume_sources::validate(errors, path, name, spec);
    if let Some(name) = &spec.volume_attributes_class_name {
        let at = path.child("volumeAttributesClassName");
        if name.is_empty() {
            errors.push(FieldError::required(at, "an empty string is disallowed"));
        } else {
            check::dns1123_subdomain(errors, &at, name);
        }
        if spec.csi.is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.push(FieldError::required(path.child("csi"), detail));
        }
    }
}

/// What a volume says of itself alone.
fn own(errors: &mut Errors, path: &FieldPath, spec: &PersistentVolumeSpec) {
    let capacity = spec.capacity.as_ref();
    if capacity.is_none_or(|capacity| capacity.is_empty()) {
        errors.push(FieldError::required(path.child("capacity"), ""));
    }
    if capacity.is_some_and(|capacity| capacity.len() > 1 || !capacity.contains_key("storage")) {
        check::supported_if_set(errors, &path.child("capacity"), Some("capacity"), &["storage"]);
    }
    resources::list(errors, &path.child("capacity"), capacity, Holder::Any);
    for (name, amount) in capacity.into_iter().flatten() {
        if Quantity::try_from(amount).is_ok_and(|amount| amount.is_zero() || amount.is_negative()) {
            let path = path.child("capacity").key(name);
            errors.push(FieldError::invalid(path, &amount.0, "must be greater than zero"));
        }
    }
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    let policies = &["Delete", "Recycle", "Retain"];
    check::supported_if_set(errors, &path.child("persistentVolumeReclaimPolicy"), policy, policies);
    check::supported_if_set(errors, &path.child("volumeMode"), spec.volume_mode.as_deref(), &["Block", "Filesystem"]);
    if let Some(affinity) = &spec.node_affinity {
        let path = path.child("nodeAffinity").child("required");
        match &affinity.required {
            None => errors.push(FieldError::required(path, "must specify required node constraints")),
            Some(required) => node_selector(errors, &path, required),
        }
    }
    if let Some(name) = spec.storage_class_name.as_deref().filter(|name| !name.is_empty()) {
        check::dns1123_subdomain(errors, &path.child("storageClassName"), name);
    }
}

/// A volume that stands in another object: it is a driver's, and has nothing that only a volume of its own can have.
pub(crate) fn inline(errors: &mut Errors, path: &FieldPath, spec: &PersistentVolumeSpec) {
    const INLINE: &str = "in the context of inline volumes";
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    let policy = spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default();
    let mode = spec.volume_mode.as_deref();
    for (field, is_set, what) in [
        ("claimRef", spec.claim_ref.is_some(), "may not be specified"),
        ("capacity", spec.capacity.as_ref().is_some_and(|capacity| !capacity.is_empty()), "may not be specified"),
        ("nodeAffinity", spec.node_affinity.is_some(), "may not be specified"),
        ("storageClassName", !class.is_empty(), "may not be specified"),
        ("persistentVolumeReclaimPolicy", !matches!(policy, "" | "Retain"), "may only be Retain"),
        (
            "volumeMode",
            mode.is_some_and(|mode| mode != "Filesystem"),
            "may not specify volumeMode other than Filesystem",
        ),
    ] {
        if is_set {
            errors.push(FieldError::forbidden(path.child(field), format!("{what} {INLINE}")));
        }
    }
    if spec.csi.is_none() {
        errors.push(FieldError::required(path.child("csi"), &format!("has to be specified {INLINE}")));
    }
    self::spec(errors, path, "", spec);
}
