//! What the rules need of a pod, decoded straight from the API's bytes.
//!
//! A node keeps this of every pod in the cluster, so it is a tenth of the whole object.

use super::rules::{PortName, Protocol};
use api::Kind;
use api::ResourceDef;
use api::k8s_openapi::api::core::v1::Pod;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use api::k8s_openapi::{Metadata, Resource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

pub(crate) type Labels = BTreeMap<String, String>;

/// A pod as these caches hold it: the metadata is what the cache itself needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Wire")]
pub(crate) struct SlimPod {
    metadata: ObjectMeta,
    #[serde(skip_serializing)]
    pub(crate) facts: Arc<Facts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) node: String,
    /// `None` while it has none, once it has ended, and always on the node's network.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) ended: bool,
    pub(crate) terminating: bool,
    pub(crate) created: Option<Time>,
    pub(crate) ports: BTreeMap<PortName, u16>,
}

impl Resource for SlimPod {
    const API_VERSION: &'static str = Pod::API_VERSION;
    const GROUP: &'static str = Pod::GROUP;
    const KIND: &'static str = Pod::KIND;
    const VERSION: &'static str = Pod::VERSION;
    const URL_PATH_SEGMENT: &'static str = Pod::URL_PATH_SEGMENT;
    type Scope = <Pod as Resource>::Scope;
}

impl Metadata for SlimPod {
    type Ty = ObjectMeta;
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Kind for SlimPod {
    const DEF: ResourceDef = Pod::DEF;
}

#[derive(Deserialize)]
struct Wire {
    metadata: WireMeta,
    #[serde(default)]
    spec: Option<WireSpec>,
    #[serde(default)]
    status: Option<WireStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<Labels>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    node_name: Option<String>,
    host_network: Option<bool>,
    containers: Option<Vec<WireContainer>>,
    init_containers: Option<Vec<WireContainer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    restart_policy: Option<String>,
    ports: Option<Vec<WirePort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePort {
    name: Option<String>,
    protocol: Option<String>,
    container_port: i32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<WireAddress>>,
}

#[derive(Deserialize)]
struct WireAddress {
    #[serde(default)]
    ip: String,
}

impl From<Wire> for SlimPod {
    fn from(wire: Wire) -> SlimPod {
        let spec = wire.spec.unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let addresses = status.pod_ips.iter().flatten().map(|address| &address.ip).chain(&status.pod_ip);
        let address = addresses.filter_map(|address| address.parse().ok()).next();
        let facts = Facts {
            namespace: wire.metadata.namespace.clone().unwrap_or_default(),
            uid: wire.metadata.uid.unwrap_or_default(),
            labels: wire.metadata.labels.unwrap_or_default(),
            node: spec.node_name.clone().unwrap_or_default(),
            address: address.filter(|_| !ended && spec.host_network != Some(true)),
            ended,
            terminating: wire.metadata.deletion_timestamp.is_some(),
            created: wire.metadata.creation_timestamp,
            ports: spec.named_ports(),
        };
        let metadata = ObjectMeta {
            namespace: wire.metadata.namespace,
            name: wire.metadata.name,
            resource_version: wire.metadata.resource_version,
            ..ObjectMeta::default()
        };
        SlimPod { metadata, facts: Arc::new(facts) }
    }
}

impl WireSpec {
    /// Of containers and of init containers that go on running; the first of a name counts.
    fn named_ports(&self) -> BTreeMap<PortName, u16> {
        let stays = |container: &&WireContainer| container.restart_policy.as_deref() == Some("Always");
        let sidecars = self.init_containers.iter().flatten().filter(stays);
        let mut named = BTreeMap::new();
        for port in
            self.containers.iter().flatten().chain(sidecars).flat_map(|container| container.ports.iter().flatten())
        {
            let number = u16::try_from(port.container_port);
            if let (Some(name), Some(protocol), Ok(number)) =
                (&port.name, Protocol::parse(port.protocol.as_deref()), number)
            {
                named.entry(PortName { protocol, name: name.clone() }).or_insert(number);
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pod: serde_json::Value) -> Arc<Facts> {
        serde_json::from_value::<SlimPod>(pod).unwrap().facts
    }

    #[test]
    fn an_address_counts_while_the_pod_runs_on_its_own_network() {
        let table = [
            (serde_json::json!({"podIP": "10.42.0.2", "phase": "Running"}), false, true),
            (serde_json::json!({"podIPs": [{"ip": "fd00::2"}, {"ip": "10.42.0.2"}]}), false, true),
            (serde_json::json!({"podIP": "10.42.0.2", "phase": "Succeeded"}), false, false),
            (serde_json::json!({"podIP": "10.42.0.2", "phase": "Failed"}), false, false),
            (serde_json::json!({"podIP": "10.42.0.2", "phase": "Running"}), true, false),
            (serde_json::json!({"podIP": ""}), false, false),
        ];
        for (status, host_network, has) in table {
            let facts =
                facts(serde_json::json!({"metadata": {}, "spec": {"hostNetwork": host_network}, "status": status}));
            assert_eq!(facts.address, has.then(|| "10.42.0.2".parse().unwrap()), "{status} {host_network}");
        }
    }

    #[test]
    fn ports_have_their_first_number_and_ended_init_containers_none() {
        let port = |name: &str, number: u16, protocol: &str| serde_json::json!({"name": name, "containerPort": number, "protocol": protocol});
        let facts = facts(serde_json::json!({
            "metadata": {"labels": null},
            "spec": {
                "containers": [{"ports": [port("web", 8080, "TCP"), {"containerPort": 9}]}, {"ports": [port("web", 81, "TCP"), port("web", 53, "UDP")]}],
                "initContainers": [{"ports": [port("once", 1, "TCP")]}, {"restartPolicy": "Always", "ports": [port("side", 2, "SCTP")]}],
            }
        }));
        let ports: Vec<String> =
            facts.ports.iter().map(|(name, port)| format!("{}/{} {port}", name.name, name.protocol.name())).collect();
        assert_eq!(ports, ["web/tcp 8080", "web/udp 53", "side/sctp 2"]);
    }
}
