//! The scheduler: chooses a node for each pod.
//!
//! Invariants: a decision is pure and looks at one `Cluster`; a pod that is being bound counts as bound; only the
//! binding subresource moves a pod.

mod affinity;
mod cluster;
mod decide;
mod fit_error;
mod lately;
mod metrics;
mod node;
mod node_selector;
mod plugin;
mod plugins;
mod pod;
mod queue;
mod resources;
mod scheduler;
mod spread;
mod status;
mod tally;
#[cfg(test)]
mod tests;

pub use cluster::Cluster;
pub use decide::Decider;
pub use fit_error::{FitError, Preemption};
pub use pod::{DEFAULT_SCHEDULER, PodInfo};
pub use scheduler::{Handle, Options, start};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

fn labels(meta: &ObjectMeta) -> &BTreeMap<String, String> {
    meta.labels.as_ref().unwrap_or(&NO_LABELS)
}
