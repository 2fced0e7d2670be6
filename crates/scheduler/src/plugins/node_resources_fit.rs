//! NodeResourcesFit: what a pod asks for has to be free; nodes with more left over are preferred.

use crate::node::NodeInfo;
use crate::plugin::{No, Plugin, Reason, SCORE_MAX};
use crate::pod::PodInfo;
use smallvec::SmallVec;

pub(super) struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    type State = ();
    const NAME: &'static str = "NodeResourcesFit";
    const LOCAL: bool = true;
    const WEIGHT: i64 = 1;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> Result<(), No> {
        let mut no = No { reasons: SmallVec::new(), unresolvable: false };
        if node.pods.len() as i64 + 1 > node.pods_max {
            no.reasons.push("Too many pods".into());
        }
        if pod.requests.is_zero() {
            return answer(no);
        }
        let (asked, used, all) = (&pod.requests, &node.requested, &node.allocatable);
        let mut check = |reason: Reason, asked: i64, used: i64, all: i64| {
            if asked > 0 && asked > all - used {
                no.reasons.push(reason);
                no.unresolvable |= asked > all;
            }
        };
        check("Insufficient cpu".into(), asked.cpu_milli, used.cpu_milli, all.cpu_milli);
        check("Insufficient memory".into(), asked.memory, used.memory, all.memory);
        let (asked_storage, used_storage) = (asked.ephemeral_storage, used.ephemeral_storage);
        check("Insufficient ephemeral-storage".into(), asked_storage, used_storage, all.ephemeral_storage);
        for (name, amount) in &asked.scalars {
            check(format!("Insufficient {name}").into(), *amount, used.scalar(name), all.scalar(name));
        }
        answer(no)
    }

    /// The free share of CPU and memory after the pod, on average.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> i64 {
        let free = |all: i64, used: i64| if all == 0 || used > all { 0 } else { (all - used) * SCORE_MAX / all };
        let shares = [
            (node.allocatable.cpu_milli, node.assumed.0 + pod.assumed.0),
            (node.allocatable.memory, node.assumed.1 + pod.assumed.1),
        ];
        let counted = shares.iter().filter(|(all, _)| *all > 0).count() as i64;
        let sum: i64 = shares.iter().map(|(all, used)| free(*all, *used)).sum();
        if counted == 0 { 0 } else { sum / counted }
    }
}

fn answer(no: No) -> Result<(), No> {
    if no.reasons.is_empty() { Ok(()) } else { Err(no) }
}
