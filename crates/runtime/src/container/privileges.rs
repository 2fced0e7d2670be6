//! What a container may do: capabilities, filters, hidden paths.

use std::path::PathBuf;

use cri::v1::{self, security_profile::ProfileType};
use kernel::capability::bit;
use tonic::Status;

use crate::record::{Filter, Plan};

/// What containerd gives: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE,
/// NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
const CAPABILITIES_DEFAULT: u64 = 0xa804_25fb;

/// What containerd hides when the kubelet does not say.
const MASKED_PATHS: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What containerd makes read-only when the kubelet does not say.
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Fills in everything about privileges. Never more than `bounding`, the node's own.
pub(super) fn fill(plan: &mut Plan, context: &v1::LinuxContainerSecurityContext, bounding: u64) -> Result<(), Status> {
    let profile = context.apparmor.as_ref().map(|profile| profile.profile_type());
    if profile == Some(ProfileType::Localhost) {
        return Err(Status::unimplemented("AppArmor profiles are not supported by this runtime yet"));
    }
    plan.privileged = context.privileged;
    plan.no_new_privileges = context.no_new_privs;
    plan.groups = context
        .supplemental_groups
        .iter()
        .map(|group| u32::try_from(*group).map_err(|_| Status::invalid_argument(format!("invalid group {group}"))))
        .collect::<Result<_, _>>()?;
    plan.image_groups = context.supplemental_groups_policy() == v1::SupplementalGroupsPolicy::Merge;
    let asked = context.capabilities.clone().unwrap_or_default();
    plan.capabilities = if context.privileged { u64::MAX } else { capabilities(&asked)? } & bounding;
    plan.ambient = mask(&asked.add_ambient_capabilities)? & plan.capabilities;
    if !context.privileged {
        plan.seccomp = filter(context)?;
        plan.masked_paths = or_default(&context.masked_paths, &MASKED_PATHS);
        plan.readonly_paths = or_default(&context.readonly_paths, &READONLY_PATHS);
    }
    Ok(())
}

fn or_default(given: &[String], default: &[&str]) -> Vec<String> {
    if given.is_empty() { default.iter().map(|path| (*path).to_owned()).collect() } else { given.to_vec() }
}

/// `ALL` first, then single ones added, then single ones dropped.
fn capabilities(asked: &v1::Capability) -> Result<u64, Status> {
    let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
    let mut set = CAPABILITIES_DEFAULT;
    if asked.add_capabilities.iter().any(is_all) {
        set = u64::MAX;
    }
    if asked.drop_capabilities.iter().any(is_all) {
        set = 0;
    }
    Ok((set | mask(&asked.add_capabilities)?) & !mask(&asked.drop_capabilities)?)
}

fn mask(names: &[String]) -> Result<u64, Status> {
    let unknown = |name: &str| Status::invalid_argument(format!("unknown capability {name:?}"));
    let single = names.iter().filter(|name| !name.eq_ignore_ascii_case("ALL"));
    single.map(|name| bit(name).ok_or_else(|| unknown(name))).try_fold(0, |mask, bit| Ok(mask | bit?))
}

fn filter(context: &v1::LinuxContainerSecurityContext) -> Result<Filter, Status> {
    let Some(profile) = &context.seccomp else { return old_filter(context) };
    match profile.profile_type() {
        ProfileType::RuntimeDefault => Ok(Filter::Default),
        ProfileType::Unconfined => Ok(Filter::Unconfined),
        ProfileType::Localhost => Ok(Filter::Local(PathBuf::from(&profile.localhost_ref))),
    }
}

/// The field that kubelets before 1.24 filled.
#[allow(deprecated)]
fn old_filter(context: &v1::LinuxContainerSecurityContext) -> Result<Filter, Status> {
    match context.seccomp_profile_path.as_str() {
        "" | "unconfined" => Ok(Filter::Unconfined),
        "runtime/default" | "docker/default" => Ok(Filter::Default),
        other => match other.strip_prefix("localhost/") {
            Some(path) => Ok(Filter::Local(PathBuf::from(path))),
            None => Err(Status::invalid_argument(format!("invalid seccomp profile {other:?}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_added_then_dropped() {
        let check = |add: &[&str], drop: &[&str], expected: u64| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let asked =
                v1::Capability { add_capabilities: list(add), drop_capabilities: list(drop), ..Default::default() };
            assert_eq!(capabilities(&asked).unwrap(), expected, "+{add:?} -{drop:?}");
        };
        check(&[], &[], 0xa804_25fb);
        check(&["NET_ADMIN"], &["CAP_CHOWN"], 0xa804_35fa);
        check(&["NET_BIND_SERVICE"], &["ALL"], 1 << 10);
        check(&["ALL"], &["SYS_ADMIN"], !(1 << 21));
        assert!(mask(&["NONSENSE".to_owned()]).is_err());
    }
}
