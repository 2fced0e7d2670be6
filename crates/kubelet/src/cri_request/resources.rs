//! A container's limits as CRI takes them.

use crate::pod::qos::oom_score_adj;
use crate::pod::resources::{CPU_PERIOD_US, cpu_quota_us, cpu_shares, limits, milli, requests, units};
use cri::v1::LinuxContainerResources;
use k8s_openapi::api::core::v1::{Container, Pod};

/// On v2 a container that lacks memory is killed whole, as upstream has it: none is left half alive, and the restart
/// policy decides.
const KILLED_TOGETHER: (&str, &str) = ("memory.oom.group", "1");

/// `memory_capacity` is the node's, in bytes; `unified` says whether its control groups are v2.
pub(crate) fn of_container(
    pod: &Pod,
    container: &Container,
    memory_capacity: i64,
    unified: bool,
) -> LinuxContainerResources {
    let (requests, limits) = (requests(container), limits(container));
    let cpu_limit = milli(limits, "cpu");
    // A limit without a request is a request too.
    let cpu_request = match requests.filter(|requests| requests.contains_key("cpu")) {
        Some(_) => milli(requests, "cpu"),
        None => cpu_limit,
    };
    LinuxContainerResources {
        cpu_period: CPU_PERIOD_US,
        cpu_quota: cpu_quota_us(cpu_limit).unwrap_or(0),
        cpu_shares: cpu_shares(cpu_request),
        memory_limit_in_bytes: units(limits, "memory"),
        oom_score_adj: oom_score_adj(pod, units(requests, "memory"), memory_capacity),
        // Other runtimes refuse files of v2 where there are none.
        unified: unified
            .then_some(KILLED_TOGETHER)
            .map(|(file, value)| (file.into(), value.into()))
            .into_iter()
            .collect(),
        ..LinuxContainerResources::default()
    }
}

/// The sandbox's own processes are killed last.
pub(crate) const SANDBOX_OOM_SCORE_ADJ: i64 = -998;
