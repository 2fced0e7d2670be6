//! Volumes of storage outside the cluster: disks of clouds and network file systems.
//!
//! Upstream has given up their drivers or handed them to others, but their fields are still checked. A pod and a
//! PersistentVolume name most of them in the same way; where they differ, the difference is here as well.

use super::volumes::local_path;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{
    AWSElasticBlockStoreVolumeSource, AzureDiskVolumeSource, FCVolumeSource, FlockerVolumeSource,
    GCEPersistentDiskVolumeSource, ISCSIPersistentVolumeSource, ISCSIVolumeSource, PersistentVolumeSpec,
    PhotonPersistentDiskVolumeSource, PortworxVolumeSource, QuobyteVolumeSource, SecretReference, Volume,
    VsphereVirtualDiskVolumeSource,
};
use std::collections::BTreeMap;

/// Partitions of a disk, and units behind one address.
const NUMBER_MAX: i64 = 255;
const TENANT_BYTES_MAX: usize = 64;
/// A session has the volume's name and its portal in its own name.
const SESSION_BYTES_MAX: usize = 64;
const SESSION: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                       iscsi.initiatorName is specified.";
const HOST_AND_PORT: &str = "must be a host:port pair or multiple pairs separated by commas";

/// The sources that are of one type in a pod and in a PersistentVolume.
struct Same<'a> {
    aws: Option<&'a AWSElasticBlockStoreVolumeSource>,
    azure_disk: Option<&'a AzureDiskVolumeSource>,
    fc: Option<&'a FCVolumeSource>,
    flocker: Option<&'a FlockerVolumeSource>,
    gce: Option<&'a GCEPersistentDiskVolumeSource>,
    photon: Option<&'a PhotonPersistentDiskVolumeSource>,
    portworx: Option<&'a PortworxVolumeSource>,
    quobyte: Option<&'a QuobyteVolumeSource>,
    vsphere: Option<&'a VsphereVirtualDiskVolumeSource>,
}

/// The sources that have the same fields in a pod and in a PersistentVolume, though some in types of their own.
macro_rules! same {
    ($errors:expr, $path:expr, $volume:expr) => {{
        let shared = Same {
            aws: $volume.aws_elastic_block_store.as_ref(),
            azure_disk: $volume.azure_disk.as_ref(),
            fc: $volume.fc.as_ref(),
            flocker: $volume.flocker.as_ref(),
            gce: $volume.gce_persistent_disk.as_ref(),
            photon: $volume.photon_persistent_disk.as_ref(),
            portworx: $volume.portworx_volume.as_ref(),
            quobyte: $volume.quobyte.as_ref(),
            vsphere: $volume.vsphere_volume.as_ref(),
        };
        same($errors, $path, &shared);
        if let Some(source) = &$volume.rbd {
            monitors($errors, &$path.child("rbd"), &source.monitors);
            present($errors, &$path.child("rbd"), &[("image", &source.image)]);
        }
        if let Some(source) = &$volume.cephfs {
            monitors($errors, &$path.child("cephfs"), &source.monitors);
        }
        if let Some(source) = &$volume.flex_volume {
            flex($errors, &$path.child("flexVolume"), &source.driver, source.options.as_ref());
        }
        if let Some(source) = &$volume.scale_io {
            let volume = source.volume_name.as_deref();
            scale_io($errors, &$path.child("scaleIO"), &source.gateway, &source.system, volume);
        }
    }};
}

/// The volume of a pod.
pub(super) fn of_pod(errors: &mut Errors, path: &FieldPath, volume: &Volume) {
    same!(errors, path, volume);
    if let Some(source) = &volume.git_repo {
        let path = path.child("gitRepo");
        present(errors, &path, &[("repository", &source.repository)]);
        local_path(errors, &path.child("directory"), source.directory.as_deref().unwrap_or_default());
    }
    if let Some(source) = &volume.iscsi {
        pods_iscsi(errors, path, &volume.name, source);
    }
    if let Some(source) = &volume.glusterfs {
        present(errors, &path.child("glusterfs"), &[("endpoints", &source.endpoints), ("path", &source.path)]);
    }
    if let Some(source) = &volume.cinder {
        let secret = source.secret_ref.as_ref().map(|secret| Secret::of_same_namespace(&secret.name));
        present(errors, &path.child("cinder"), &[("volumeID", &source.volume_id)]);
        named(errors, &path.child("cinder"), secret);
    }
    if let Some(source) = &volume.azure_file {
        azure_file(errors, &path.child("azureFile"), &source.secret_name, &source.share_name, None);
    }
    if let Some(source) = &volume.storageos {
        let secret = source.secret_ref.as_ref().map(|secret| Secret::of_same_namespace(&secret.name));
        let (name, namespace) = (source.volume_name.as_deref(), source.volume_namespace.as_deref());
        storage_os(errors, &path.child("storageos"), name, namespace, secret);
    }
}

/// The storage of a PersistentVolume of that name.
pub(crate) fn of_volume(errors: &mut Errors, path: &FieldPath, name: &str, spec: &PersistentVolumeSpec) {
    same!(errors, path, spec);
    if let Some(source) = &spec.iscsi {
        volumes_iscsi(errors, &path.child("iscsi"), name, source);
    }
    if let Some(source) = &spec.glusterfs {
        let path = path.child("glusterfs");
        present(errors, &path, &[("endpoints", &source.endpoints), ("path", &source.path)]);
        match source.endpoints_namespace.as_deref() {
            None => {}
            Some("") => {
                let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                errors.push(FieldError::invalid(path.child("endpointsNamespace"), "", detail));
            }
            Some(namespace) => check::dns1123_label(errors, &path.child("endpointsNamespace"), namespace),
        }
    }
    if let Some(source) = &spec.cinder {
        present(errors, &path.child("cinder"), &[("volumeID", &source.volume_id)]);
        named(errors, &path.child("cinder"), source.secret_ref.as_ref().map(Secret::of));
    }
    if let Some(source) = &spec.azure_file {
        let namespace = source.secret_namespace.as_deref();
        azure_file(errors, &path.child("azureFile"), &source.secret_name, &source.share_name, namespace);
    }
    if let Some(source) = &spec.storageos {
        let secret = source.secret_ref.as_ref().map(|secret| Secret {
            name: secret.name.as_deref().unwrap_or_default(),
            namespace: Some(secret.namespace.as_deref().unwrap_or_default()),
        });
        let (name, namespace) = (source.volume_name.as_deref(), source.volume_namespace.as_deref());
        storage_os(errors, &path.child("storageos"), name, namespace, secret);
    }
}

/// A secret that a source names; a pod's is in its own namespace.
struct Secret<'a> {
    name: &'a str,
    namespace: Option<&'a str>,
}

impl<'a> Secret<'a> {
    fn of_same_namespace(name: &'a str) -> Secret<'a> {
        Secret { name, namespace: None }
    }

    fn of(reference: &'a SecretReference) -> Secret<'a> {
        Secret {
            name: reference.name.as_deref().unwrap_or_default(),
            namespace: Some(reference.namespace.as_deref().unwrap_or_default()),
        }
    }
}

fn present(errors: &mut Errors, path: &FieldPath, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        check::present(errors, path.child(field), Some(value));
    }
}

fn named(errors: &mut Errors, path: &FieldPath, secret: Option<Secret<'_>>) {
    let Some(secret) = secret else { return };
    let path = path.child("secretRef");
    present(errors, &path, &[("name", secret.name)]);
    if let Some(namespace) = secret.namespace {
        present(errors, &path, &[("namespace", namespace)]);
    }
}

fn monitors(errors: &mut Errors, path: &FieldPath, monitors: &[String]) {
    if monitors.is_empty() {
        errors.push(FieldError::required(path.child("monitors"), ""));
    }
}

fn same(errors: &mut Errors, path: &FieldPath, sources: &Same<'_>) {
    if let Some(source) = sources.gce {
        // Upstream's path is not the field's name.
        disk(errors, &path.child("persistentDisk"), ("pdName", &source.pd_name), source.partition);
    }
    if let Some(source) = sources.aws {
        disk(errors, &path.child("awsElasticBlockStore"), ("volumeID", &source.volume_id), source.partition);
    }
    if let Some(source) = sources.flocker {
        flocker(errors, &path.child("flocker"), source);
    }
    if let Some(source) = sources.quobyte {
        quobyte(errors, &path.child("quobyte"), source);
    }
    if let Some(source) = sources.fc {
        fibre_channel(errors, &path.child("fc"), source);
    }
    if let Some(source) = sources.vsphere {
        present(errors, &path.child("vsphereVolume"), &[("volumePath", &source.volume_path)]);
    }
    if let Some(source) = sources.photon {
        present(errors, &path.child("photonPersistentDisk"), &[("pdID", &source.pd_id)]);
    }
    if let Some(source) = sources.portworx {
        present(errors, &path.child("portworxVolume"), &[("volumeID", &source.volume_id)]);
    }
    if let Some(source) = sources.azure_disk {
        azure_disk(errors, &path.child("azureDisk"), source);
    }
}

fn disk(errors: &mut Errors, path: &FieldPath, id: (&str, &str), partition: Option<i32>) {
    present(errors, path, &[id]);
    let partition = partition.unwrap_or_default();
    // None is written 0, though upstream's words begin at 1.
    if !(0..=NUMBER_MAX).contains(&partition.into()) {
        let complaints = labels::in_range(partition.into(), 1, NUMBER_MAX);
        check::each(errors, &path.child("partition"), &partition, complaints);
    }
}

fn flocker(errors: &mut Errors, path: &FieldPath, source: &FlockerVolumeSource) {
    let name = source.dataset_name.as_deref().unwrap_or_default();
    match (name, source.dataset_uuid.as_deref().unwrap_or_default()) {
        ("", "") => {
            errors.push(FieldError::required(path.clone(), "one of datasetName and datasetUUID is required"));
        }
        (name, uuid) if !name.is_empty() && !uuid.is_empty() => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            errors.push(FieldError::invalid(path.clone(), "resource", detail));
        }
        _ => {}
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(path.child("datasetName"), name, "must not contain '/'"));
    }
}

/// `host:port`, the host in brackets where it has colons itself.
fn is_host_and_port(pair: &str) -> bool {
    let Some((host, port)) = pair.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_one = bare.is_some_and(|bare| !bare.contains(['[', ']'])) || !host.contains([':', '[', ']']);
    host_is_one && !port.contains(['[', ']'])
}

fn quobyte(errors: &mut Errors, path: &FieldPath, source: &QuobyteVolumeSource) {
    let tenant = source.tenant.as_deref().unwrap_or_default();
    if source.registry.is_empty() {
        errors.push(FieldError::required(path.child("registry"), HOST_AND_PORT));
    } else if tenant.len() > TENANT_BYTES_MAX {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(path.child("tenant"), detail));
    } else {
        for _ in source.registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            errors.push(FieldError::invalid(path.child("registry"), &source.registry, HOST_AND_PORT));
        }
    }
    present(errors, path, &[("volume", &source.volume)]);
}

fn unit(errors: &mut Errors, path: &FieldPath, unit: i32) {
    check::each(errors, path, &unit, labels::in_range(unit.into(), 0, NUMBER_MAX));
}

fn fibre_channel(errors: &mut Errors, path: &FieldPath, source: &FCVolumeSource) {
    let (names, ids) = (source.target_wwns.as_deref().unwrap_or_default(), source.wwids.as_deref().unwrap_or_default());
    let at = path.child("targetWWNs");
    match (names, ids) {
        ([], []) => {
            let detail = "must specify either targetWWNs or wwids, but not both";
            errors.push(FieldError::required(at, detail));
        }
        ([_, ..], [_, ..]) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.push(FieldError::invalid(at, names, detail));
        }
        _ => {}
    }
    match source.lun {
        _ if names.is_empty() => {}
        Some(lun) => unit(errors, &path.child("lun"), lun),
        None => {
            let detail = "lun is required if targetWWNs is specified";
            errors.push(FieldError::required(path.child("lun"), detail));
        }
    }
}

fn azure_disk(errors: &mut Errors, path: &FieldPath, source: &AzureDiskVolumeSource) {
    present(errors, path, &[("diskName", &source.disk_name), ("diskURI", &source.disk_uri)]);
    let modes = &["None", "ReadOnly", "ReadWrite"];
    check::supported_if_set(errors, &path.child("cachingMode"), source.caching_mode.as_deref(), modes);
    let kinds = &["Dedicated", "Managed", "Shared"];
    check::supported_if_set(errors, &path.child("kind"), source.kind.as_deref(), kinds);
    let Some(kind) = source.kind.as_deref() else { return };
    let (prefix, form) = if kind == "Managed" {
        let form = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
        ("/subscriptions/", form)
    } else {
        ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
    };
    if !source.disk_uri.starts_with(prefix) {
        check::supported_if_set(errors, &path.child("diskURI"), Some(&source.disk_uri), &[form]);
    }
}

fn flex(errors: &mut Errors, path: &FieldPath, driver: &str, options: Option<&BTreeMap<String, String>>) {
    present(errors, path, &[("driver", driver)]);
    for key in options.into_iter().flat_map(BTreeMap::keys) {
        let domain = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(path.child("options").key(key), key, detail));
        }
    }
}

fn azure_file(errors: &mut Errors, path: &FieldPath, secret: &str, share: &str, namespace: Option<&str>) {
    present(errors, path, &[("secretName", secret), ("shareName", share)]);
    if let Some(namespace) = namespace {
        present(errors, path, &[("secretNamespace", namespace)]);
    }
}

fn scale_io(errors: &mut Errors, path: &FieldPath, gateway: &str, system: &str, volume: Option<&str>) {
    let volume = volume.unwrap_or_default();
    present(errors, path, &[("gateway", gateway), ("system", system), ("volumeName", volume)]);
}

fn storage_os(
    errors: &mut Errors,
    path: &FieldPath,
    name: Option<&str>,
    namespace: Option<&str>,
    secret: Option<Secret<'_>>,
) {
    match name.unwrap_or_default() {
        "" => errors.push(FieldError::required(path.child("volumeName"), "")),
        name => check::dns1123_label(errors, &path.child("volumeName"), name),
    }
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        check::dns1123_label(errors, &path.child("volumeNamespace"), namespace);
    }
    named(errors, path, secret);
}

fn pods_iscsi(errors: &mut Errors, volume: &FieldPath, name: &str, source: &ISCSIVolumeSource) {
    const FORM: &str = "must be valid format starting with iqn, eui, or naa";
    let path = volume.child("iscsi");
    present(errors, &path, &[("targetPortal", &source.target_portal)]);
    target(errors, &path, &source.iqn, FORM);
    unit(errors, &path.child("lun"), source.lun);
    if (source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true))
        && source.secret_ref.is_none()
    {
        errors.push(FieldError::required(path.child("secretRef"), ""));
    }
    let Some(initiator) = source.initiator_name.as_deref() else { return };
    iscsi_name(errors, &path.child("initiatorname"), initiator, FORM);
    if name.len() + 1 + source.target_portal.len() > SESSION_BYTES_MAX {
        errors.push(FieldError::invalid(volume.child("name"), name, SESSION));
    }
}

fn volumes_iscsi(errors: &mut Errors, path: &FieldPath, name: &str, source: &ISCSIPersistentVolumeSource) {
    const FORM: &str = "must be valid format";
    present(errors, path, &[("targetPortal", &source.target_portal)]);
    if source.initiator_name.is_some() && name.len() + 1 + source.target_portal.len() > SESSION_BYTES_MAX {
        errors.push(FieldError::invalid(path.child("targetportal"), &source.target_portal, SESSION));
    }
    target(errors, path, &source.iqn, FORM);
    unit(errors, &path.child("lun"), source.lun);
    let asks = source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true);
    match &source.secret_ref {
        None if asks => errors.push(FieldError::required(path.child("secretRef"), "")),
        None => {}
        Some(secret) => check::present(errors, path.child("secretRef").child("name"), secret.name.as_deref()),
    }
    if let Some(initiator) = source.initiator_name.as_deref() {
        iscsi_name(errors, &path.child("initiatorname"), initiator, FORM);
    }
}

fn target(errors: &mut Errors, path: &FieldPath, iqn: &str, form: &str) {
    match iqn {
        "" => errors.push(FieldError::required(path.child("iqn"), "")),
        name => iscsi_name(errors, &path.child("iqn"), name, form),
    }
}

/// `form` says what is wrong with a name of none of the three sorts.
fn iscsi_name(errors: &mut Errors, path: &FieldPath, name: &str, form: &str) {
    let detail = match name.get(..3) {
        Some("iqn") if !is_qualified(name) => "must be valid format",
        Some("eui") if !is_number(name, 16) => "must be valid format",
        Some("naa") if !is_number(name, 32) => "must be valid format",
        Some("iqn" | "eui" | "naa") => return,
        _ => form,
    };
    errors.push(FieldError::invalid(path.clone(), name, detail));
}

/// `iqn.2001-04.com.example:storage`.
fn is_qualified(name: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((owner, own)) = name.strip_prefix("iqn.").and_then(|rest| rest.split_once(':')) else { return false };
    let Some((date, domain)) = owner.split_once('.') else { return false };
    date.split_once('-').is_some_and(|(year, month)| digits(year, 4) && digits(month, 2))
        && !domain.is_empty()
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !own.is_empty()
        && !own.contains([',', ';', '*', '&', '$', '|'])
        && !own.contains(char::is_whitespace)
}

/// Three letters, something between, and that many letters and digits.
fn is_number(name: &str, count: usize) -> bool {
    let number: Vec<char> = name.chars().skip(4).collect();
    number.len() == count && number.iter().all(char::is_ascii_alphanumeric)
}
