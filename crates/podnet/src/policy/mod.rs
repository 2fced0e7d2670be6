//! NetworkPolicy: who may open connections with this node's pods.
//!
//! Invariants: rules follow from Pods, Namespaces and NetworkPolicies alone (`view`, pure); every change is one `nft`
//! transaction of just the difference (`script`, pure); a transaction that fails is followed by one that replaces the
//! table whole, and until that one succeeds the rules before it hold. The rules stay when the process ends.
//!
//! A packet meets them thus: what belongs to a known connection passes; a new connection passes `egress` where it
//! leaves an isolated pod of this node (on its way to other pods, to the world, or to the node itself) and `ingress`
//! where it enters one. Both come after service addresses have become endpoints. What a node's own processes send to
//! its pods is not filtered, so that probes work; pods on the node's network are the node.
//!
//! DNS is no pod here but a process of each node, behind a service address on loopback. A peer that selects pods
//! labelled `k8s-app: kube-dns` in `kube-system` means that address, port 53 (container ports `dns`, `dns-tcp`).
//!
//! A peer may be any pod of the cluster: this is why `sampan:node` lets nodes read all pods.

mod facts;
mod numbers;
mod plan;
mod policies;
mod rules;
mod script;
#[cfg(test)]
mod tests;
mod view;

pub use policies::{Admission, Policies, PolicyError, PolicyOptions};
pub use view::AdmittedPod;
