//! Security contexts, of pod and container, as CRI takes them.

use crate::pod;
use crate::pod::containers::target_of;
use cri::v1::security_profile::ProfileType;
use cri::v1::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    SecurityProfile, SupplementalGroupsPolicy,
};
use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};
use std::path::Path;

/// Files of /proc and /sys that containers do not see: containerd's and Docker's list.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The user that an image's own settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageUser {
    pub(crate) uid: Option<i64>,
    pub(crate) name: String,
}

fn pod_context(pod: &Pod) -> Option<&PodSecurityContext> {
    pod::spec(pod).security_context.as_ref()
}

fn privileged(context: Option<&SecurityContext>) -> bool {
    context.and_then(|context| context.privileged).unwrap_or(false)
}

/// Namespaces that all containers of the pod share; `target` is the container id whose processes an ephemeral one sees.
fn namespaces(pod: &Pod, target: Option<&str>) -> NamespaceOption {
    let spec = pod::spec(pod);
    let or_node =
        |host: Option<bool>, own: NamespaceMode| if host.unwrap_or(false) { NamespaceMode::Node } else { own };
    let shared = spec.share_process_namespace.unwrap_or(false);
    let own_pid = if shared { NamespaceMode::Pod } else { NamespaceMode::Container };
    let pid = if target.is_some() { NamespaceMode::Target } else { or_node(spec.host_pid, own_pid) };
    NamespaceOption {
        network: or_node(spec.host_network, NamespaceMode::Pod) as i32,
        pid: pid as i32,
        ipc: or_node(spec.host_ipc, NamespaceMode::Pod) as i32,
        target_id: target.unwrap_or_default().to_owned(),
        userns_options: None,
    }
}

fn supplemental_groups(pod: &Pod) -> (Vec<i64>, SupplementalGroupsPolicy) {
    let Some(context) = pod_context(pod) else { return (Vec::new(), SupplementalGroupsPolicy::Merge) };
    let groups = context.supplemental_groups.iter().flatten().copied().chain(context.fs_group).collect();
    let strict = context.supplemental_groups_policy.as_deref() == Some("Strict");
    (groups, if strict { SupplementalGroupsPolicy::Strict } else { SupplementalGroupsPolicy::Merge })
}

/// RuntimeDefault where nothing is said: safer than upstream's default, and what its `SeccompDefault` does.
fn seccomp(profile: Option<&SeccompProfile>, privileged: bool, profiles: &Path) -> SecurityProfile {
    let kind = profile.map(|profile| profile.type_.as_str());
    let (kind, local) = match kind {
        _ if privileged => (ProfileType::Unconfined, ""),
        Some("Unconfined") => (ProfileType::Unconfined, ""),
        Some("Localhost") => {
            let name = profile.and_then(|profile| profile.localhost_profile.as_deref()).unwrap_or_default();
            (ProfileType::Localhost, name)
        }
        _ => (ProfileType::RuntimeDefault, ""),
    };
    let localhost_ref =
        if local.is_empty() { String::new() } else { profiles.join(local).to_string_lossy().into_owned() };
    SecurityProfile { profile_type: kind as i32, localhost_ref }
}

/// What the sandbox runs as.
pub(crate) fn of_sandbox(pod: &Pod, profiles: &Path) -> LinuxSandboxSecurityContext {
    let context = pod_context(pod);
    let (supplemental_groups, policy) = supplemental_groups(pod);
    let any_privileged =
        pod::containers::all(pod).any(|(_, container)| privileged(container.security_context.as_ref()));
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod, None)),
        run_as_user: context.and_then(|context| context.run_as_user).map(|value| Int64Value { value }),
        run_as_group: context.and_then(|context| context.run_as_group).map(|value| Int64Value { value }),
        supplemental_groups,
        supplemental_groups_policy: policy as i32,
        privileged: any_privileged,
        seccomp: Some(seccomp(context.and_then(|context| context.seccomp_profile.as_ref()), any_privileged, profiles)),
        ..LinuxSandboxSecurityContext::default()
    }
}

/// What one container runs as.
pub(crate) fn of_container(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
    target: Option<&str>,
    profiles: &Path,
) -> LinuxContainerSecurityContext {
    let (own, shared) = (container.security_context.as_ref(), pod_context(pod));
    let privileged = privileged(own);
    let run_as_user = own.and_then(|own| own.run_as_user).or(shared.and_then(|shared| shared.run_as_user));
    let run_as_group = own.and_then(|own| own.run_as_group).or(shared.and_then(|shared| shared.run_as_group));
    let profile = own.and_then(|own| own.seccomp_profile.as_ref());
    let profile = profile.or(shared.and_then(|shared| shared.seccomp_profile.as_ref()));
    let (supplemental_groups, policy) = supplemental_groups(pod);
    let bare = privileged || own.and_then(|own| own.proc_mount.as_deref()) == Some("Unmasked");
    let paths = |list: &[&str]| if bare { Vec::new() } else { list.iter().map(|path| path.to_string()).collect() };
    let by_name = run_as_user.is_none() && image.uid.is_none();
    LinuxContainerSecurityContext {
        capabilities: own.and_then(|own| own.capabilities.as_ref()).map(|capabilities| Capability {
            add_capabilities: capabilities.add.clone().unwrap_or_default(),
            drop_capabilities: capabilities.drop.clone().unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespaces(pod, target)),
        run_as_user: run_as_user.or(image.uid).map(|value| Int64Value { value }),
        run_as_group: run_as_group.map(|value| Int64Value { value }),
        run_as_username: if by_name { image.name.clone() } else { String::new() },
        readonly_rootfs: own.and_then(|own| own.read_only_root_filesystem).unwrap_or(false),
        supplemental_groups,
        supplemental_groups_policy: policy as i32,
        no_new_privs: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(seccomp(profile, privileged, profiles)),
        ..LinuxContainerSecurityContext::default()
    }
}

/// `runAsNonRoot` is held, or why not.
pub(crate) fn verify_non_root(pod: &Pod, container: &Container, image: &ImageUser) -> Result<(), String> {
    let (own, shared) = (container.security_context.as_ref(), pod_context(pod));
    let wanted = own.and_then(|own| own.run_as_non_root).or(shared.and_then(|shared| shared.run_as_non_root));
    if wanted != Some(true) {
        return Ok(());
    }
    let user = own.and_then(|own| own.run_as_user).or(shared.and_then(|shared| shared.run_as_user));
    let whose = format!("(pod: {:?}, container: {})", pod::described(pod), container.name);
    match (user, image.uid) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {whose}")),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(format!("container has runAsNonRoot and image will run as root {whose}")),
        (None, None) if !image.name.is_empty() => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {whose}",
            image.name
        )),
        (None, _) => Ok(()),
    }
}

/// The container whose process namespace an ephemeral one joins, by name.
pub(crate) fn target_name<'a>(pod: &'a Pod, container: &Container) -> Option<&'a str> {
    target_of(pod, &container.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_root_is_verified_in_upstreams_words() {
        let check = |context: &str, image: ImageUser, wanted: &str| {
            let pod = pod::tests::from_yaml(&format!(
                "spec: {{containers: [{{name: a, securityContext: {{runAsNonRoot: true, {context}}}}}]}}"
            ));
            let result = verify_non_root(&pod, &pod::spec(&pod).containers[0], &image);
            assert_eq!(result.err().unwrap_or_default(), wanted, "{context}");
        };
        let user = |uid: Option<i64>, name: &str| ImageUser { uid, name: name.into() };
        let whose = "(pod: \"web_default(u1)\", container: a)";
        check("runAsUser: 0", user(Some(5), ""), &format!("container's runAsUser breaks non-root policy {whose}"));
        check("runAsUser: 1", user(Some(0), ""), "");
        check("", user(Some(0), ""), &format!("container has runAsNonRoot and image will run as root {whose}"));
        let text = format!(
            "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root {whose}"
        );
        check("", user(None, "www"), &text);
        check("", user(Some(7), ""), "");
    }

    #[test]
    fn namespaces_follow_the_spec() {
        let check = |spec: &str, target: Option<&str>, wanted: [NamespaceMode; 3]| {
            let pod = pod::tests::from_yaml(&format!("spec: {{{spec} containers: []}}"));
            let option = namespaces(&pod, target);
            assert_eq!([option.network, option.pid, option.ipc], wanted.map(|mode| mode as i32), "{spec}");
        };
        use NamespaceMode::{Container, Node, Pod, Target};
        check("", None, [Pod, Container, Pod]);
        check("shareProcessNamespace: true,", None, [Pod, Pod, Pod]);
        check("hostNetwork: true, hostPID: true, hostIPC: true,", None, [Node, Node, Node]);
        check("", Some("id"), [Pod, Target, Pod]);
    }

    #[test]
    fn seccomp_is_the_runtimes_unless_asked_otherwise() {
        let profile = |kind: &str, local: Option<&str>| SeccompProfile {
            type_: kind.into(),
            localhost_profile: local.map(str::to_owned),
        };
        let root = Path::new("/p");
        let kind = |profile: Option<&SeccompProfile>, privileged| seccomp(profile, privileged, root).profile_type;
        assert_eq!(kind(None, false), ProfileType::RuntimeDefault as i32);
        assert_eq!(kind(None, true), ProfileType::Unconfined as i32);
        assert_eq!(kind(Some(&profile("Unconfined", None)), false), ProfileType::Unconfined as i32);
        assert_eq!(seccomp(Some(&profile("Localhost", Some("x.json"))), false, root).localhost_ref, "/p/x.json");
    }
}
