//! Whether what a pod and its containers may do on the node makes sense.

use super::volumes::local_path;
use super::windows;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext};

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
/// `PATH_MAX` without its closing zero.
const PROFILE_BYTES_MAX: usize = 4095;
const SYSCTL: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const SYSCTL_BYTES_MAX: usize = 253;

pub(super) fn of_container(errors: &mut Errors, path: &FieldPath, context: &SecurityContext, host_users: bool) {
    ids(errors, path, &[("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)]);
    if let Some(mount) = context.proc_mount.as_deref() {
        let path = path.child("procMount");
        check::supported_if_set(errors, &path, Some(mount), &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            errors.push(FieldError::invalid(path, mount, "`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp(errors, &path.child("seccompProfile"), context.seccomp_profile.as_ref());
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path.clone(), context, detail));
        }
        let added = context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
        if added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path.clone(), context, detail));
        }
    }
    app_armor(errors, &path.child("appArmorProfile"), context.app_armor_profile.as_ref());
    windows::options(errors, &path.child("windowsOptions"), context.windows_options.as_ref());
}

/// The pod's own security context and what depends on the node's namespaces.
pub(super) fn of_pod(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    if let Some(context) = &spec.security_context {
        pod_context(errors, &path.child("securityContext"), context, spec);
    }
    windows::host_processes(errors, path, spec);
    if spec.host_users == Some(false) {
        for (field, set) in [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)]
        {
            if set == Some(true) {
                errors.push(FieldError::forbidden(path.child(field), "when `pod.Spec.HostUsers` is false"));
            }
        }
    }
}

fn pod_context(errors: &mut Errors, path: &FieldPath, context: &PodSecurityContext, spec: &PodSpec) {
    ids(
        errors,
        path,
        &[("fsGroup", context.fs_group), ("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)],
    );
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        check::each(errors, &path.child("supplementalGroups").index(index), group, labels::user_id(*group));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(path.child("shareProcessNamespace"), &true, detail));
    }
    sysctls(errors, &path.child("sysctls"), context, spec);
    let policy = context.fs_group_change_policy.as_deref();
    check::supported_if_set(errors, &path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    seccomp(errors, &path.child("seccompProfile"), context.seccomp_profile.as_ref());
    windows::options(errors, &path.child("windowsOptions"), context.windows_options.as_ref());
    app_armor(errors, &path.child("appArmorProfile"), context.app_armor_profile.as_ref());
    let policy = context.supplemental_groups_policy.as_deref();
    check::supported_if_set(errors, &path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    let policy = context.se_linux_change_policy.as_deref();
    check::supported_if_set(errors, &path.child("seLinuxChangePolicy"), policy, &["MountOption", "Recursive"]);
}

fn ids(errors: &mut Errors, path: &FieldPath, ids: &[(&str, Option<i64>)]) {
    for (field, id) in ids {
        if let Some(id) = id {
            check::each(errors, &path.child(field), id, labels::user_id(*id));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        bytes.first().is_some_and(|byte| lower(*byte))
            && bytes.last().is_some_and(|byte| lower(*byte))
            && bytes.iter().all(|byte| lower(*byte) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(segment)
}

fn sysctls(errors: &mut Errors, path: &FieldPath, context: &PodSecurityContext, spec: &PodSpec) {
    let sysctls = context.sysctls.as_deref().unwrap_or_default();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let path = path.index(index).child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(path.clone(), ""));
        } else if !is_sysctl(name) {
            let detail = format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex {SYSCTL}");
            errors.push(FieldError::invalid(path.clone(), name, detail));
        } else if sysctls[..index].iter().any(|other| other.name == name) {
            errors.push(FieldError::duplicate(path.clone(), name));
        }
        let name = name.replace('/', ".");
        if spec.host_network == Some(true) && name.starts_with("net.") {
            let detail = "may not be specified when 'hostNetwork' is true";
            errors.push(FieldError::invalid(path.clone(), &sysctl.name, detail));
        }
        let of_ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
            || name == "kernel.sem";
        if spec.host_ipc == Some(true) && of_ipc {
            let detail = "may not be specified when 'hostIPC' is true";
            errors.push(FieldError::invalid(path, &sysctl.name, detail));
        }
    }
}

fn seccomp(errors: &mut Errors, path: &FieldPath, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    if profile.type_.is_empty() {
        errors.push(FieldError::required(path.child("type"), "type is required when seccompProfile is set"));
    } else {
        check::supported_if_set(errors, &path.child("type"), Some(&profile.type_), PROFILES);
    }
    let local = path.child("localhostProfile");
    match (profile.type_ == "Localhost", &profile.localhost_profile) {
        (true, None) => errors.push(FieldError::required(local, "must be set when seccomp type is Localhost")),
        (true, Some(file)) => local_path(errors, &local, file),
        (false, Some(_)) => {
            errors.push(FieldError::invalid(local, profile, "can only be set when seccomp type is Localhost"));
        }
        (false, None) => {}
    }
}

fn app_armor(errors: &mut Errors, path: &FieldPath, profile: Option<&AppArmorProfile>) {
    let Some(profile) = profile else { return };
    let local = path.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", Some(name)) if name.trim() != name => {
            errors.push(FieldError::invalid(local, name, "must not be padded with whitespace"));
        }
        ("Localhost", Some(name)) if name.len() > PROFILE_BYTES_MAX => {
            errors.push(FieldError::too_long(local, PROFILE_BYTES_MAX));
        }
        ("Localhost", Some(name)) if !name.is_empty() => {}
        ("Localhost", _) => {
            errors.push(FieldError::required(local, "must be set when AppArmor type is Localhost"));
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.push(FieldError::invalid(local, name, "can only be set when AppArmor type is Localhost"));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            let detail = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(path.child("type"), detail));
        }
        (other, _) => check::supported_if_set(errors, &path.child("type"), Some(other), PROFILES),
    }
}
