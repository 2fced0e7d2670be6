//! Quality of service: which pods lose first when the node runs short.

use super::containers::{Role, all};
use super::resources::{limits, milli, requests, units};
use k8s_openapi::api::core::v1::Pod;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}

/// Guaranteed: every container's CPU and memory limits are set and equal its requests. BestEffort: none has either.
pub(crate) fn class(pod: &Pod) -> Qos {
    match super::status(pod).qos_class.as_deref() {
        Some("Guaranteed") => return Qos::Guaranteed,
        Some("Burstable") => return Qos::Burstable,
        Some("BestEffort") => return Qos::BestEffort,
        _ => {}
    }
    let (mut any, mut guaranteed) = (false, true);
    for (role, container) in all(pod) {
        if role == Role::Ephemeral {
            continue;
        }
        for (name, amount) in [("cpu", milli as fn(_, &_) -> _), ("memory", units)] {
            let (request, limit) = (amount(requests(&container), name), amount(limits(&container), name));
            any |= request > 0 || limit > 0;
            guaranteed &= limit > 0 && (request == 0 || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// `oom_score_adj` of a container. `memory_capacity` is the node's, in bytes.
pub(crate) fn oom_score_adj(pod: &Pod, memory_request: i64, memory_capacity: i64) -> i64 {
    /// Bounds of what a burstable container gets: never as safe as a guaranteed one, always safer than best effort.
    const BURSTABLE: std::ops::RangeInclusive<i64> = 3..=999;
    if matches!(super::spec(pod).priority_class_name.as_deref(), Some("system-node-critical")) {
        return -997;
    }
    match class(pod) {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let share = i128::from(memory_request) * 1000 / i128::from(memory_capacity.max(1));
            (1000 - i64::try_from(share).unwrap_or(1000)).clamp(*BURSTABLE.start(), *BURSTABLE.end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::from_yaml;

    #[test]
    fn classes_follow_requests_and_limits() {
        let check = |resources: &str, wanted: Qos| {
            let pod = from_yaml(&format!("spec: {{containers: [{{name: a, resources: {{{resources}}}}}]}}"));
            assert_eq!(class(&pod), wanted, "{resources}");
        };
        check("", Qos::BestEffort);
        check("requests: {cpu: 100m}", Qos::Burstable);
        check("limits: {cpu: 100m, memory: 1Mi}", Qos::Guaranteed);
        check("limits: {cpu: 100m, memory: 1Mi}, requests: {cpu: 0.1, memory: 1Mi}", Qos::Guaranteed);
        check("limits: {cpu: 100m, memory: 1Mi}, requests: {cpu: 50m}", Qos::Burstable);
        check("limits: {cpu: 100m}", Qos::Burstable);
        check("requests: {nvidia.com/gpu: 1}", Qos::BestEffort);
    }

    #[test]
    fn bigger_requests_are_killed_later() {
        let pod = from_yaml("spec: {containers: [{name: a, resources: {requests: {cpu: 100m}}}]}");
        assert_eq!([0, 250, 999, 2000].map(|request| oom_score_adj(&pod, request, 1000)), [999, 750, 3, 3]);
    }
}
