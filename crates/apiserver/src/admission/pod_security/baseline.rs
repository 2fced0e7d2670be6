//! The baseline checks: what lets a pod out of its box.

use super::checks::Violation;
use super::pods::{Judged, Subject, distinct, quoted, setters, several};
use super::policy::Version;
use k8s_openapi::api::core::v1::{LifecycleHandler, SELinuxOptions};

const APP_ARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
/// What containers have anyway, and so may ask for.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Kernel settings that reach no other pod, each from the minor version that took it in.
const SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];
const SELINUX_TYPES: &[(&str, u32)] =
    &[("", 0), ("container_t", 0), ("container_init_t", 0), ("container_kvm_t", 0), ("container_engine_t", 31)];

fn allows(table: &[(&str, u32)], version: Version, value: &str) -> bool {
    table.iter().any(|(name, since)| *name == value && Version(*since) <= version)
}

pub(super) fn app_armor_profile(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let pod = subject.security().and_then(|security| security.app_armor_profile.as_ref());
    let pod = pod.map(|profile| profile.type_.as_str()).filter(|kind| !allowed(kind));
    let of = |container: &Judged<'_>| {
        let profile = container.security.and_then(|security| security.app_armor_profile.as_ref());
        profile.map(|profile| profile.type_.clone()).filter(|kind| !allowed(kind))
    };
    let bad = subject.named(|container| of(container).is_some());
    let mut details = Vec::new();
    if let Some(setters) = setters(pod.is_some(), &bad) {
        let values =
            distinct(pod.map(str::to_owned).into_iter().chain(subject.containers().filter_map(|one| of(&one))));
        details.push(format!("{setters} must not set AppArmor profile type to {}", quoted(&values)));
    }
    let annotations = subject.annotations.into_iter().flatten().filter(|(key, value)| {
        let known = value.is_empty() || *value == "runtime/default" || value.starts_with("localhost/");
        key.starts_with(APP_ARMOR_PREFIX) && !known
    });
    let annotations: Vec<String> = annotations.map(|(key, value)| format!("{key}={value:?}")).collect();
    if !annotations.is_empty() {
        let noun = if annotations.len() == 1 { "annotation" } else { "annotations" };
        details.push(format!("{noun} {}", annotations.join(", ")));
    }
    let reason = if details.len() == 1 { "forbidden AppArmor profile" } else { "forbidden AppArmor profiles" };
    (!details.is_empty()).then(|| Violation::new(reason, details.join("; ")))
}

/// The containers that add a capability that `allowed` does not have, and what they add.
pub(super) fn adding<'a>(subject: &Subject<'a>, allowed: &[&str]) -> (Vec<&'a str>, Vec<String>) {
    let added = |container: &Judged<'_>| -> Vec<String> {
        let added = container.capabilities().and_then(|capabilities| capabilities.add.as_deref()).unwrap_or_default();
        added.iter().filter(|one| !allowed.contains(&one.as_str())).cloned().collect()
    };
    let containers = subject.named(|container| !added(container).is_empty());
    (containers, distinct(subject.containers().flat_map(|container| added(&container))))
}

pub(super) fn capabilities(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let (containers, added) = adding(subject, CAPABILITIES);
    let who = several("container", &containers);
    let detail = format!("{who} must not include {} in securityContext.capabilities.add", quoted(&added));
    (!containers.is_empty()).then(|| Violation::new("non-default capabilities", detail))
}

pub(super) fn host_namespaces(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let spec = subject.spec;
    let all = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
    let set: Vec<String> =
        all.iter().filter(|(_, set)| *set == Some(true)).map(|(name, _)| format!("{name}=true")).collect();
    (!set.is_empty()).then(|| Violation::new("host namespaces", set.join(", ")))
}

pub(super) fn host_path_volumes(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let volumes = subject.volumes().iter().filter(|volume| volume.host_path.is_some());
    let names: Vec<&str> = volumes.map(|volume| volume.name.as_str()).collect();
    (!names.is_empty()).then(|| Violation::new("hostPath volumes", several("volume", &names)))
}

pub(super) fn host_ports(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    fn of<'a>(container: &Judged<'a>) -> impl Iterator<Item = i32> + use<'a> {
        container.ports.iter().filter_map(|port| port.host_port).filter(|port| *port != 0)
    }
    let containers = subject.named(|container| of(container).next().is_some());
    let ports = distinct(subject.containers().flat_map(|container| of(&container)));
    let list = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let verb = if containers.len() == 1 { "uses" } else { "use" };
    let noun = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let detail = format!("{} {verb} {noun} {list}", several("container", &containers));
    (!containers.is_empty()).then(|| Violation::new("hostPort", detail))
}

/// Probes and hooks that the node sends elsewhere than to the pod.
pub(super) fn probe_hosts(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let is_other = |host: Option<&String>| host.is_some_and(|host| !host.is_empty());
    let of_handler = |handler: Option<&LifecycleHandler>| {
        handler.is_some_and(|handler| {
            is_other(handler.http_get.as_ref().and_then(|get| get.host.as_ref()))
                || is_other(handler.tcp_socket.as_ref().and_then(|socket| socket.host.as_ref()))
        })
    };
    let containers = subject.named(|container| {
        let probed = container.probes.iter().flatten().any(|probe| {
            is_other(probe.http_get.as_ref().and_then(|get| get.host.as_ref()))
                || is_other(probe.tcp_socket.as_ref().and_then(|socket| socket.host.as_ref()))
        });
        let hooks = container.lifecycle.map(|lifecycle| [lifecycle.post_start.as_ref(), lifecycle.pre_stop.as_ref()]);
        probed || hooks.into_iter().flatten().any(of_handler)
    });
    let detail = format!("{} must not set probe or lifecycle host", several("container", &containers));
    (!containers.is_empty()).then(|| Violation::new("probe or lifecycle host", detail))
}

pub(super) fn privileged(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let names = subject.named(|one| one.security.is_some_and(|security| security.privileged == Some(true)));
    let detail = format!("{} must not set securityContext.privileged=true", several("container", &names));
    (!names.is_empty()).then(|| Violation::new("privileged", detail))
}

pub(super) fn proc_mount(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    if subject.has_own_users() {
        return None;
    }
    let of = |container: &Judged<'_>| {
        let mount = container.security.and_then(|security| security.proc_mount.clone());
        mount.filter(|mount| mount != "Default")
    };
    let names = subject.named(|container| of(container).is_some());
    let values = distinct(subject.containers().filter_map(|container| of(&container)));
    let who = several("container", &names);
    let detail = format!("{who} must not set securityContext.procMount to {}", quoted(&values));
    (!names.is_empty()).then(|| Violation::new("procMount", detail))
}

pub(super) fn selinux_options(subject: &Subject<'_>, version: Version) -> Option<Violation> {
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let kind = |options: &SELinuxOptions| options.type_.clone().filter(|kind| !allows(SELINUX_TYPES, version, kind));
    let bad = |options: &SELinuxOptions| kind(options).is_some() || set(&options.user) || set(&options.role);
    let of_pod = subject.security().and_then(|security| security.se_linux_options.as_ref()).filter(|own| bad(own));
    let of = |security: Option<&'_ k8s_openapi::api::core::v1::SecurityContext>| {
        security.and_then(|security| security.se_linux_options.clone()).filter(|own| bad(own))
    };
    let names = subject.named(|container| of(container.security).is_some());
    let setters = setters(of_pod.is_some(), &names)?;
    let all: Vec<SELinuxOptions> =
        of_pod.cloned().into_iter().chain(subject.containers().filter_map(|one| of(one.security))).collect();
    let types = distinct(all.iter().filter_map(kind));
    let mut details = Vec::new();
    if !types.is_empty() {
        details.push(several("type", &types));
    }
    if all.iter().any(|options| set(&options.user)) {
        details.push("user may not be set".to_owned());
    }
    if all.iter().any(|options| set(&options.role)) {
        details.push("role may not be set".to_owned());
    }
    let detail = format!("{setters} set forbidden securityContext.seLinuxOptions: {}", details.join("; "));
    Some(Violation::new("seLinuxOptions", detail))
}

/// Who sets a profile that is none, and to what.
pub(super) fn bad_seccomp(subject: &Subject<'_>) -> Option<Violation> {
    let allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let pod = subject.security().and_then(|security| security.seccomp_profile.as_ref());
    let pod = pod.map(|profile| profile.type_.clone()).filter(|kind| !allowed(kind));
    let of = |container: &Judged<'_>| {
        let profile = container.security.and_then(|security| security.seccomp_profile.as_ref());
        profile.map(|profile| profile.type_.clone()).filter(|kind| !allowed(kind))
    };
    let names = subject.named(|container| of(container).is_some());
    let setters = setters(pod.is_some(), &names)?;
    let values = distinct(pod.into_iter().chain(subject.containers().filter_map(|container| of(&container))));
    let detail = format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(&values));
    Some(Violation::new("seccompProfile", detail))
}

pub(super) fn seccomp(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    bad_seccomp(subject)
}

pub(super) fn sysctls(subject: &Subject<'_>, version: Version) -> Option<Violation> {
    let set = subject.security().and_then(|security| security.sysctls.as_deref()).unwrap_or_default();
    let names = set.iter().map(|sysctl| sysctl.name.as_str()).filter(|name| !allows(SYSCTLS, version, name));
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| Violation::new("forbidden sysctls", names.join(", ")))
}

pub(super) fn host_process(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let of_pod = subject.security().and_then(|security| security.windows_options.as_ref());
    let names = subject.named(|container| {
        let options = container.security.and_then(|security| security.windows_options.as_ref());
        options.is_some_and(|options| options.host_process == Some(true))
    });
    let setters = setters(of_pod.is_some_and(|options| options.host_process == Some(true)), &names)?;
    let detail = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation::new("hostProcess", detail))
}
