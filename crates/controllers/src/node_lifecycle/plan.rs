//! What is done about a node, given when it was last heard from. Pure.

use crate::node;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::Action;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct View {
    pub(super) node: Arc<Node>,
    pub(super) heard: Timestamp,
    pub(super) grace: Duration,
    pub(super) others: Others,
}

/// What is known of the other nodes. When none is ready, it is rather the server that is cut off, and there is no node
/// to evict to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// One is ready, and was heard of lately.
    Ready,
    /// Those that are ready may be silent as well: their grace will tell.
    Unsure,
    NoneReady,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) status: Option<NodeStatus>,
    pub(super) taints: Option<Vec<Taint>>,
    pub(super) lost: bool,
    /// Whether the node's pods are not ready, whatever they say.
    pub(super) not_ready: bool,
    pub(super) event: Option<(&'static str, String)>,
    pub(super) action: Action,
}

/// A node that has never spoken gets longer: it may be starting.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";
/// Conditions that a silent node's status can no longer vouch for.
const VOUCHED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Condition, status and the taint by which the scheduler knows of it.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let spoke = node::condition(&view.node, "Ready").is_some();
    let grace = if spoke { view.grace } else { view.grace.max(STARTUP_GRACE) };
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    let left = grace - now.duration_since(view.heard);
    let lost = !left.is_positive();
    let mut node = (*view.node).clone();
    let mut plan = Plan { lost, ..Plan::default() };
    if lost {
        mark_unknown(&mut node, spoke, now);
    } else {
        plan.action = Action::after(Duration::try_from(left).unwrap_or_default());
    }
    let was_ready = node::is_ready(&view.node);
    plan.not_ready =
        node::condition(&node, "Ready").is_some_and(|ready| ready.status != "True") && (lost || !was_ready);
    if node.status != view.node.status {
        plan.status = node.status.clone();
        if was_ready {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            plan.event = Some(("NodeNotReady", format!("Node {name} status is now: NodeNotReady")));
        }
    }
    let taints = taints(&node, view.others, now);
    if lost && view.others == Others::Unsure {
        plan.action = Action::after((view.grace / 4).max(Duration::from_millis(100)));
    }
    if taints != node::taints(&view.node) {
        plan.taints = Some(taints);
    }
    plan
}

fn mark_unknown(node: &mut Node, spoke: bool, now: Timestamp) {
    let (reason, message) = if spoke {
        ("NodeStatusUnknown", "Kubelet stopped posting node status.")
    } else {
        ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
    };
    let created = node.metadata.creation_timestamp.clone();
    let conditions = node.status.get_or_insert_default().conditions.get_or_insert_default();
    for type_ in VOUCHED {
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            Some(known) if known.status == "Unknown" => {}
            Some(known) => {
                known.status = "Unknown".to_owned();
                known.reason = Some(reason.to_owned());
                known.message = Some(message.to_owned());
                known.last_transition_time = Some(Time(now));
            }
            None => conditions.push(NodeCondition {
                type_: type_.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: created.clone(),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
}

/// The node's taints with ours as its conditions want them; those of others stay as they are.
fn taints(node: &Node, others: Others, now: Timestamp) -> Vec<Taint> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (type_, status, key) in BY_CONDITION {
        if node::condition(node, type_).is_some_and(|condition| condition.status == status) {
            wanted.push((key, NO_SCHEDULE));
            let evicted = || node::taints(node).iter().any(|taint| taint.key == key && taint.effect == NO_EXECUTE);
            let unreachable = || others == Others::Ready || (others == Others::Unsure && evicted());
            let evicts = key == NOT_READY || (key == UNREACHABLE && unreachable());
            if evicts {
                wanted.push((key, NO_EXECUTE));
            }
        }
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    let ours = |taint: &Taint| {
        let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key);
        let effect = taint.effect == NO_SCHEDULE || [NOT_READY, UNREACHABLE].contains(&taint.key.as_str());
        (by_condition || taint.key == UNSCHEDULABLE) && effect
    };
    let is = |taint: &Taint, (key, effect): &(&str, &str)| taint.key == *key && taint.effect == *effect;
    let known = node::taints(node);
    let mut taints: Vec<Taint> =
        known.iter().filter(|taint| !ours(taint) || wanted.iter().any(|want| is(taint, want))).cloned().collect();
    for want in wanted.iter().filter(|want| !known.iter().any(|taint| is(taint, want))) {
        taints.push(Taint {
            key: want.0.to_owned(),
            effect: want.1.to_owned(),
            time_added: Some(Time(now)),
            value: None,
        });
    }
    taints
}

#[cfg(test)]
mod tests {
    use super::Others::{NoneReady, Ready, Unsure};
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-01-01T01:00:00Z";

    fn view(node: Value, heard_before: i64, others: Others) -> View {
        let now: Timestamp = NOW.parse().unwrap();
        View {
            node: Arc::new(serde_json::from_value(node).unwrap()),
            heard: now - SignedDuration::from_secs(heard_before),
            grace: Duration::from_secs(40),
            others,
        }
    }

    fn node(ready: &str, taints: Value) -> Value {
        json!({"metadata": {"name": "n"}, "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn taint_names(plan: &Plan) -> Option<Vec<String>> {
        let taints = plan.taints.as_ref()?;
        Some(taints.iter().map(|taint| format!("{}:{}", taint.key.rsplit('/').next().unwrap(), taint.effect)).collect())
    }

    fn check(view: View, taints: Option<&[&str]>) -> Plan {
        let plan = plan(&view, NOW.parse().unwrap());
        let want: Option<Vec<String>> = taints.map(|taints| taints.iter().map(|taint| (*taint).to_owned()).collect());
        assert_eq!(taint_names(&plan), want);
        plan
    }

    #[test]
    fn a_node_heard_of_in_time_is_looked_at_when_its_grace_ends() {
        let plan = check(view(node("True", json!([])), 15, Ready), None);
        assert_eq!(plan, Plan { action: Action::after(Duration::from_secs(25)), ..Plan::default() });
    }

    #[test]
    fn a_silent_node_is_unknown_tainted_and_its_pods_are_not_ready() {
        let plan =
            check(view(node("True", json!([])), 40, Ready), Some(&["unreachable:NoSchedule", "unreachable:NoExecute"]));
        assert!(plan.lost && plan.not_ready && plan.event.is_some());
        let conditions = plan.status.unwrap().conditions.unwrap();
        assert!(conditions.iter().all(|condition| condition.status == "Unknown"));
        assert_eq!(conditions[0].message.as_deref(), Some("Kubelet stopped posting node status."));
        assert_eq!(conditions.len(), 4);
    }

    #[test]
    fn the_last_node_of_all_keeps_its_pods() {
        check(view(node("True", json!([])), 100, NoneReady), Some(&["unreachable:NoSchedule"]));
    }

    #[test]
    fn while_others_may_be_silent_too_nothing_is_evicted_yet() {
        let plan = check(view(node("True", json!([])), 40, Unsure), Some(&["unreachable:NoSchedule"]));
        assert_eq!(plan.action, Action::after(Duration::from_secs(10)));
        let tainted = json!([{"key": UNREACHABLE, "effect": NO_EXECUTE}, {"key": UNREACHABLE, "effect": NO_SCHEDULE}]);
        check(view(node("Unknown", tainted), 40, Unsure), None);
    }

    #[test]
    fn a_node_that_says_it_is_not_ready_is_tainted_so() {
        let plan =
            check(view(node("False", json!([])), 1, Ready), Some(&["not-ready:NoSchedule", "not-ready:NoExecute"]));
        assert!(!plan.lost && plan.status.is_none());
    }

    #[test]
    fn a_node_that_is_back_loses_our_taints_and_keeps_others() {
        let taints = json!([
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},
            {"key": "department", "effect": "NoExecute"},
        ]);
        check(view(node("True", taints), 1, Ready), Some(&["department:NoExecute"]));
    }

    #[test]
    fn a_node_that_never_spoke_has_longer() {
        let silent = || json!({"metadata": {"name": "n"}});
        assert!(!check(view(silent(), 50, Ready), None).lost);
        let plan = check(view(silent(), 60, Ready), Some(&["unreachable:NoSchedule", "unreachable:NoExecute"]));
        assert_eq!(plan.status.unwrap().conditions.unwrap()[0].reason.as_deref(), Some("NodeStatusNeverUpdated"));
    }

    #[test]
    fn a_cordon_is_a_taint_too() {
        let mut cordoned = node("True", json!([]));
        cordoned["spec"]["unschedulable"] = true.into();
        check(view(cordoned, 1, Ready), Some(&["unschedulable:NoSchedule"]));
    }
}
