//! Whether a pod's volumes make sense.
//!
//! Sources that belong to outside storage (disks of clouds, network file systems) are checked no further than that a
//! volume has one source only: what can be mounted is the node's to say.

use super::environment;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, ProjectedVolumeSource, ServiceAccountTokenProjection,
    Volume, VolumeProjection,
};

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

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
        projected(errors, &path.child("projected"), source);
    }
    if let Some(source) = &volume.csi {
        check::present(errors, path.child("csi").child("driver"), Some(&source.driver));
    }
    if let Some(source) = &volume.nfs {
        let path = path.child("nfs");
        check::present(errors, path.child("server"), Some(&source.server));
        check::present(errors, path.child("path"), Some(&source.path));
        if !source.path.starts_with('/') {
            errors.push(FieldError::invalid(path.child("path"), &source.path, "must be an absolute path"));
        }
    }
    if let Some(source) = &volume.image {
        let path = path.child("image");
        if pod.is_some() {
            check::present(errors, path.child("reference"), source.reference.as_deref());
        }
        let policies = &["Always", "IfNotPresent", "Never"];
        check::supported(errors, &path.child("pullPolicy"), source.pull_policy.as_deref(), policies);
    }
    if volume.ephemeral.as_ref().is_some_and(|source| source.volume_claim_template.is_none()) {
        errors.push(FieldError::required(path.child("ephemeral").child("volumeClaimTemplate"), ""));
    }
    if let (Some(_), Some(pod), false) = (&volume.ephemeral, pod, volume.name.is_empty()) {
        let claim = format!("{pod}-{}", volume.name);
        let complaints = crate::labels::dns1123_subdomain(&claim, false);
        let complaints = complaints.into_iter().map(|text| format!("PVC name {claim:?}: {text}"));
        check::each(errors, &path.child("name"), &volume.name, complaints);
    }
}

fn empty_dir(errors: &mut Errors, path: &FieldPath, volume: &Volume) {
    let limit = volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref());
    if limit.is_some_and(|limit| crate::quantity::Quantity::try_from(limit).is_ok_and(|limit| limit.is_negative())) {
        let detail = "SizeLimit field must be a valid resource quantity";
        errors.push(FieldError::forbidden(path.child("emptyDir").child("sizeLimit"), detail));
    }
}

fn host_path(errors: &mut Errors, path: &FieldPath, source: &HostPathVolumeSource) {
    if source.path.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
        return;
    }
    no_backsteps(errors, &path.child("path"), &source.path);
    check::supported_if_set(errors, &path.child("type"), source.type_.as_deref(), HOST_PATH_TYPES);
}

fn mode(errors: &mut Errors, path: &FieldPath, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(FieldError::invalid(path.clone(), &mode, MODE));
    }
}

fn keys(errors: &mut Errors, path: &FieldPath, items: &[KeyToPath]) {
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        check::present(errors, path.child("key"), Some(&item.key));
        check::present(errors, path.child("path"), Some(&item.path));
        unreserved_path(errors, &path.child("path"), &item.path);
        mode(errors, &path.child("mode"), item.mode);
    }
}

fn downward_file(errors: &mut Errors, path: &FieldPath, file: &DownwardAPIVolumeFile) {
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

fn projected(errors: &mut Errors, path: &FieldPath, volume: &ProjectedVolumeSource) {
    mode(errors, &path.child("defaultMode"), volume.default_mode);
    let mut taken: Vec<&str> = Vec::new();
    for (index, source) in volume.sources.iter().flatten().enumerate() {
        let at = path.child("sources").index(index);
        projection(errors, path, &at, source);
        for (file, shown) in files(source) {
            if file.is_empty() {
                continue;
            }
            if taken.contains(&file) {
                errors.push(FieldError::invalid(path.clone(), shown, "conflicting duplicate paths"));
            } else {
                taken.push(file);
            }
        }
    }
}

fn projection(errors: &mut Errors, volume: &FieldPath, at: &FieldPath, source: &VolumeProjection) {
    let mut sources = 0;
    if let Some(secret) = &source.secret {
        sources += 1;
        check::present(errors, at.child("secret").child("name"), Some(&secret.name));
        keys(errors, &at.child("secret").child("items"), secret.items.as_deref().unwrap_or_default());
    }
    if let Some(config_map) = &source.config_map {
        sources += 1;
        check::present(errors, at.child("configMap").child("name"), Some(&config_map.name));
        keys(errors, &at.child("configMap").child("items"), config_map.items.as_deref().unwrap_or_default());
    }
    if let Some(downward) = &source.downward_api {
        sources += 1;
        let path = at.child("downwardAPI");
        downward.items.iter().flatten().for_each(|file| downward_file(errors, &path, file));
    }
    if let Some(token) = &source.service_account_token {
        sources += 1;
        projected_token(errors, volume, &at.child("serviceAccountToken"), token);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        sources += 1;
        let path = at.child("clusterTrustBundle");
        match (&bundle.name, &bundle.signer_name) {
            (Some(_), Some(_)) => {
                errors.push(FieldError::invalid(path.clone(), bundle, "only one of name and signerName may be used"));
            }
            (None, None) => {
                errors.push(FieldError::required(path.clone(), "either name or signerName must be specified"));
            }
            _ => {}
        }
        check::present(errors, path.child("path"), Some(&bundle.path));
        unreserved_path(errors, &path.child("path"), &bundle.path);
    }
    if source.pod_certificate.is_some() {
        sources += 1;
    }
    if sources > 1 {
        errors.push(FieldError::forbidden(at.clone(), "may not specify more than 1 volume type per source"));
    }
}

fn projected_token(errors: &mut Errors, volume: &FieldPath, path: &FieldPath, token: &ServiceAccountTokenProjection) {
    let seconds = token.expiration_seconds.unwrap_or_default();
    if seconds < TOKEN_SECONDS_MIN {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds, detail));
    }
    if seconds > TOKEN_SECONDS_MAX {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds, detail));
    }
    if token.path.is_empty() {
        errors.push(FieldError::required(volume.child("path"), ""));
    } else {
        unreserved_path(errors, &volume.child("path"), &token.path);
    }
}

/// The files that a projection makes, each with what upstream shows when another makes the same.
fn files(source: &VolumeProjection) -> Vec<(&str, &str)> {
    let mut files = Vec::new();
    if let Some(secret) = &source.secret {
        files.extend(secret.items.iter().flatten().map(|item| (item.path.as_str(), secret.name.as_str())));
    }
    if let Some(config_map) = &source.config_map {
        files.extend(config_map.items.iter().flatten().map(|item| (item.path.as_str(), config_map.name.as_str())));
    }
    if let Some(downward) = &source.downward_api {
        files.extend(downward.items.iter().flatten().map(|file| (file.path.as_str(), file.path.as_str())));
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        files.push((&bundle.path, &bundle.path));
    }
    files
}

fn no_backsteps(errors: &mut Errors, path: &FieldPath, target: &str) {
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
fn unreserved_path(errors: &mut Errors, path: &FieldPath, target: &str) {
    local_path(errors, path, target);
    if target.starts_with("..") && !target.starts_with("../") && target != ".." {
        errors.push(FieldError::invalid(path.clone(), target, "must not start with '..'"));
    }
}
