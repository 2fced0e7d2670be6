//! Logs, exec, attach and port-forward: handed on to the kubelet of the pod's node.
//!
//! Invariant: the server understands none of the protocols inside; after the kubelet's 101 it splices bytes both ways,
//! WebSocket and SPDY alike.

mod dial;
mod logs;
mod pod;
mod splice;

pub use dial::KubeletAccess;
pub(crate) use logs::logs;
pub(crate) use splice::connect;
