//! What the runtime wants of a pod network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;

/// A pod as a network sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodNetwork {
    /// The sandbox's id: one pod has another one after each restart of its sandbox.
    pub sandbox_id: String,
    /// The pod's network namespace, good for opening during the call. `None` when it has ended already, of its
    /// interfaces nothing is left then.
    pub netns: Option<PathBuf>,
    /// The pod's namespace, name and uid.
    pub namespace: String,
    /// See `namespace`.
    pub name: String,
    /// See `namespace`.
    pub uid: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Ports of the node that lead to the pod.
    pub host_ports: Vec<HostPort>,
}

/// A port of the node that leads to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// The pod's port.
    pub container_port: u16,
    /// The node's port.
    pub host_port: u16,
    /// The node's address; all of them when it is empty.
    pub host_ip: String,
}

/// Why a network could not be set up or torn down.
pub type NetworkError = Box<dyn std::error::Error + Send + Sync>;

/// A pod network.
#[async_trait]
pub trait Network: Send + Sync {
    /// Connects a pod and answers its addresses, the primary one first. Loopback is up already. On an error nothing
    /// is left behind.
    async fn setup(&self, pod: &PodNetwork) -> Result<Vec<IpAddr>, NetworkError>;

    /// Disconnects a pod and frees its addresses. Idempotent, also for a sandbox that was never set up.
    async fn teardown(&self, pod: &PodNetwork) -> Result<(), NetworkError>;
}
