//! Whether a pod's volumes make sense.
//!
//! What can be mounted is the node's to say; `outside_volumes` has the sources of storage outside the cluster.

use super::{environment, outside_volumes, projected};
use crate::check::{self, Errors};
use crate::core::persistent_volume_claim;
use crate::field::{FieldError, FieldPath};
use crate::storage::driver_name;
use k8s_openapi::api::core::v1::{
    CSIVolumeSource, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, NFSVolumeSource,
    PersistentVolumeClaimTemplate, Volume,
};

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// The names of the sources that a volume has; a good volume has one.
pub(super) fn sources(volume: &Volume) -> Vec<&'static str> {
    [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("projected", volume.projected.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect()
}

/// All volumes of a pod spec; `pod` is the pod's name, where there is one.
pub(super) fn validate(errors: &mut Errors, path: &FieldPath, volumes: &[Volume], pod: Option<&str>) {
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let before = errors.len();
        source(errors, &path, volume, pod);
        if volume.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else {
            check::dns1123_label(errors, &path.child("name"), &volume.name);
        }
        if errors.len() == before && volumes[..index].iter().any(|other| other.name == volume.name) {
            errors.push(FieldError::duplicate(path.child("name"), &volume.name));
        }
    }
}

fn source(errors: &mut Errors, path: &FieldPath, volume: &Volume, pod: Option<&str>) {
    let sources = sources(volume);
    match sources.as_slice() {
        [] => errors.push(FieldError::required(path.clone(), "must specify a volume type")),
        [_, others @ ..] => errors.extend(
            others
                .iter()
                .map(|name| FieldError::forbidden(path.child(name), "may not specify more than 1 volume type")),
        ),
    }
    empty_dir(errors, path, volume);
    if let Some(source) = &volume.host_path {
        host_path(errors, &path.child("hostPath"), source);
    }
    if let Some(source) = &volume.secret {
        let path = path.child("secret");
        check::present(errors, path.child("secretName"), source.secret_name.as_deref());
        mode(errors, &path.child("defaultMode"), source.default_mode);
        keys(errors, &path.child("items"), source.items.as_deref().unwrap_or_default());
    }
    if let Some(source) = &volume.config_map {
        let path = path.child("configMap");
        check::present(errors, path.child("name"), Some(&source.name));
        mode(errors, &path.child("defaultMode"), source.default_mode);
        keys(errors, &path.child("items"), source.items.as_deref().unwrap_or_default());
    }
    if let Some(source) = &volume.downward_api {
        let path = path.child("downwardAPI");
        mode(errors, &path.child("defaultMode"), source.default_mode);
        source.items.iter().flatten().for_each(|file| downward_file(errors, &path, file));
    }
    if let Some(source) = &volume.persistent_volume_claim {
        check::present(errors, path.child("persistentVolumeClaim").child("claimName"), Some(&source.claim_name));
    }
    if let Some(source) = &volume.projected {
        projected::validate(errors, &path.child("projected"), source);
    }
    if let Some(source) = &volume.csi {
        csi(errors, &path.child("csi"), source);
    }
    if let Some(source) = &volume.nfs {
        nfs(errors, &path.child("nfs"), source);
    }
    outside_volumes::of_pod(errors, path, volume);
    if let Some(source) = &volume.image {
        let path = path.child("image");
        if pod.is_some() {
            check::present(errors, path.child("reference"), source.reference.as_deref());
        }
        let policies = &["Always", "IfNotPresent", "Never"];
        check::supported(errors, &path.child("pullPolicy"), source.pull_policy.as_deref(), policies);
    }
    if let Some(source) = &volume.ephemeral {
        let path = path.child("ephemeral").child("volumeClaimTemplate");
        match &source.volume_claim_template {
            None => errors.push(FieldError::required(path, "")),
            Some(template) => claim_template(errors, &path, template),
        }
    }
    if let (Some(_), Some(pod), false) = (&volume.ephemeral, pod, volume.name.is_empty()) {
        let claim = format!("{pod}-{}", volume.name);
        let complaints = crate::labels::dns1123_subdomain(&claim, false);
        let complaints = complaints.into_iter().map(|text| format!("PVC name {claim:?}: {text}"));
        check::each(errors, &path.child("name"), &volume.name, complaints);
    }
}

/// A driver's volume that lives as long as the pod.
fn csi(errors: &mut Errors, path: &FieldPath, source: &CSIVolumeSource) {
    driver_name(errors, &path.child("driver"), &source.driver);
    match source.node_publish_secret_ref.as_ref().map(|secret| secret.name.as_str()) {
        None => {}
        Some("") => errors.push(FieldError::required(path.child("nodePublishSecretRef").child("name"), "")),
        // Upstream leaves the reference out of this path.
        Some(name) => check::dns1123_subdomain(errors, &path.child("name"), name),
    }
}

fn claim_template(errors: &mut Errors, path: &FieldPath, template: &PersistentVolumeClaimTemplate) {
    if let Some(meta) = &template.metadata {
        let path = path.child("metadata");
        check::annotations(errors, &path.child("annotations"), meta.annotations.as_ref());
        check::label_map(errors, &path.child("labels"), meta.labels.as_ref());
    }
    persistent_volume_claim::spec(errors, &path.child("spec"), &template.spec);
}

fn empty_dir(errors: &mut Errors, path: &FieldPath, volume: &Volume) {
    let limit = volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref());
    if limit.is_some_and(|limit| crate::quantity::Quantity::try_from(limit).is_ok_and(|limit| limit.is_negative())) {
        let detail = "SizeLimit field must be a valid resource quantity";
        errors.push(FieldError::forbidden(path.child("emptyDir").child("sizeLimit"), detail));
    }
}

pub(crate) fn nfs(errors: &mut Errors, path: &FieldPath, source: &NFSVolumeSource) {
    check::present(errors, path.child("server"), Some(&source.server));
    check::present(errors, path.child("path"), Some(&source.path));
    if !source.path.starts_with('/') {
        errors.push(FieldError::invalid(path.child("path"), &source.path, "must be an absolute path"));
    }
}

pub(crate) fn host_path(errors: &mut Errors, path: &FieldPath, source: &HostPathVolumeSource) {
    if source.path.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
        return;
    }
    no_backsteps(errors, &path.child("path"), &source.path);
    check::supported_if_set(errors, &path.child("type"), source.type_.as_deref(), HOST_PATH_TYPES);
}

pub(super) fn mode(errors: &mut Errors, path: &FieldPath, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(FieldError::invalid(path.clone(), &mode, MODE));
    }
}

pub(super) fn keys(errors: &mut Errors, path: &FieldPath, items: &[KeyToPath]) {
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        check::present(errors, path.child("key"), Some(&item.key));
        check::present(errors, path.child("path"), Some(&item.path));
        unreserved_path(errors, &path.child("path"), &item.path);
        mode(errors, &path.child("mode"), item.mode);
    }
}

pub(super) fn downward_file(errors: &mut Errors, path: &FieldPath, file: &DownwardAPIVolumeFile) {
    check::present(errors, path.child("path"), Some(&file.path));
    unreserved_path(errors, &path.child("path"), &file.path);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            environment::field_ref(errors, &path.child("fieldRef"), field, environment::FIELDS_OF_FILES);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path.clone(), "resource", detail));
            }
        }
        (None, Some(resource)) => {
            environment::resource_ref(errors, &path.child("resourceFieldRef"), resource, true);
        }
        (None, None) => {
            errors.push(FieldError::required(path.clone(), "one of fieldRef and resourceFieldRef is required"));
        }
    }
    mode(errors, &path.child("mode"), file.mode);
}

pub(crate) fn no_backsteps(errors: &mut Errors, path: &FieldPath, target: &str) {
    if target.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path.clone(), target, "must not contain '..'"));
    }
}

/// A path that stays below where it starts.
pub(super) fn local_path(errors: &mut Errors, path: &FieldPath, target: &str) {
    if target.starts_with('/') {
        errors.push(FieldError::invalid(path.clone(), target, "must be a relative path"));
    }
    no_backsteps(errors, path, target);
}

/// Files whose names begin with `..` are the node's, for swapping a volume's content at once.
pub(super) fn unreserved_path(errors: &mut Errors, path: &FieldPath, target: &str) {
    local_path(errors, path, target);
    if target.starts_with("..") && !target.starts_with("../") && target != ".." {
        errors.push(FieldError::invalid(path.clone(), target, "must not start with '..'"));
    }
}
