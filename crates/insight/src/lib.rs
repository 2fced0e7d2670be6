//! Monitoring: what containers, pods and nodes use; sampled on each node, held and answered by the server.
//!
//! Flow: `node::Meter` samples and answers the kubelet's pages; each sample goes to the server, whose `server::Latest`
//! answers `metrics.k8s.io`.
//!
//! Invariants: every amount is a whole number in the unit of its row in `metric`; a sample says everything of its
//! moment, so that one that is lost costs one moment and no more.

mod exposition;
pub mod history;
pub mod metric;
pub mod node;
pub mod process;
pub mod promql;
pub mod query;
mod reading;
pub mod remote_write;
pub mod sample;
pub mod server;
mod varint;

pub use metric::Metric;
pub use reading::Reading;
