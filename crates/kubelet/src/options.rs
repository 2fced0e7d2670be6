//! What a node is told when it begins.

use crate::certificates::Identity;
use crate::node::thresholds::Thresholds;
use crate::running::Usage;
use async_trait::async_trait;
use client::Client;
use cri::Runtime;
use k8s_openapi::api::core::v1::{Pod, Taint};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Everything a node agent needs. `Options::new` fills in the usual values.
pub struct Options {
    pub node_name: String,
    /// Where pods and the API server reach the node; a second one of the other family may follow.
    pub node_ips: Vec<IpAddr>,
    pub client: Client,
    pub runtime: Arc<dyn Runtime>,
    /// Pods, logs and certificates are kept below it.
    pub data_dir: PathBuf,
    /// The cgroup above `kubepods`, `/` or an absolute path.
    pub cgroup_root: String,
    pub max_pods: usize,
    /// Below which the node is under pressure.
    pub eviction_hard: Thresholds,
    /// Empty: pods get the host's DNS.
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    pub tls: Tls,
    /// Where the server listens. Port 0 takes a free one.
    pub listen: IpAddr,
    pub port: u16,
    /// How long the node counts as alive without a heartbeat; it is renewed four times as often.
    pub lease_duration: Duration,
    /// Set once the pod network of this node is there: before, the node is not Ready.
    pub network_ready: watch::Receiver<bool>,
    /// `None`: pods start as soon as they have an address.
    pub isolation: Option<Arc<dyn Isolation>>,
    /// `None`: nothing measures this node, and its pages of usage say so.
    pub usage: Option<Arc<dyn Usage>>,
    /// Where logs go when their pods are gone, searched with those that are there; `None`: they go with their pods.
    pub archive: Option<Arc<logs::Archive>>,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
}

/// Who may talk to a pod: asked when it has its addresses and none of its containers runs, whichever runtime made it.
#[async_trait]
pub trait Isolation: Send + Sync {
    /// Returns when what is known to apply to the pod holds. An error, which the user reads, keeps the pod from
    /// starting; it is tried again with another sandbox.
    async fn isolate(&self, pod: &Pod, addresses: &[IpAddr]) -> Result<(), String>;
}

/// The node's certificates.
pub struct Tls {
    /// The authority of clients that may ask the node.
    pub client_ca_pem: String,
    pub serving: Serving,
    /// The certificate that `client` presents, to be renewed before it expires; `None`: somebody else's affair.
    pub client_identity: Option<Arc<Identity>>,
}

/// Where the server's certificate comes from.
pub enum Serving {
    Given(Arc<Identity>),
    /// Asked for with a CertificateSigningRequest, and renewed so.
    Requested,
}

impl Options {
    pub fn new(node_name: &str, node_ip: IpAddr, client: Client, runtime: Arc<dyn Runtime>, tls: Tls) -> Options {
        Options {
            node_name: node_name.to_owned(),
            node_ips: vec![node_ip],
            client,
            runtime,
            data_dir: PathBuf::from("/var/lib/sampan/kubelet"),
            cgroup_root: "/".to_owned(),
            max_pods: 1000,
            eviction_hard: Thresholds::default(),
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            tls,
            listen: IpAddr::from([0, 0, 0, 0]),
            port: 10250,
            lease_duration: Duration::from_secs(40),
            network_ready: watch::channel(true).1,
            isolation: None,
            usage: None,
            archive: None,
            labels: BTreeMap::new(),
            taints: Vec::new(),
        }
    }
}
