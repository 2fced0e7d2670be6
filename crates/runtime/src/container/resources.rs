//! CRI's limits as a cgroup's.

use cri::v1;
use kernel::cgroup::Limits;

/// What a container's group is limited to. Zero means that nothing is asked.
pub(super) fn limits(resources: &v1::LinuxContainerResources) -> Limits {
    let positive = |value: i64| Some(value).filter(|value| *value > 0);
    let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    Limits {
        memory_bytes_max: positive(resources.memory_limit_in_bytes),
        memory_and_swap_bytes_max: positive(resources.memory_swap_limit_in_bytes),
        cpu_shares: positive(resources.cpu_shares).and_then(|shares| u64::try_from(shares).ok()),
        cpu_quota_us: Some(resources.cpu_quota).filter(|quota| *quota != 0),
        cpu_period_us: positive(resources.cpu_period).and_then(|period| u64::try_from(period).ok()),
        pids_max: None,
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        // A size of zero is every page size that the pod does not use.
        hugepages: resources
            .hugepage_limits
            .iter()
            .filter(|limit| limit.limit > 0)
            .map(|limit| (limit.page_size.clone(), limit.limit))
            .collect(),
        unified: resources.unified.clone().into_iter().collect(),
    }
}

/// What is in force after an update that leaves out what it does not change.
pub(super) fn merge(current: &mut v1::LinuxContainerResources, update: &v1::LinuxContainerResources) {
    let numbers = [
        (&mut current.cpu_period, update.cpu_period),
        (&mut current.cpu_quota, update.cpu_quota),
        (&mut current.cpu_shares, update.cpu_shares),
        (&mut current.memory_limit_in_bytes, update.memory_limit_in_bytes),
        (&mut current.memory_swap_limit_in_bytes, update.memory_swap_limit_in_bytes),
        (&mut current.oom_score_adj, update.oom_score_adj),
    ];
    for (to, from) in numbers {
        if from != 0 {
            *to = from;
        }
    }
    for (to, from) in [(&mut current.cpuset_cpus, &update.cpuset_cpus), (&mut current.cpuset_mems, &update.cpuset_mems)]
    {
        if !from.is_empty() {
            to.clone_from(from);
        }
    }
    if !update.hugepage_limits.is_empty() {
        current.hugepage_limits.clone_from(&update.hugepage_limits);
    }
    current.unified.extend(update.unified.clone());
}
