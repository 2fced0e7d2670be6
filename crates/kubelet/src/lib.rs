//! The node agent: runs the pods that are bound to its node, against CRI alone.
//!
//! Invariants: decisions are pure (`pod_machine`); one task per pod carries them out (`worker`) and owns the only
//! actual state; ending the agent leaves containers running, and a new one finds everything again from the runtime.

mod actions;
mod agent;
pub mod certificates;
mod cgroups;
mod context;
mod cri_request;
mod dirs;
mod duration_text;
mod environment;
mod images;
mod logs;
mod making;
mod node;
mod objects;
mod options;
mod pod;
mod pod_machine;
mod probe_counts;
mod router;
mod running;
mod server;
mod status_writer;
mod volumes;
mod worker;

pub use agent::{Kubelet, StartError};
pub use node::thresholds::{ThresholdError, Thresholds};
pub use options::{Isolation, Options, Serving, Tls};
pub use running::{Running, RunningContainer, RunningPod, Usage, UsagePage};
pub use worker::cleanup::end_pods;
