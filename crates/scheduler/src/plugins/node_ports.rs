//! NodePorts: one pod per host port.

use crate::node::NodeInfo;
use crate::plugin::{No, Plugin};
use crate::pod::PodInfo;

pub(super) struct NodePorts;

impl Plugin for NodePorts {
    type State = ();
    const NAME: &'static str = "NodePorts";
    const LOCAL: bool = true;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> Result<(), No> {
        if pod.ports.iter().any(|port| node.ports.iter().any(|taken| taken.conflicts(port))) {
            return Err(No::because("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}
