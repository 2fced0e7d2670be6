//! What a pod's writer may leave out.
//!
//! Some defaults belong to every pod spec, wherever it stands; others only to a pod, so that templates of older
//! objects keep their hash when a default is added.

use crate::core::resources::ResourceList;
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    AzureDiskVolumeSource, Container, EnvVar, EphemeralContainer, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, PersistentVolumeSpec, Pod, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    ResourceRequirements, Volume,
};

const ISCSI_INTERFACE: &str = "default";
/// `rw-r--r--`, the mode of files made of ConfigMaps, Secrets and fields.
const FILE_MODE: i32 = 0o644;
const GRACE_SECONDS: i64 = 30;
const TOKEN_SECONDS: i64 = 3600;
const CERTIFICATE_SECONDS: i32 = 86_400;

fn set<T>(field: &mut Option<T>, value: impl Into<T>) {
    if field.is_none() {
        *field = Some(value.into());
    }
}

/// As `set`, for texts, where empty means left out.
fn set_text(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_owned());
    }
}

/// As `set`, for numbers, where zero means left out.
fn set_number(field: &mut Option<i32>, value: i32) {
    if field.unwrap_or_default() == 0 {
        *field = Some(value);
    }
}

pub(crate) fn template(template: &mut PodTemplateSpec) {
    if let Some(spec) = &mut template.spec {
        self::spec(spec);
    }
}

/// The defaults of a pod itself: those of its spec, and those that only real pods get.
pub(super) fn pod(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    self::spec(spec);
    set(&mut spec.enable_service_links, true);
    let host_network = spec.host_network == Some(true);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        requests_from_limits(container.resources.get_or_insert_default());
        for port in container.ports.iter_mut().flatten().filter(|_| host_network) {
            if port.host_port.unwrap_or_default() == 0 {
                port.host_port = Some(port.container_port);
            }
        }
    }
    if spec.resources.as_ref().is_some_and(|resources| resources.limits.as_ref().is_some_and(|list| !list.is_empty())) {
        pod_requests(spec);
    }
}

/// The defaults of every pod spec.
pub(crate) fn spec(spec: &mut PodSpec) {
    set_text(&mut spec.dns_policy, "ClusterFirst");
    set_text(&mut spec.restart_policy, "Always");
    spec.security_context.get_or_insert_default();
    set(&mut spec.termination_grace_period_seconds, GRACE_SECONDS);
    set_text(&mut spec.scheduler_name, "default-scheduler");
    mirror_service_account(spec);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        self::container(container);
    }
    for container in spec.ephemeral_containers.iter_mut().flatten() {
        ephemeral_container(container);
    }
    for volume in spec.volumes.iter_mut().flatten() {
        self::volume(volume);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`: both always say the same, the new one wins.
fn mirror_service_account(spec: &mut PodSpec) {
    let text = |field: &Option<String>| field.clone().filter(|name| !name.is_empty());
    let name = text(&spec.service_account_name).or_else(|| text(&spec.service_account));
    spec.service_account_name.clone_from(&name);
    spec.service_account = name;
}

fn container(container: &mut Container) {
    set_text(&mut container.image_pull_policy, pull_policy(container.image.as_deref().unwrap_or_default()));
    set_text(&mut container.termination_message_path, "/dev/termination-log");
    set_text(&mut container.termination_message_policy, "File");
    container.resources.get_or_insert_default();
    for port in container.ports.iter_mut().flatten() {
        set_text(&mut port.protocol, "TCP");
    }
    environment(container.env.as_mut());
    for probe in [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe] {
        probe.as_mut().map(self::probe);
    }
    container.lifecycle.as_mut().map(lifecycle);
}

fn ephemeral_container(container: &mut EphemeralContainer) {
    set_text(&mut container.image_pull_policy, pull_policy(container.image.as_deref().unwrap_or_default()));
    set_text(&mut container.termination_message_path, "/dev/termination-log");
    set_text(&mut container.termination_message_policy, "File");
    container.resources.get_or_insert_default();
    environment(container.env.as_mut());
}

/// `Always` for an image without a tag or digest, or with the tag `latest`, whose content may change.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let (name, digest) = name.split_once('@').map_or((name, false), |(name, _)| (name, true));
    match name.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn environment(variables: Option<&mut Vec<EnvVar>>) {
    for source in variables.into_iter().flatten().filter_map(|variable| variable.value_from.as_mut()) {
        source.field_ref.as_mut().map(field_ref);
        if let Some(resource) = &mut source.resource_field_ref {
            set(&mut resource.divisor, k8s_openapi::apimachinery::pkg::api::resource::Quantity("0".to_owned()));
        }
    }
}

fn field_ref(selector: &mut ObjectFieldSelector) {
    set_text(&mut selector.api_version, "v1");
}

fn probe(probe: &mut Probe) {
    set_number(&mut probe.timeout_seconds, 1);
    set_number(&mut probe.period_seconds, 10);
    set_number(&mut probe.success_threshold, 1);
    set_number(&mut probe.failure_threshold, 3);
    probe.http_get.as_mut().map(http_get);
    if let Some(grpc) = &mut probe.grpc {
        set(&mut grpc.service, String::new());
    }
}

fn lifecycle(lifecycle: &mut Lifecycle) {
    let handlers = [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
    for handler in handlers.into_iter().flatten() {
        let handler: &mut LifecycleHandler = handler;
        handler.http_get.as_mut().map(http_get);
    }
}

fn http_get(action: &mut HTTPGetAction) {
    set_text(&mut action.path, "/");
    set_text(&mut action.scheme, "HTTP");
}

/// What storage outside the cluster is asked for, if nothing else is said: pods and PersistentVolumes name it in types of
/// their own, with the same fields.
macro_rules! outside_volume {
    ($volume:expr) => {{
        if let Some(iscsi) = &mut $volume.iscsi {
            set_text(&mut iscsi.iscsi_interface, ISCSI_INTERFACE);
        }
        if let Some(rbd) = &mut $volume.rbd {
            self::rbd(&mut rbd.pool, &mut rbd.user, &mut rbd.keyring);
        }
        $volume.azure_disk.as_mut().map(azure_disk);
        if let Some(scale_io) = &mut $volume.scale_io {
            self::scale_io(&mut scale_io.storage_mode, &mut scale_io.fs_type);
        }
    }};
}

fn volume(volume: &mut Volume) {
    if super::volumes::sources(volume).is_empty() {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(secret) = &mut volume.secret {
        set(&mut secret.default_mode, FILE_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        set(&mut config_map.default_mode, FILE_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        set(&mut downward.default_mode, FILE_MODE);
        downward.items.iter_mut().flatten().filter_map(|file| file.field_ref.as_mut()).for_each(field_ref);
    }
    if let Some(host_path) = &mut volume.host_path {
        set(&mut host_path.type_, String::new());
    }
    if let Some(image) = &mut volume.image {
        set_text(&mut image.pull_policy, pull_policy(image.reference.as_deref().unwrap_or_default()));
    }
    if let Some(claim) = volume.ephemeral.as_mut().and_then(|ephemeral| ephemeral.volume_claim_template.as_mut()) {
        set_text(&mut claim.spec.volume_mode, "Filesystem");
    }
    volume.projected.as_mut().map(projected);
    outside_volume!(volume);
}

pub(crate) fn persistent_volume(volume: &mut PersistentVolumeSpec) {
    outside_volume!(volume);
}

fn rbd(pool: &mut Option<String>, user: &mut Option<String>, keyring: &mut Option<String>) {
    for (field, value) in [(pool, "rbd"), (user, "admin"), (keyring, "/etc/ceph/keyring")] {
        set_text(field, value);
    }
}

fn azure_disk(disk: &mut AzureDiskVolumeSource) {
    for (field, value) in
        [(&mut disk.caching_mode, "ReadWrite"), (&mut disk.kind, "Shared"), (&mut disk.fs_type, "ext4")]
    {
        set(field, value);
    }
    set(&mut disk.read_only, false);
}

fn scale_io(storage_mode: &mut Option<String>, fs_type: &mut Option<String>) {
    set_text(storage_mode, "ThinProvisioned");
    set_text(fs_type, "xfs");
}

fn projected(volume: &mut ProjectedVolumeSource) {
    set(&mut volume.default_mode, FILE_MODE);
    for source in volume.sources.iter_mut().flatten() {
        if let Some(token) = &mut source.service_account_token {
            set(&mut token.expiration_seconds, TOKEN_SECONDS);
        }
        if let Some(certificate) = &mut source.pod_certificate {
            set(&mut certificate.max_expiration_seconds, CERTIFICATE_SECONDS);
        }
        let files = source.downward_api.iter_mut().flat_map(|downward| downward.items.iter_mut().flatten());
        files.filter_map(|file| file.field_ref.as_mut()).for_each(field_ref);
    }
}

/// Who bounds a container without asking for anything asks for the bound.
fn requests_from_limits(resources: &mut ResourceRequirements) {
    let Some(limits) = resources.limits.as_ref().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// A pod with limits of its own asks for what its containers ask for together, or else for the limit.
fn pod_requests(spec: &mut PodSpec) {
    let together = super::qos::container_requests(spec);
    let Some(resources) = &mut spec.resources else { return };
    let mut requests: ResourceList = resources.requests.take().unwrap_or_default();
    for name in ["cpu", "memory"] {
        if let Some(amount) = together.get(name).filter(|_| !requests.contains_key(name)) {
            requests.insert(name.to_owned(), Quantity::into(*amount));
        }
    }
    for (name, limit) in resources.limits.iter().flatten() {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
    resources.requests = Some(requests);
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn an_image_that_may_change_is_always_pulled() {
        for (image, policy) in [
            ("busybox", "Always"),
            ("busybox:latest", "Always"),
            ("localhost:5000/busybox", "Always"),
            ("localhost:5000/busybox:1", "IfNotPresent"),
            ("busybox@sha256:00", "IfNotPresent"),
            ("busybox:latest@sha256:00", "Always"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
