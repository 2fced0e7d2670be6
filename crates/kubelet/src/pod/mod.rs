//! What a pod's object says, read the way every part of the node needs it: identity, containers, resources.
//!
//! Invariants: pure; a pod from the API always has namespace, name and uid, and an absent one reads as empty.

pub(crate) mod containers;
pub(crate) mod qos;
pub(crate) mod resources;
pub(crate) mod restart;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use std::sync::{Arc, OnceLock};

/// A pod's uid: what tells two pods of one name apart.
pub(crate) type Uid = Arc<str>;

/// Seconds a pod gets to end when neither it nor its deletion says.
const GRACE_SECONDS_DEFAULT: i64 = 30;

pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The spec; a pod without one has no containers and is refused at admission.
pub(crate) fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: OnceLock<PodSpec> = OnceLock::new();
    pod.spec.as_ref().unwrap_or_else(|| EMPTY.get_or_init(PodSpec::default))
}

pub(crate) fn status(pod: &Pod) -> &PodStatus {
    static EMPTY: OnceLock<PodStatus> = OnceLock::new();
    pod.status.as_ref().unwrap_or_else(|| EMPTY.get_or_init(PodStatus::default))
}

/// `name_namespace(uid)`, as upstream names a pod in messages.
pub(crate) fn described(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// Whether the API says that it has ended for good.
pub(crate) fn is_terminal(pod: &Pod) -> bool {
    matches!(status(pod).phase.as_deref(), Some("Succeeded" | "Failed"))
}

pub(crate) fn is_host_network(pod: &Pod) -> bool {
    spec(pod).host_network.unwrap_or(false)
}

/// Seconds that ending it may take: the deletion's grace, else the spec's. At least one, as upstream.
pub(crate) fn grace_seconds(pod: &Pod) -> i64 {
    let own = spec(pod).termination_grace_period_seconds.unwrap_or(GRACE_SECONDS_DEFAULT);
    let deletion = pod.metadata.deletion_timestamp.as_ref().and(pod.metadata.deletion_grace_period_seconds);
    deletion.unwrap_or(own).max(1)
}

/// The host name inside the pod, cut as the kernel and DNS demand.
pub(crate) fn hostname(pod: &Pod) -> String {
    let given = spec(pod).hostname_override.as_deref().or(spec(pod).hostname.as_deref());
    let wanted = given.filter(|given| !given.is_empty()).unwrap_or_else(|| name(pod));
    let cut: String = wanted.chars().take(HOSTNAME_CHARS_MAX).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// The kernel holds 64 bytes, one of them for the end.
const HOSTNAME_CHARS_MAX: usize = 63;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pod from YAML, with the identity that tests expect where it names none.
    pub(crate) fn from_yaml(yaml: &str) -> Pod {
        let mut pod: Pod = serde_saphyr::from_str(yaml).expect("the test's pod is well-formed");
        pod.metadata.name.get_or_insert_with(|| "web".into());
        pod.metadata.namespace.get_or_insert_with(|| "default".into());
        pod.metadata.uid.get_or_insert_with(|| "u1".into());
        pod
    }

    #[test]
    fn grace_is_the_deletions_then_the_specs_and_never_zero() {
        let check = |yaml: &str, seconds: i64| assert_eq!(grace_seconds(&from_yaml(yaml)), seconds, "{yaml}");
        check("spec: {containers: []}", 30);
        check("spec: {containers: [], terminationGracePeriodSeconds: 5}", 5);
        check("{metadata: {deletionGracePeriodSeconds: 7}, spec: {containers: []}}", 30);
        let deleted = "deletionTimestamp: 2026-01-01T00:00:00Z, deletionGracePeriodSeconds";
        check(&format!("{{metadata: {{{deleted}: 7}}, spec: {{containers: []}}}}"), 7);
        check(&format!("{{metadata: {{{deleted}: 0}}, spec: {{containers: []}}}}"), 1);
    }

    #[test]
    fn long_host_names_are_cut() {
        let pod = from_yaml(&format!("{{metadata: {{name: {}-b}}, spec: {{containers: []}}}}", "a".repeat(62)));
        assert_eq!(hostname(&pod), "a".repeat(62));
    }
}
