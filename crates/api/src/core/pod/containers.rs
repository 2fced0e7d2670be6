//! Whether a pod's containers make sense: each by itself, with each other and with the pod's volumes.

use super::{environment, probes, security};
use crate::check::{self, Errors};
use crate::core::resources::{self, Holder};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, EphemeralContainer, PodSpec, Volume, VolumeDevice, VolumeMount,
};

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const MESSAGE_POLICIES: &[&str] = &["File", "FallbackToLogsOnError"];
const RESTART_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const NOT_FOR_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// What a container's validation needs to know of its pod.
struct Around<'a> {
    volumes: &'a [Volume],
    claims: Vec<&'a str>,
    restart_policy: &'a str,
    grace_seconds: Option<i64>,
    host_users: bool,
    /// The operating system that the pod says it is for.
    system: &'a str,
}

/// All containers of a pod spec.
pub(super) fn validate(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let around = Around {
        volumes: spec.volumes.as_deref().unwrap_or_default(),
        claims: spec.resource_claims.iter().flatten().map(|claim| claim.name.as_str()).collect(),
        restart_policy: spec.restart_policy.as_deref().unwrap_or_default(),
        grace_seconds: spec.termination_grace_period_seconds,
        host_users: spec.host_users != Some(false),
        system: spec.os.as_ref().map(|os| os.name.as_str()).unwrap_or_default(),
    };
    regular(errors, &path.child("containers"), &spec.containers, &around);
    let init = spec.init_containers.as_deref().unwrap_or_default();
    init_containers(errors, &path.child("initContainers"), init, &spec.containers, &around);
    ephemeral(errors, &path.child("ephemeralContainers"), spec, &around);
}

fn regular(errors: &mut Errors, path: &FieldPath, containers: &[Container], around: &Around<'_>) {
    if containers.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
        return;
    }
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(errors, &path, container, around);
        if containers[..index].iter().any(|other| other.name == container.name) {
            errors.push(FieldError::duplicate(path.child("name"), &container.name));
        }
        probes::of_container(errors, &path, container, around.grace_seconds, around.system);
        restart_policy(errors, &path, container);
    }
    host_ports(errors, path, containers);
}

/// Rules are exceptions from a policy of the container's own; the pod's is not taken for it.
fn restart_policy(errors: &mut Errors, path: &FieldPath, container: &Container) {
    let policy_path = path.child("restartPolicy");
    let policies = &["Always", "Never", "OnFailure"];
    check::supported_if_set(errors, &policy_path, container.restart_policy.as_deref(), policies);
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    if container.restart_policy.is_none() && !rules.is_empty() {
        errors.push(FieldError::required(policy_path, "must specify restartPolicy when restart rules are used"));
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        errors.push(FieldError::too_many(path.clone(), rules.len(), RESTART_RULES_MAX));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        let actions = &["Restart", "RestartAllContainers"];
        check::supported_if_set(errors, &path.child("action"), Some(&rule.action), actions);
        let path = path.child("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            errors.push(FieldError::required(path, "must be specified"));
            continue;
        };
        check::supported_if_set(errors, &path.child("operator"), Some(&codes.operator), &["In", "NotIn"]);
        let values = codes.values.as_ref().map_or(0, Vec::len);
        if values > EXIT_CODES_MAX {
            errors.push(FieldError::too_many(path.child("values"), values, EXIT_CODES_MAX));
        }
    }
}

fn init_containers(
    errors: &mut Errors,
    path: &FieldPath,
    containers: &[Container],
    others: &[Container],
    around: &Around<'_>,
) {
    for (index, container) in containers.iter().enumerate() {
        let at = path.index(index);
        common(errors, &at, container, around);
        let taken = others.iter().chain(&containers[..index]);
        if taken.into_iter().any(|other| other.name == container.name) {
            errors.push(FieldError::duplicate(at.child("name"), &container.name));
        }
        restart_policy(errors, &at, container);
        host_ports(errors, path, std::slice::from_ref(container));
        if super::qos::is_sidecar(container) {
            probes::of_container(errors, &at, container, around.grace_seconds, around.system);
            continue;
        }
        for (field, set) in [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ] {
            if set {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.push(FieldError::forbidden(at.child(field), detail));
            }
        }
    }
}

fn ephemeral(errors: &mut Errors, path: &FieldPath, spec: &PodSpec, around: &Around<'_>) {
    let containers = spec.ephemeral_containers.as_deref().unwrap_or_default();
    let others = || spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|other| &other.name);
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        let plain = as_container(container);
        common(errors, &path, &plain, around);
        image_is_trimmed(errors, &path, &plain);
        let mut taken = others().chain(containers[..index].iter().map(|other| &other.name));
        if taken.any(|name| *name == container.name) {
            errors.push(FieldError::duplicate(path.child("name"), &container.name));
        }
        let target = container.target_container_name.as_deref().unwrap_or_default();
        if !target.is_empty() && !others().any(|name| name == target) {
            errors.push(FieldError::not_found(path.child("targetContainerName"), target));
        }
        let has_resources =
            container.resources.as_ref().is_some_and(|resources| !check::same(resources, &Default::default()));
        for (field, set) in [
            ("ports", container.ports.as_ref().is_some_and(|ports| !ports.is_empty())),
            ("resources", has_resources),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
            ("lifecycle", container.lifecycle.is_some()),
            ("restartPolicy", container.restart_policy.is_some()),
        ] {
            if set {
                errors.push(FieldError::forbidden(path.child(field), NOT_FOR_EPHEMERAL));
            }
        }
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let path = path.child("volumeMounts").index(index);
            for (field, value) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
                if value.as_ref().is_some_and(|value| !value.is_empty()) {
                    errors.push(FieldError::forbidden(path.child(field), NOT_FOR_EPHEMERAL));
                }
            }
        }
    }
}

fn as_container(container: &EphemeralContainer) -> Container {
    Container {
        name: container.name.clone(),
        image: container.image.clone(),
        env: container.env.clone(),
        env_from: container.env_from.clone(),
        image_pull_policy: container.image_pull_policy.clone(),
        ports: container.ports.clone(),
        resources: container.resources.clone(),
        resize_policy: container.resize_policy.clone(),
        security_context: container.security_context.clone(),
        termination_message_policy: container.termination_message_policy.clone(),
        volume_devices: container.volume_devices.clone(),
        volume_mounts: container.volume_mounts.clone(),
        ..Container::default()
    }
}

/// What holds for containers of all three sorts.
fn common(errors: &mut Errors, path: &FieldPath, container: &Container, around: &Around<'_>) {
    if container.name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        check::dns1123_label(errors, &path.child("name"), &container.name);
    }
    check::present(errors, path.child("image"), container.image.as_deref());
    let policy = container.termination_message_policy.as_deref();
    check::supported(errors, &path.child("terminationMessagePolicy"), policy, MESSAGE_POLICIES);
    ports(errors, &path.child("ports"), container.ports.as_deref().unwrap_or_default());
    environment::variables(errors, &path.child("env"), container.env.as_deref().unwrap_or_default(), around.volumes);
    environment::sources(errors, &path.child("envFrom"), container.env_from.as_deref().unwrap_or_default());
    mounts(errors, &path.child("volumeMounts"), container, around.volumes);
    devices(errors, &path.child("volumeDevices"), container, around.volumes);
    check::supported(errors, &path.child("imagePullPolicy"), container.image_pull_policy.as_deref(), PULL_POLICIES);
    if let Some(requirements) = &container.resources {
        resources::requirements(errors, &path.child("resources"), requirements, Holder::Container, &around.claims);
    }
    let policies = container.resize_policy.as_deref().unwrap_or_default();
    resize_policies(errors, &path.child("resizePolicy"), policies, around.restart_policy);
    if let Some(context) = &container.security_context {
        security::of_container(errors, &path.child("securityContext"), context, around.host_users);
    }
}

/// A rule for real pods only: templates of old have had such images.
pub(super) fn image_is_trimmed(errors: &mut Errors, path: &FieldPath, container: &Container) {
    let image = container.image.as_deref().unwrap_or_default();
    if image.trim() != image {
        errors.push(FieldError::invalid(path.child("image"), image, "must not have leading or trailing whitespace"));
    }
}

fn ports(errors: &mut Errors, path: &FieldPath, ports: &[ContainerPort]) {
    let name = |port: &ContainerPort| port.name.clone().unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let own = name(port);
        if !own.is_empty() {
            let complaints = labels::port_name(&own);
            if complaints.is_empty() && ports[..index].iter().any(|other| name(other) == own) {
                errors.push(FieldError::duplicate(path.child("name"), &own));
            }
            check::each(errors, &path.child("name"), &own, complaints);
        }
        if port.container_port == 0 {
            errors.push(FieldError::required(path.child("containerPort"), ""));
        } else {
            let complaints = labels::port_number(port.container_port);
            check::each(errors, &path.child("containerPort"), &port.container_port, complaints);
        }
        if let Some(host_port) = port.host_port.filter(|port| *port != 0) {
            check::each(errors, &path.child("hostPort"), &host_port, labels::port_number(host_port));
        }
        check::supported(errors, &path.child("protocol"), port.protocol.as_deref(), check::PROTOCOLS);
    }
}

/// That no two of these containers want the same port of the node.
fn host_ports(errors: &mut Errors, path: &FieldPath, containers: &[Container]) {
    let mut taken = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let claim = format!("{}/{}/{number}", text(&port.protocol), text(&port.host_ip));
            if taken.contains(&claim) {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(FieldError::duplicate(path, &claim));
            } else {
                taken.push(claim);
            }
        }
    }
}

/// On the node's own network a port of the container is a port of the node.
pub(super) fn host_network_ports(errors: &mut Errors, path: &FieldPath, spec: &PodSpec, real_pod: bool) {
    if spec.host_network != Some(true) {
        return;
    }
    for (index, container) in spec.containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().flatten().enumerate() {
            let host_port = port.host_port.unwrap_or_default();
            if (real_pod || host_port != 0) && host_port != port.container_port {
                let path = path.child("containers").index(index).child("ports").index(port_index).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(path, &host_port, detail));
            }
        }
    }
}

fn mounts(errors: &mut Errors, path: &FieldPath, container: &Container, volumes: &[Volume]) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    for (index, mount) in mounts.iter().enumerate() {
        let at = path.index(index);
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        check::present(errors, at.child("name"), Some(&mount.name));
        if volume.is_none() {
            errors.push(FieldError::not_found(at.child("name"), &mount.name));
        }
        check::present(errors, at.child("mountPath"), Some(&mount.mount_path));
        if mounts[..index].iter().any(|other| other.mount_path == mount.mount_path) {
            errors.push(FieldError::invalid(at.child("mountPath"), &mount.mount_path, "must be unique"));
        }
        if devices.iter().any(|device| device.name == mount.name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(at.child("name"), &mount.name, detail));
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(at.child("mountPath"), &mount.mount_path, detail));
        }
        sub_paths(errors, path, &at, mount, volume.is_some_and(|volume| volume.image.is_some()));
        if let Some(propagation) = &mount.mount_propagation {
            propagates(errors, &path.child("mountPropagation"), propagation, container);
        }
        recursive_read_only(errors, &path.child("recursiveReadOnly"), mount);
    }
}

/// Upstream names some of these errors by the list and not by the mount; so do we.
fn sub_paths(errors: &mut Errors, list: &FieldPath, at: &FieldPath, mount: &VolumeMount, of_image: bool) {
    let sub_path = mount.sub_path.as_deref().unwrap_or_default();
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    for (field, value) in [("subPath", sub_path), ("subPathExpr", expression)] {
        if value.is_empty() {
            continue;
        }
        if of_image {
            errors.push(FieldError::invalid(at.child(field), value, "not allowed in image volume sources"));
        }
        super::volumes::local_path(errors, &list.child(field), value);
    }
    if !expression.is_empty() && !sub_path.is_empty() {
        let detail = "subPathExpr and subPath are mutually exclusive";
        errors.push(FieldError::invalid(at.child("subPathExpr"), expression, detail));
    }
}

fn propagates(errors: &mut Errors, path: &FieldPath, propagation: &str, container: &Container) {
    let modes = &["Bidirectional", "HostToContainer", "None"];
    check::supported_if_set(errors, path, Some(propagation), modes);
    let privileged = container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true));
    if propagation == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path.clone(), detail));
    }
}

fn recursive_read_only(errors: &mut Errors, path: &FieldPath, mount: &VolumeMount) {
    let Some(mode) = mount.recursive_read_only.as_deref() else { return };
    match mode {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if mount.read_only != Some(true) {
                let detail = "may only be specified when readOnly is true";
                errors.push(FieldError::forbidden(path.clone(), detail));
            }
            let propagation = mount.mount_propagation.as_deref().unwrap_or("None");
            if propagation != "None" {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path.clone(), detail));
            }
        }
        other => check::supported_if_set(errors, path, Some(other), &["Disabled", "IfPossible", "Enabled"]),
    }
}

fn devices(errors: &mut Errors, path: &FieldPath, container: &Container, volumes: &[Volume]) {
    let devices: &[VolumeDevice] = container.volume_devices.as_deref().unwrap_or_default();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        let path = path.index(index);
        check::present(errors, path.child("name"), Some(&device.name));
        if devices[..index].iter().any(|other| other.name == device.name) {
            errors.push(FieldError::invalid(path.child("name"), &device.name, "must be unique"));
        }
        match volumes.iter().find(|volume| volume.name == device.name) {
            None => errors.push(FieldError::not_found(path.child("name"), &device.name)),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(path.child("name"), &device.name, detail));
            }
            Some(_) => {}
        }
        check::present(errors, path.child("devicePath"), Some(&device.device_path));
        if devices[..index].iter().any(|other| other.device_path == device.device_path) {
            errors.push(FieldError::invalid(path.child("devicePath"), &device.device_path, "must be unique"));
        }
        if device.device_path.split('/').any(|part| part == "..") {
            let detail = "can not contain backsteps ('..')";
            errors.push(FieldError::invalid(path.child("devicePath"), &device.device_path, detail));
        }
        if mounts.iter().any(|mount| mount.name == device.name) {
            let detail = "must not already exist in volumeMounts";
            errors.push(FieldError::invalid(path.child("name"), &device.name, detail));
        }
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.push(FieldError::invalid(path.child("devicePath"), &device.device_path, detail));
        }
    }
}

fn resize_policies(errors: &mut Errors, path: &FieldPath, policies: &[ContainerResizePolicy], restart_policy: &str) {
    for (index, policy) in policies.iter().enumerate() {
        if policies[..index].iter().any(|other| other.resource_name == policy.resource_name) {
            errors.push(FieldError::duplicate(path.index(index), &policy.resource_name));
        }
        check::supported(errors, path, Some(&policy.resource_name), &["cpu", "memory"]);
        check::supported(errors, path, Some(&policy.restart_policy), &["NotRequired", "RestartContainer"]);
        if restart_policy == "Never" && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path.clone(), &policy.restart_policy, detail));
        }
    }
}
