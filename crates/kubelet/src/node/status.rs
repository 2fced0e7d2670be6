//! The node's status, from what is known of it.
//!
//! Invariants: pure; a condition's transition time changes only with its status.

use super::machine::Machine;
use crate::pod::resources::Amounts;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// What does not change while the process runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) port: u16,
    pub(crate) max_pods: usize,
    /// `name://version` of the runtime.
    pub(crate) runtime_version: String,
    pub(crate) machine: Machine,
}

/// What does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Why the runtime or the network is not ready; empty when they are.
    pub(crate) not_ready: Vec<String>,
    pub(crate) memory_pressure: bool,
    pub(crate) disk_pressure: bool,
    pub(crate) pid_pressure: bool,
}

/// `base` is the status that the API has: what others wrote there is kept.
pub(crate) fn status(
    base: &NodeStatus,
    identity: &Identity,
    health: &Health,
    images: Vec<ContainerImage>,
    now: Timestamp,
) -> NodeStatus {
    let machine = &identity.machine;
    let (major, minor, version) = api::KUBERNETES_VERSION;
    debug_assert!(version.starts_with(&format!("v{major}.{minor}.")));
    let mut addresses: Vec<NodeAddress> =
        identity.addresses.iter().map(|address| node_address("InternalIP", address)).collect();
    addresses.push(node_address("Hostname", &identity.name));
    NodeStatus {
        addresses: Some(addresses),
        capacity: Some(amounts(&machine.capacity, identity.max_pods)),
        allocatable: Some(amounts(&machine.allocatable, identity.max_pods)),
        conditions: Some(conditions(base, health, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: identity.port.into() }),
        }),
        node_info: Some(NodeSystemInfo {
            architecture: machine.architecture.to_owned(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: identity.runtime_version.clone(),
            kernel_version: machine.kernel_version.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: version.to_owned(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.system_uuid.clone(),
            ..NodeSystemInfo::default()
        }),
        images: Some(images).filter(|images| !images.is_empty()),
        ..base.clone()
    }
}

/// Whether two statuses differ in more than their heartbeats.
pub(crate) fn differs(one: &NodeStatus, other: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    still(one) != still(other)
}

fn node_address(kind: &str, address: &str) -> NodeAddress {
    NodeAddress { type_: kind.to_owned(), address: address.to_owned() }
}

fn amounts(amounts: &Amounts, max_pods: usize) -> BTreeMap<String, Quantity> {
    let cpu = if amounts.cpu_milli % 1000 == 0 {
        (amounts.cpu_milli / 1000).to_string()
    } else {
        format!("{}m", amounts.cpu_milli)
    };
    [
        ("cpu", cpu),
        ("memory", format!("{}Ki", amounts.memory_bytes >> 10)),
        ("ephemeral-storage", format!("{}Ki", amounts.ephemeral_storage_bytes >> 10)),
        ("pods", max_pods.to_string()),
    ]
    .map(|(name, text)| (name.to_owned(), Quantity(text)))
    .into()
}

fn conditions(base: &NodeStatus, health: &Health, now: Timestamp) -> Vec<NodeCondition> {
    let pressure = |is: bool, name: &str, good: &str, bad: &str, what: &str| {
        let message =
            if is { format!("kubelet has {bad} {what}") } else { format!("kubelet has {good} {what} available") };
        let reason = match (is, name) {
            (true, "MemoryPressure") => "KubeletHasInsufficientMemory",
            (false, "MemoryPressure") => "KubeletHasSufficientMemory",
            (true, "DiskPressure") => "KubeletHasDiskPressure",
            (false, "DiskPressure") => "KubeletHasNoDiskPressure",
            (true, _) => "KubeletHasInsufficientPID",
            (false, _) => "KubeletHasSufficientPID",
        };
        (name.to_owned(), is, reason, message)
    };
    let mut disk = pressure(health.disk_pressure, "DiskPressure", "", "", "");
    disk.3 = if health.disk_pressure { "kubelet has disk pressure" } else { "kubelet has no disk pressure" }.to_owned();
    let ready = if health.not_ready.is_empty() {
        ("Ready".to_owned(), true, "KubeletReady", "kubelet is posting ready status".to_owned())
    } else {
        ("Ready".to_owned(), false, "KubeletNotReady", format!("[{}]", health.not_ready.join(", ")))
    };
    let mut own = vec![
        pressure(health.memory_pressure, "MemoryPressure", "sufficient", "insufficient", "memory"),
        disk,
        pressure(health.pid_pressure, "PIDPressure", "sufficient", "insufficient", "PID"),
        ready,
    ];
    if own[3].3.starts_with('[') && health.not_ready.len() == 1 {
        own[3].3 = health.not_ready[0].clone();
    }
    let before = base.conditions.as_deref().unwrap_or_default();
    let second = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let mut conditions: Vec<NodeCondition> =
        before.iter().filter(|condition| !own.iter().any(|(name, ..)| *name == condition.type_)).cloned().collect();
    for (name, holds, reason, message) in own {
        let status = if holds { "True" } else { "False" };
        let same = before.iter().find(|condition| condition.type_ == name && condition.status == status);
        conditions.push(NodeCondition {
            type_: name,
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_heartbeat_time: Some(second.clone()),
            last_transition_time: same
                .and_then(|same| same.last_transition_time.clone())
                .or_else(|| Some(second.clone())),
        });
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn identity() -> Identity {
        let capacity = Amounts { cpu_milli: 2000, memory_bytes: 1 << 30, ephemeral_storage_bytes: 1 << 20 };
        let machine = Machine { capacity, allocatable: capacity, ..Machine::default() };
        Identity {
            name: "n1".into(),
            addresses: vec!["192.0.2.1".into()],
            port: 10250,
            max_pods: 250,
            runtime_version: "sampan://1".into(),
            machine,
        }
    }

    fn ready(status: &NodeStatus) -> NodeCondition {
        status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").cloned().unwrap()
    }

    #[test]
    fn readiness_changes_its_transition_time_only_when_it_changes() {
        let health = Health { not_ready: vec!["network is not ready".into()], ..Health::default() };
        let first = status(&NodeStatus::default(), &identity(), &health, vec![], at(1));
        assert_eq!(
            (ready(&first).status.as_str(), ready(&first).message.as_deref()),
            ("False", Some("network is not ready"))
        );
        let second = status(&first, &identity(), &health, vec![], at(2));
        assert_eq!(ready(&second).last_transition_time, ready(&first).last_transition_time);
        assert!(!differs(&first, &second), "a heartbeat alone is no difference");
        let third = status(&second, &identity(), &Health::default(), vec![], at(3));
        assert_eq!((ready(&third).status.as_str(), ready(&third).last_transition_time), ("True", Some(Time(at(3)))));
        assert!(differs(&second, &third));
    }

    #[test]
    fn others_conditions_and_fields_are_kept() {
        let base: NodeStatus =
            serde_saphyr::from_str("{conditions: [{type: NetworkUnavailable, status: 'False'}], phase: x}").unwrap();
        let status = status(&base, &identity(), &Health { memory_pressure: true, ..Health::default() }, vec![], at(1));
        let conditions = status.conditions.unwrap();
        assert_eq!(conditions[0].type_, "NetworkUnavailable");
        assert_eq!(
            (conditions[1].status.as_str(), conditions[1].message.as_deref()),
            ("True", Some("kubelet has insufficient memory"))
        );
        assert_eq!(status.phase.as_deref(), Some("x"));
        assert_eq!(status.capacity.unwrap()["memory"].0, "1048576Ki");
    }
}
