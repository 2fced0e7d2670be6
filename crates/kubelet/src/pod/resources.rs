//! Requests and limits, of one container and of a whole pod, as numbers the kernel takes.

use super::containers::{Role, all};
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use std::collections::BTreeMap;

pub(crate) type List = BTreeMap<String, ApiQuantity>;

/// What a pod takes from its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpu_milli: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) ephemeral_storage_bytes: i64,
}

impl Amounts {
    fn of(list: Option<&List>) -> Amounts {
        Amounts {
            cpu_milli: milli(list, "cpu"),
            memory_bytes: units(list, "memory"),
            ephemeral_storage_bytes: units(list, "ephemeral-storage"),
        }
    }

    pub(crate) fn plus(self, other: Amounts) -> Amounts {
        Amounts {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            ephemeral_storage_bytes: self.ephemeral_storage_bytes.saturating_add(other.ephemeral_storage_bytes),
        }
    }

    fn largest(self, other: Amounts) -> Amounts {
        Amounts {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            ephemeral_storage_bytes: self.ephemeral_storage_bytes.max(other.ephemeral_storage_bytes),
        }
    }
}

/// A quantity that validation let through parses; one that does not counts as absent.
fn quantity(list: Option<&List>, name: &str) -> Option<Quantity> {
    list?.get(name).and_then(|quantity| Quantity::parse(&quantity.0).ok())
}

/// Thousandths; 0 where absent.
pub(crate) fn milli(list: Option<&List>, name: &str) -> i64 {
    quantity(list, name).map_or(0, Quantity::milli_value)
}

/// Whole units; 0 where absent.
pub(crate) fn units(list: Option<&List>, name: &str) -> i64 {
    quantity(list, name).map_or(0, Quantity::value)
}

pub(crate) fn requests(container: &Container) -> Option<&List> {
    container.resources.as_ref().and_then(|resources| resources.requests.as_ref())
}

pub(crate) fn limits(container: &Container) -> Option<&List> {
    container.resources.as_ref().and_then(|resources| resources.limits.as_ref())
}

/// The request, else the limit, as the API server's defaulting would have it.
fn requested(resources: Option<&ResourceRequirements>) -> Amounts {
    let Some(resources) = resources else { return Amounts::default() };
    let limits = Amounts::of(resources.limits.as_ref());
    let requests = Amounts::of(resources.requests.as_ref());
    let or = |request: i64, limit: i64| if request == 0 { limit } else { request };
    Amounts {
        cpu_milli: or(requests.cpu_milli, limits.cpu_milli),
        memory_bytes: or(requests.memory_bytes, limits.memory_bytes),
        ephemeral_storage_bytes: or(requests.ephemeral_storage_bytes, limits.ephemeral_storage_bytes),
    }
}

/// The most it may ask for at any moment: main containers and sidecars together, or an init container beside the
/// sidecars that started before it.
pub(crate) fn pod_requests(pod: &Pod) -> Amounts {
    let mut together = Amounts::default();
    let mut sidecars = Amounts::default();
    let mut init = Amounts::default();
    for (role, container) in all(pod) {
        let own = requested(container.resources.as_ref());
        match role {
            Role::Main => together = together.plus(own),
            Role::Sidecar => {
                sidecars = sidecars.plus(own);
                init = init.largest(sidecars);
            }
            Role::Init => init = init.largest(sidecars.plus(own)),
            Role::Ephemeral => {}
        }
    }
    let spec = super::spec(pod);
    let containers = together.plus(sidecars).largest(init);
    let own = spec.resources.as_ref().map(|resources| requested(Some(resources)));
    own.filter(|own| *own != Amounts::default()).unwrap_or(containers).plus(Amounts::of(spec.overhead.as_ref()))
}

/// A pod's limits; a resource has one only where every container that runs for long has one.
pub(crate) fn pod_limits(pod: &Pod) -> (Option<i64>, Option<i64>) {
    let spec = super::spec(pod);
    let own = spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let sum = |amount: &dyn Fn(Option<&List>) -> i64| -> Option<i64> {
        if amount(own) > 0 {
            return Some(amount(own));
        }
        let mut together = 0i64;
        let mut init = 0i64;
        for (role, container) in all(pod) {
            let limit = amount(limits(&container));
            match role {
                Role::Ephemeral => {}
                _ if limit == 0 => return None,
                Role::Init => init = init.max(limit),
                Role::Main | Role::Sidecar => together = together.saturating_add(limit),
            }
        }
        Some(together.max(init).saturating_add(amount(spec.overhead.as_ref()))).filter(|sum| *sum > 0)
    };
    (sum(&|list| milli(list, "cpu")), sum(&|list| units(list, "memory")))
}

/// Microseconds of a CFS period, the kernel's and upstream's default.
pub(crate) const CPU_PERIOD_US: i64 = 100_000;

/// v1 shares of a request; the kernel's least is 2.
pub(crate) fn cpu_shares(milli: i64) -> i64 {
    if milli <= 0 { 2 } else { (milli.saturating_mul(1024) / 1000).clamp(2, 262_144) }
}

/// CFS quota of a limit; `None` is no limit. The kernel's least is a millisecond.
pub(crate) fn cpu_quota_us(milli: i64) -> Option<i64> {
    (milli > 0).then(|| (milli.saturating_mul(CPU_PERIOD_US) / 1000).max(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::from_yaml;

    #[test]
    fn a_pod_asks_for_its_largest_moment() {
        let pod = from_yaml(
            "spec: {initContainers: [{name: s, restartPolicy: Always, resources: {requests: {cpu: 100m}}}, \
             {name: i, resources: {requests: {cpu: '1', memory: 1Mi}}}], \
             containers: [{name: a, resources: {limits: {cpu: 200m, memory: 4Mi}}}]}",
        );
        let amounts = pod_requests(&pod);
        assert_eq!((amounts.cpu_milli, amounts.memory_bytes), (1100, 4 << 20));
        assert_eq!(pod_limits(&pod), (None, None), "a container without a limit leaves the pod without one");
    }

    #[test]
    fn limits_add_up() {
        let pod = from_yaml(
            "spec: {containers: [{name: a, resources: {limits: {cpu: 200m, memory: 4Mi}}}, \
             {name: b, resources: {limits: {cpu: 300m, memory: 1Mi}}}]}",
        );
        assert_eq!(pod_limits(&pod), (Some(500), Some(5 << 20)));
    }

    #[test]
    fn shares_and_quota_keep_the_kernels_bounds() {
        assert_eq!([0, 1, 1000, 250].map(cpu_shares), [2, 2, 1024, 256]);
        assert_eq!([0, 1, 500].map(cpu_quota_us), [None, Some(1000), Some(50_000)]);
    }
}
