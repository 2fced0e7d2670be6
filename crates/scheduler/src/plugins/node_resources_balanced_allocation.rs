//! NodeResourcesBalancedAllocation: prefers nodes whose CPU and memory are used to like degrees.

use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::plugin::{Interest, Plugin, SCORE_MAX};
use crate::pod::PodInfo;

pub(super) struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    type State = ();
    const NAME: &'static str = "NodeResourcesBalancedAllocation";
    const LOCAL: bool = true;
    const WEIGHT: i64 = 1;

    /// A pod that asks for nothing changes no balance.
    fn pre_score(&self, pod: &PodInfo, _: &Cluster, _: &[usize], _: &mut ()) -> Interest {
        if pod.requests.is_zero() { Interest::Skips } else { Interest::Asks }
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> i64 {
        let share = |used: i64, all: i64| (all > 0).then(|| (used as f64 / all as f64).min(1.0));
        let cpu = share(node.requested.cpu_milli + pod.requests.cpu_milli, node.allocatable.cpu_milli);
        let memory = share(node.requested.memory + pod.requests.memory, node.allocatable.memory);
        let deviation = match (cpu, memory) {
            // The standard deviation of two values.
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
            _ => 0.0,
        };
        ((1.0 - deviation) * SCORE_MAX as f64) as i64
    }
}
