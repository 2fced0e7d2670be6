//! Which pods go first when a set shrinks: those that are missed least.

use crate::pod;
use client::PodView;
use k8s_openapi::jiff::Timestamp;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

/// `many` of the pods. In order: without a node, pending before running, not ready, cheap, crowded on its node, ready
/// for a short time, restarted often, young. Times count by their order of magnitude only, so that a set's pods are
/// not all of one age after many scalings.
pub(super) fn first_to_go(
    active: &[Arc<PodView>],
    related: &[Arc<PodView>],
    many: usize,
    now: Timestamp,
) -> Vec<Arc<PodView>> {
    if many >= active.len() {
        return active.to_vec();
    }
    if many == 0 {
        return Vec::new();
    }
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| pod::is_active(pod)) {
        *on_node.entry(&*pod.node).or_default() += 1;
    }
    let crowd = |pod: &PodView| on_node.get(&*pod.node).copied().unwrap_or_default();
    let mut ranked = active.to_vec();
    ranked.sort_by(|a, b| first(a, b, crowd(a), crowd(b), now));
    ranked.truncate(many);
    ranked
}

fn first(a: &PodView, b: &PodView, crowd_a: usize, crowd_b: usize, now: Timestamp) -> Ordering {
    let key =
        |pod: &PodView, crowd| (pod.has_node(), pod::progress(pod), pod.is_ready(), pod.deletion_cost, Reverse(crowd));
    key(a, crowd_a)
        .cmp(&key(b, crowd_b))
        .then_with(|| match (a.is_ready(), b.is_ready()) {
            (true, true) => younger(pod::ready_since(a), pod::ready_since(b), a, b, now),
            _ => Ordering::Equal,
        })
        .then_with(|| b.restarts.cmp(&a.restarts))
        .then_with(|| younger(a.created, b.created, a, b, now))
}

/// No time before a short time before a long time, by powers of two; within one, by uid: arbitrary but stable.
fn younger(a: Option<Timestamp>, b: Option<Timestamp>, pod_a: &PodView, pod_b: &PodView, now: Timestamp) -> Ordering {
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
    magnitude(a).cmp(&magnitude(b)).then_with(|| pod_a.uid.cmp(&pod_b.uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, fields: Value) -> Arc<PodView> {
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
    fn check(pods: &[Arc<PodView>]) {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let mut shuffled = pods.to_vec();
        shuffled.reverse();
        for many in 0..=pods.len() {
            let gone = first_to_go(&shuffled, &shuffled, many, now);
            let mut names: Vec<_> = gone.iter().map(|pod| pod.name().to_owned()).collect();
            let mut want: Vec<_> = pods[..many].iter().map(|pod| pod.name().to_owned()).collect();
            names.sort();
            want.sort();
            assert_eq!(names, want);
        }
    }

    #[test]
    fn deletes_the_least_missed_pods_first() {
        let cheap = json!({"/metadata/annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"},
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
        assert!(gone.iter().all(|pod| &*pod.node == "full"));
    }
}
