//! The pod network: an address per pod, routes between nodes, and who may talk to whom.
//!
//! Invariants: no bridge: each pod hangs on a routed veth pair with a /32; every name (interface, table) derives from
//! the cluster's id, so that clusters live side by side; what a crash left behind is found by name and removed.

mod attach;
mod base;
mod ipam;
mod netlink;
mod pods;
mod policy;
mod routes;

pub use base::{BaseOptions, prepare_node, reset};
pub use ipam::{IpamError, Pool};
pub use netlink::NetlinkError;
pub use pods::{NetworkError, PodNetwork};
pub use policy::{Admission, AdmittedPod, Policies, PolicyError, PolicyOptions};
pub use routes::{NodeRoutes, node_ranges};

/// The gateway that every pod sees; no machine has this address, each node answers for it by a permanent neighbour.
pub(crate) const GATEWAY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(169, 254, 1, 1);
/// The node's end of every pair has this hardware address: a pod knows it without asking.
pub(crate) const GATEWAY_MAC: [u8; 6] = [0xee; 6];
/// Marks our routes (`ip route show proto 83`), so that stale ones are told from others'.
pub(crate) const ROUTE_PROTOCOL: u8 = 83;

/// What distinguishes this cluster's kernel objects from another's on the same machine: eight hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(String);

impl ClusterId {
    /// Takes the first eight hexadecimal digits of an id such as the kube-system namespace's uid.
    pub fn new(id: &str) -> ClusterId {
        ClusterId(id.chars().filter(char::is_ascii_hexdigit).take(8).collect())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The prefix of every interface: the kernel allows 15 characters, 8 are left for the sandbox.
    pub(crate) fn interface_prefix(&self) -> String {
        format!("sp{}", &self.0[..self.0.len().min(4)])
    }
    /// The nft table for a duty, such as `sampan_1a2b3c4d_pods`.
    pub fn table(&self, duty: &str) -> String {
        format!("sampan_{}_{duty}", self.0)
    }
}
