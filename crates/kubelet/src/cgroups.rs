//! The node's control groups: one per pod, below the tier of its quality of service.
//!
//! Layout as upstream's cgroupfs driver: `<root>/kubepods/{pod<uid>, burstable/pod<uid>, besteffort/pod<uid>}`.

use crate::pod;
use crate::pod::qos::{self, Qos};
use crate::pod::resources::{CPU_PERIOD_US, cpu_quota_us, cpu_shares, pod_limits, pod_requests};
use k8s_openapi::api::core::v1::Pod;
use kernel::cgroup::{Cgroup, Layout, Limits};
use std::time::Duration;

/// How long the last processes of a pod may take to die once killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether all of the machine's controllers are in the v2 tree.
pub(crate) fn are_unified() -> bool {
    Layout::detect().is_ok_and(Layout::is_v2)
}

#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    root: String,
}

impl Cgroups {
    /// Below `parent`, `/` or an absolute path.
    pub(crate) fn new(parent: &str) -> Cgroups {
        Cgroups { root: format!("{}/kubepods", parent.trim_end_matches('/')) }
    }

    pub(crate) fn of_pod(&self, pod: &Pod) -> String {
        format!("{}/pod{}", self.tier(qos::class(pod)), pod::uid(pod))
    }

    fn tier(&self, class: Qos) -> String {
        match class {
            Qos::Guaranteed => self.root.clone(),
            Qos::Burstable => format!("{}/burstable", self.root),
            Qos::BestEffort => format!("{}/besteffort", self.root),
        }
    }

    /// The tiers themselves. Blocks.
    pub(crate) fn make_tiers(&self) -> kernel::Result<()> {
        Cgroup::at(&self.root)?.create()?;
        Cgroup::at(self.tier(Qos::Burstable))?.create()?;
        self.weigh_burstable(0)?;
        let best_effort = Cgroup::at(self.tier(Qos::BestEffort))?;
        best_effort.create()?;
        best_effort.limit(&Limits { cpu_shares: Some(2), ..Limits::default() })
    }

    /// Burstable pods together weigh what they request. Blocks.
    pub(crate) fn weigh_burstable(&self, cpu_milli: i64) -> kernel::Result<()> {
        // Not made here: a node that shuts down must not make it anew.
        let tier = Cgroup::at(self.tier(Qos::Burstable))?;
        tier.limit(&Limits { cpu_shares: u64::try_from(cpu_shares(cpu_milli)).ok(), ..Limits::default() })
    }

    /// A pod's group with its limits. Blocks.
    pub(crate) fn make(&self, pod: &Pod) -> kernel::Result<()> {
        let group = Cgroup::at(self.of_pod(pod))?;
        group.create()?;
        let (cpu, memory) = pod_limits(pod);
        let quota = cpu.and_then(cpu_quota_us);
        group.limit(&Limits {
            cpu_shares: u64::try_from(cpu_shares(pod_requests(pod).cpu_milli)).ok(),
            cpu_period_us: quota.and_then(|_| u64::try_from(CPU_PERIOD_US).ok()),
            cpu_quota_us: quota,
            memory_bytes_max: memory,
            ..Limits::default()
        })
    }

    /// Kills what is left in a pod's group and removes it. Blocks.
    ///
    /// By the uid alone, as the class of a pod that is gone is not known.
    pub(crate) fn remove_by_uid(&self, uid: &str) -> kernel::Result<()> {
        for class in [Qos::Guaranteed, Qos::Burstable, Qos::BestEffort] {
            let group = Cgroup::at(format!("{}/pod{uid}", self.tier(class)))?;
            if group.exists() {
                group.end(END_TIMEOUT)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_lie_in_their_tier() {
        let check = |resources: &str, wanted: &str| {
            let pod =
                pod::tests::from_yaml(&format!("spec: {{containers: [{{name: a, resources: {{{resources}}}}}]}}"));
            assert_eq!(Cgroups::new("/x/").of_pod(&pod), wanted);
        };
        check("", "/x/kubepods/besteffort/podu1");
        check("requests: {cpu: 1}", "/x/kubepods/burstable/podu1");
        check("limits: {cpu: 1, memory: 1Mi}", "/x/kubepods/podu1");
        assert_eq!(Cgroups::new("/").root, "/kubepods");
    }
}
