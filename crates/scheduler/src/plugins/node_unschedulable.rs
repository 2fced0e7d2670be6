//! NodeUnschedulable: a cordoned node takes no pods but those that tolerate it.

use crate::node::NodeInfo;
use crate::plugin::{No, Plugin};
use crate::pod::PodInfo;
use k8s_openapi::api::core::v1::Taint;
use reconcile::taints;

pub(super) struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    type State = ();
    const NAME: &'static str = "NodeUnschedulable";
    const LOCAL: bool = true;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> Result<(), No> {
        if node.node.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true) {
            return Ok(());
        }
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if pod.tolerations.iter().any(|toleration| taints::covers(toleration, &taint)) {
            return Ok(());
        }
        Err(No::for_good("node(s) were unschedulable"))
    }
}
