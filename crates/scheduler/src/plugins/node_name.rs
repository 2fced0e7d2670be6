//! NodeName: a pod that names its node goes nowhere else.

use crate::node::NodeInfo;
use crate::plugin::{No, Plugin};
use crate::pod::PodInfo;

pub(super) struct NodeName;

impl Plugin for NodeName {
    type State = ();
    const NAME: &'static str = "NodeName";
    const LOCAL: bool = true;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> Result<(), No> {
        if pod.pod.has_node() && pod.pod.node != node.name {
            return Err(No::for_good("node(s) didn't match the requested node name"));
        }
        Ok(())
    }
}
