//! Which pods go first when a set shrinks: those that are missed least.

use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// `many` of the pods. In order: without a node, pending before running, not ready, cheap, crowded on its node, ready
/// for a short time, restarted often, young. Times count by their order of magnitude only, so that a set's pods are
/// not all of one age after many scalings.
pub(super) fn first_to_go(active: &[Arc<Pod>], related: &[Arc<Pod>], many: usize, now: Timestamp) -> Vec<Arc<Pod>> {
    if many >= active.len() {
        return active.to_vec();
    }
    if many == 0 {
        return Vec::new();
    }
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| pod::is_active(pod)) {
        *on_node.entry(pod::node_name(pod)).or_default() += 1;
    }
    let crowd = |pod: &Pod| on_node.get(pod::node_name(pod)).copied().unwrap_or_default();
    let mut ranked = active.to_vec();
    ranked.sort_by(|a, b| first(a, b, crowd(a), crowd(b), now));
    ranked.truncate(many);
    ranked
}

fn first(a: &Pod, b: &Pod, crowd_a: usize, crowd_b: usize, now: Timestamp) -> Ordering {
    let key =
        |pod: &Pod, crowd| (!pod::node_name(pod).is_empty(), phase(pod), pod::is_ready(pod), cost(pod), Reverse(crowd));
    key(a, crowd_a)
        .cmp(&key(b, crowd_b))
        .then_with(|| match (pod::is_ready(a), pod::is_ready(b)) {
            (true, true) => younger(pod::ready_since(a), pod::ready_since(b), a, b, now),
            _ => Ordering::Equal,
        })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| younger(created(a), created(b), a, b, now))
}

fn phase(pod: &Pod) -> u8 {
    match pod::phase(pod) {
        "" | "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

/// What a user says that losing the pod costs.
fn cost(pod: &Pod) -> i32 {
    let text = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(COST));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// The larger of restarts of containers and of init containers that stay: the most that one container had.
fn restarts(pod: &Pod) -> i32 {
    let Some(status) = &pod.status else { return 0 };
    let statuses = status.container_statuses.iter().flatten();
    statuses.map(|container| container.restart_count).max().unwrap_or(0)
}

/// No time before a short time before a long time, by powers of two; within one, by uid: arbitrary but stable.
fn younger(a: Option<Timestamp>, b: Option<Timestamp>, pod_a: &Pod, pod_b: &Pod, now: Timestamp) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let magnitude = |time: Option<Timestamp>| match time {
        None => -2,
        Some(time) => match u128::try_from(now.duration_since(time).as_nanos()).unwrap_or_default() {
            0 => -1,
            age => i32::try_from(age.ilog2()).expect("a logarithm of 128 bits"),
        },
    };
    magnitude(a).cmp(&magnitude(b)).then_with(|| pod_a.metadata.uid.cmp(&pod_b.metadata.uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, fields: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [], "nodeName": "n1"}, "status": {"phase": "Running"},
        });
        for (pointer, value) in fields.as_object().unwrap() {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn ready(since: &str) -> Value {
        json!({"/status/conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]})
    }

    /// `pods` are given in the order in which they should go.
    fn check(pods: &[Arc<Pod>]) {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let mut shuffled = pods.to_vec();
        shuffled.reverse();
        for many in 0..=pods.len() {
            let gone = first_to_go(&shuffled, &shuffled, many, now);
            let mut names: Vec<_> = gone.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect();
            let mut want: Vec<_> = pods[..many].iter().map(|pod| pod.metadata.name.clone().unwrap()).collect();
            names.sort();
            want.sort();
            assert_eq!(names, want);
        }
    }

    #[test]
    fn deletes_the_least_missed_pods_first() {
        let cheap = json!({"/metadata/annotations": {COST: "-5"},
            "/status/conditions": ready("2026-01-01T00:10:00Z")["/status/conditions"]});
        check(&[
            pod("unassigned", json!({"/spec/nodeName": ""})),
            pod("pending", json!({"/status/phase": "Pending"})),
            pod(
                "unready-restarted",
                json!({"/status/containerStatuses": [
                {"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 7}]}),
            ),
            pod("unready-young", json!({"/metadata/creationTimestamp": "2026-01-01T00:59:00Z"})),
            pod("unready-old", json!({})),
            pod("cheap", cheap),
            pod("ready-lately", ready("2026-01-01T00:59:00Z")),
            pod("ready-long", ready("2026-01-01T00:10:00Z")),
        ]);
    }

    #[test]
    fn deletes_from_crowded_nodes_first() {
        let at = |node: &str| {
            let mut fields = ready("2026-01-01T00:10:00Z");
            fields["/spec/nodeName"] = node.into();
            fields
        };
        let pods = [pod("a", at("free")), pod("b", at("full")), pod("c", at("full"))];
        let gone = first_to_go(&pods, &pods, 2, "2026-01-01T01:00:00Z".parse().unwrap());
        assert!(gone.iter().all(|pod| pod::node_name(pod) == "full"));
    }
}
