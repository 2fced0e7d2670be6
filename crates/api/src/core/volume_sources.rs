//! Where the storage of a PersistentVolume is: that it is in one place, and that the place is named whole.

use super::pod::{outside_volumes, volumes};
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::storage::driver_name;
use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolumeSpec, SecretReference};

fn sources(spec: &PersistentVolumeSpec) -> Vec<&'static str> {
    [
        ("hostPath", spec.host_path.is_some()),
        ("gcePersistentDisk", spec.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", spec.aws_elastic_block_store.is_some()),
        ("glusterfs", spec.glusterfs.is_some()),
        ("flocker", spec.flocker.is_some()),
        ("nfs", spec.nfs.is_some()),
        ("rbd", spec.rbd.is_some()),
        ("quobyte", spec.quobyte.is_some()),
        ("cephFS", spec.cephfs.is_some()),
        ("iscsi", spec.iscsi.is_some()),
        ("cinder", spec.cinder.is_some()),
        ("fc", spec.fc.is_some()),
        ("flexVolume", spec.flex_volume.is_some()),
        ("azureFile", spec.azure_file.is_some()),
        ("vsphereVolume", spec.vsphere_volume.is_some()),
        ("photonPersistentDisk", spec.photon_persistent_disk.is_some()),
        ("portworxVolume", spec.portworx_volume.is_some()),
        ("azureDisk", spec.azure_disk.is_some()),
        ("scaleIO", spec.scale_io.is_some()),
        ("local", spec.local.is_some()),
        ("storageos", spec.storageos.is_some()),
        ("csi", spec.csi.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect()
}

/// One source, and that one good.
pub(super) fn validate(errors: &mut Errors, path: &FieldPath, name: &str, spec: &PersistentVolumeSpec) {
    match sources(spec).as_slice() {
        [] => errors.push(FieldError::required(path.clone(), "must specify a volume type")),
        [_, others @ ..] => errors.extend(
            others
                .iter()
                .map(|name| FieldError::forbidden(path.child(name), "may not specify more than 1 volume type")),
        ),
    }
    if let Some(source) = &spec.host_path {
        volumes::host_path(errors, &path.child("hostPath"), source);
        if source.path.trim_matches('/').is_empty()
            && spec.persistent_volume_reclaim_policy.as_deref() == Some("Recycle")
        {
            let detail = "may not be 'recycle' for a hostPath mount of '/'";
            errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
        }
    }
    if let Some(source) = &spec.nfs {
        volumes::nfs(errors, &path.child("nfs"), source);
    }
    outside_volumes::of_volume(errors, path, name, spec);
    if let Some(source) = &spec.csi {
        csi(errors, &path.child("csi"), source);
    }
    if let Some(source) = &spec.local {
        local(errors, path, &source.path, spec);
    }
}

fn local(errors: &mut Errors, path: &FieldPath, target: &str, spec: &PersistentVolumeSpec) {
    let at = path.child("local").child("path");
    if target.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        volumes::no_backsteps(errors, &at, target);
    }
    if spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref()).is_none() {
        errors.push(FieldError::required(path.child("nodeAffinity"), "Local volume requires node affinity"));
    }
}

fn csi(errors: &mut Errors, path: &FieldPath, source: &CSIPersistentVolumeSource) {
    driver_name(errors, &path.child("driver"), &source.driver);
    check::present(errors, path.child("volumeHandle"), Some(&source.volume_handle));
    for (field, secret) in [
        ("controllerPublishSecretRef", &source.controller_publish_secret_ref),
        ("controllerExpandSecretRef", &source.controller_expand_secret_ref),
        ("nodePublishSecretRef", &source.node_publish_secret_ref),
        ("nodeExpandSecretRef", &source.node_expand_secret_ref),
    ] {
        if let Some(secret) = secret {
            self::secret(errors, &path.child(field), secret);
        }
    }
}

fn secret(errors: &mut Errors, path: &FieldPath, secret: &SecretReference) {
    type Rule = fn(&mut Errors, &FieldPath, &str);
    let rules: [(&str, &Option<String>, Rule); 2] =
        [("name", &secret.name, check::dns1123_subdomain), ("namespace", &secret.namespace, check::dns1123_label)];
    for (field, value, rule) in rules {
        match value.as_deref().unwrap_or_default() {
            "" => errors.push(FieldError::required(path.child(field), "")),
            value => rule(errors, &path.child(field), value),
        }
    }
}
