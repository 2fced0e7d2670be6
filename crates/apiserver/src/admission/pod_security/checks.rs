//! The table of checks, and what they say of a pod together.

use super::pods::Subject;
use super::policy::{Level, Standard, Version};
use super::{baseline, restricted};

/// What a pod does that it may not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    reason: &'static str,
    detail: String,
}

impl Violation {
    pub(super) fn new(reason: &'static str, detail: String) -> Violation {
        Violation { reason, detail }
    }
}

struct Check {
    level: Level,
    /// The first minor version of Kubernetes that checked it.
    since: u32,
    /// A stricter check of the same field speaks in its place at the restricted level.
    overridden: bool,
    judge: fn(&Subject<'_>, Version) -> Option<Violation>,
}

const fn base(judge: fn(&Subject<'_>, Version) -> Option<Violation>) -> Check {
    Check { level: Level::Baseline, since: 0, overridden: false, judge }
}

const fn strict(since: u32, judge: fn(&Subject<'_>, Version) -> Option<Violation>) -> Check {
    Check { level: Level::Restricted, since, overridden: false, judge }
}

/// In the order in which upstream reports them.
const CHECKS: &[Check] = &[
    base(baseline::app_armor_profile),
    Check { overridden: true, ..base(baseline::capabilities) },
    base(baseline::host_namespaces),
    Check { overridden: true, ..base(baseline::host_path_volumes) },
    base(baseline::host_ports),
    Check { since: 34, ..base(baseline::probe_hosts) },
    base(baseline::privileged),
    base(baseline::proc_mount),
    base(baseline::selinux_options),
    Check { overridden: true, ..base(baseline::seccomp) },
    base(baseline::sysctls),
    base(baseline::host_process),
    strict(8, restricted::privilege_escalation),
    strict(22, restricted::capabilities),
    strict(0, restricted::volumes),
    strict(0, restricted::run_as_non_root),
    strict(23, restricted::run_as_user),
    strict(19, restricted::seccomp),
];

fn found(subject: &Subject<'_>, standard: Standard) -> Vec<Violation> {
    let applies = |check: &&Check| {
        let spoken_for = check.overridden && standard.level == Level::Restricted;
        check.level <= standard.level && Version(check.since) <= standard.version && !spoken_for
    };
    CHECKS.iter().filter(applies).filter_map(|check| (check.judge)(subject, standard.version)).collect()
}

/// In what ways the pod violates the standard, without the details; `None` where it does not.
pub(super) fn reasons(subject: &Subject<'_>, standard: Standard) -> Option<String> {
    let reasons: Vec<&str> = found(subject, standard).iter().map(|one| one.reason).collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// How the pod violates the standard, in one sentence; `None` where it does not.
pub(super) fn violations(subject: &Subject<'_>, standard: Standard) -> Option<String> {
    let found = found(subject, standard);
    let texts: Vec<String> = found.iter().map(|one| format!("{} ({})", one.reason, one.detail)).collect();
    (!texts.is_empty()).then(|| format!("PodSecurity \"{standard}\": {}", texts.join(", ")))
}
