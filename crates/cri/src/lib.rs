//! The Container Runtime Interface: its messages, and the one trait the kubelet speaks, whoever answers.
//!
//! An in-process runtime implements [`Runtime`]; [`Remote`] speaks gRPC to a socket and is one too;
//! [`serve`] offers any of them on a socket. Nothing here knows what a container is made of.

mod calls;
mod remote;
mod serve;

pub use calls::{Events, Runtime};
pub use k8s_cri::v1;
pub use remote::Remote;
pub use serve::serve;

/// The largest message either side accepts. Upstream's kubelet and containerd both allow 16 MiB
/// (`maxMsgSize` in cri-client): an exec's output is cut there, not refused.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
