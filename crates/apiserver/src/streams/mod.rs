//! Logs, exec, attach and port-forward: handed on to the kubelet of the pod's node; and `proxy`, to whatever it names.
//!
//! Invariant: the server understands none of the protocols inside; after a 101 it splices bytes both ways, WebSocket and
//! SPDY alike.

pub(crate) mod cluster_logs;
mod dial;
mod logs;
mod options;
mod pod;
mod proxy;
mod splice;

pub use dial::KubeletAccess;
pub(crate) use logs::logs;
pub(crate) use proxy::{headers, proxy};
pub(crate) use splice::{connect, splice};
