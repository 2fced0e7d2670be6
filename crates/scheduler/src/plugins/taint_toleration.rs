//! TaintToleration: taints keep pods away that do not tolerate them, or make a node their later choice.

use crate::node::NodeInfo;
use crate::plugin::{No, Plugin, in_proportion};
use crate::pod::PodInfo;
use reconcile::taints;

pub(super) struct TaintToleration;

impl Plugin for TaintToleration {
    type State = ();
    const NAME: &'static str = "TaintToleration";
    const LOCAL: bool = true;
    const WEIGHT: i64 = 3;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> Result<(), No> {
        match taints::untolerated(node.taints(), &pod.tolerations, &["NoSchedule", "NoExecute"]) {
            // Which taint is not said since 1.35: a pod's owner need not know.
            Some(_) => Err(No::for_good("node(s) had untolerated taint(s)")),
            None => Ok(()),
        }
    }

    /// Taints that would rather not have the pod.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> i64 {
        let unwilling = node.taints().iter().filter(|taint| taint.effect == "PreferNoSchedule");
        let unwilling =
            unwilling.filter(|taint| !pod.tolerations.iter().any(|toleration| taints::covers(toleration, taint)));
        unwilling.count().try_into().unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        in_proportion(scores, true);
    }
}
