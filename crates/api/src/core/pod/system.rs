//! Fields that one operating system knows and the other does not, of pods that say for which they are.

use super::annotations::containers;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::core::v1::{PodSpec, SecurityContext};

const NOT_OF_WINDOWS: &str = "cannot be set for a windows pod";
const NOT_OF_LINUX: &str = "windows options cannot be set for a linux pod";

pub(super) fn validate(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let Some(os) = &spec.os else { return };
    match os.name.as_str() {
        "" => errors.push(FieldError::required(path.child("os").child("name"), "cannot be empty")),
        "linux" => linux(errors, path, spec),
        "windows" => windows(errors, path, spec),
        name => check::supported_if_set(errors, &path.child("os"), Some(name), &["linux", "windows"]),
    }
}

fn forbid(errors: &mut Errors, path: &FieldPath, fields: &[(&str, bool)]) {
    for (field, _) in fields.iter().filter(|(_, set)| *set) {
        errors.push(FieldError::forbidden(path.child(field), NOT_OF_WINDOWS));
    }
}

fn linux(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let of_pod = spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some());
    let of_containers = containers(path, spec)
        .filter(|(_, _, context)| context.is_some_and(|context| context.windows_options.is_some()))
        .map(|(path, ..)| path);
    for path in of_pod.then(|| path.clone()).into_iter().chain(of_containers) {
        errors.push(FieldError::forbidden(path.child("securityContext").child("windowsOptions"), NOT_OF_LINUX));
    }
}

fn windows(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    if let Some(context) = &spec.security_context {
        let at = path.child("securityContext");
        forbid(
            errors,
            &at,
            &[
                ("appArmorProfile", context.app_armor_profile.is_some()),
                ("seLinuxOptions", context.se_linux_options.is_some()),
            ],
        );
        forbid(
            errors,
            path,
            &[
                ("hostUsers", spec.host_users.is_some()),
                ("hostPID", spec.host_pid == Some(true)),
                ("hostIPC", spec.host_ipc == Some(true)),
            ],
        );
        forbid(
            errors,
            &at,
            &[
                ("seccompProfile", context.seccomp_profile.is_some()),
                ("fsGroup", context.fs_group.is_some()),
                ("fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
                ("sysctls", context.sysctls.as_ref().is_some_and(|sysctls| !sysctls.is_empty())),
            ],
        );
        forbid(errors, path, &[("shareProcessNamespace", spec.share_process_namespace.is_some())]);
        forbid(
            errors,
            &at,
            &[
                ("runAsUser", context.run_as_user.is_some()),
                ("runAsGroup", context.run_as_group.is_some()),
                ("supplementalGroups", context.supplemental_groups.is_some()),
                ("supplementalGroupsPolicy", context.supplemental_groups_policy.is_some()),
                ("seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
            ],
        );
    }
    for (path, _, context) in containers(path, spec) {
        if let Some(context) = context {
            windows_container(errors, &path.child("securityContext"), context);
        }
    }
}

fn windows_container(errors: &mut Errors, path: &FieldPath, context: &SecurityContext) {
    forbid(
        errors,
        path,
        &[
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("capabilities", context.capabilities.is_some()),
            ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
            ("privileged", context.privileged.is_some()),
            ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
            ("procMount", context.proc_mount.is_some()),
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
        ],
    );
}
