//! From what is known of a pod to what is wrong with it, the cause first.

use super::reasons::{CODES, ENDED, EVENTS, FAILED, NODE, Row, SCHEDULER, WAITING, find};
use crate::calls::{name_of, text};
use serde_json::Value;

pub(super) struct Known<'a> {
    pub(super) pod: &'a Value,
    pub(super) node: Option<&'a Value>,
    /// The newest first.
    pub(super) events: &'a [Value],
}

#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) sentence: String,
    /// The server's own words.
    pub(super) details: Vec<String>,
    pub(super) step: String,
}

impl Finding {
    fn new(sentence: impl Into<String>, detail: &str, step: &str) -> Finding {
        let details = Some(detail.trim()).filter(|detail| !detail.is_empty()).map(str::to_owned);
        Finding { sentence: sentence.into(), details: details.into_iter().collect(), step: step.to_owned() }
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|one| one["type"] == kind)
}

pub(super) fn is_ready(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Succeeded" || condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True")
}

pub(super) fn of_pod(known: &Known<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if is_ready(known.pod) && text(known.pod, "/metadata/deletionTimestamp").is_empty() {
        return found;
    }
    found.extend(ending(known.pod));
    found.extend(failed(known.pod));
    found.extend(unscheduled(known));
    found.extend(node(known));
    found.extend(containers(known.pod));
    if found.is_empty() || found.iter().all(|finding| finding.step.is_empty()) {
        found.extend(events(known.events));
    }
    found.extend(unready(known.pod, found.is_empty()));
    found
}

/// A workload without pods.
pub(super) fn of_workload(object: &Value, events: &[Value]) -> Vec<Finding> {
    if object.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0) {
        let name = name_of(object);
        return vec![Finding::new(
            "it is scaled to zero",
            "",
            &format!("kubectl scale --replicas=1 for {name} starts it"),
        )];
    }
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return vec![Finding::new("its rollout is paused", "", "kubectl rollout resume lets it go on")];
    }
    let mut found: Vec<Finding> = condition(object, "ReplicaFailure")
        .filter(|failure| failure["status"] == "True")
        .map(|failure| {
            let message = text(failure, "/message");
            Finding::new(
                "its pods are refused",
                message,
                "the message says by what: a quota, a policy or a missing service account",
            )
        })
        .into_iter()
        .collect();
    if found.is_empty() {
        found.extend(self::events(events));
    }
    if found.is_empty() {
        found.push(Finding::new(
            "it has no pods, and nobody says why",
            "",
            "is its controller running? A moment after its creation this is normal",
        ));
    }
    found
}

fn ending(pod: &Value) -> Option<Finding> {
    let since = text(pod, "/metadata/deletionTimestamp");
    if since.is_empty() {
        return None;
    }
    let finalizers = pod.pointer("/metadata/finalizers").and_then(Value::as_array).filter(|list| !list.is_empty());
    let (detail, step) = match finalizers {
        Some(list) => {
            let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            (
                format!("it waits for its finalizers: {}", names.join(", ")),
                "whoever set a finalizer has to take it away; is that controller running?",
            )
        }
        None => (
            String::new(),
            "its node ends it within its grace period; if the node is gone, kubectl delete --force --grace-period=0",
        ),
    };
    Some(Finding::new(format!("it is being deleted, since {since}"), &detail, step))
}

fn failed(pod: &Value) -> Option<Finding> {
    if text(pod, "/status/phase") != "Failed" {
        return None;
    }
    let (reason, message) = (text(pod, "/status/reason"), text(pod, "/status/message"));
    if let Some(row) = find(FAILED, reason) {
        return Some(Finding::new(format!("it failed: {}", row.meaning), message, row.step));
    }
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    Some(Finding::new(format!("it ended and failed{reason}"), message, ""))
}

/// What keeps it from a node.
fn unscheduled(known: &Known<'_>) -> Vec<Finding> {
    let Some(scheduled) = condition(known.pod, "PodScheduled").filter(|one| one["status"] == "False") else {
        let waits = text(known.pod, "/spec/nodeName").is_empty() && text(known.pod, "/status/phase") == "Pending";
        let unseen = || {
            Finding::new(
                "no scheduler has looked at it yet",
                "",
                "is the scheduler that spec.schedulerName names running?",
            )
        };
        return waits.then(unseen).into_iter().collect();
    };
    if text(scheduled, "/reason") == "SchedulingGated" {
        let step = "whoever set spec.schedulingGates has to take them away";
        return vec![Finding::new("it is held back by scheduling gates", text(scheduled, "/message"), step)];
    }
    let message = text(scheduled, "/message");
    let mut rows: Vec<&Row> = Vec::new();
    for row in SCHEDULER.iter().filter(|row| message.contains(row.reason)) {
        // `Insufficient ` is the beginning of others.
        if !(row.reason.ends_with(' ') && rows.iter().any(|known| known.reason.starts_with(row.reason))) {
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return vec![Finding::new("no node takes it", message, "the scheduler's message says what each node lacks")];
    }
    let finding = |(index, row): (usize, &&Row)| {
        let detail = if index == 0 { message } else { "" };
        Finding::new(format!("it cannot be scheduled: {}", row.meaning), detail, row.step)
    };
    rows.iter().enumerate().map(finding).collect()
}

fn node(known: &Known<'_>) -> Vec<Finding> {
    let name = text(known.pod, "/spec/nodeName");
    let Some(node) = known.node else {
        let gone = || {
            Finding::new(
                format!("its node {name} does not exist any more"),
                "",
                "delete the pod; a workload makes another by itself",
            )
        };
        return (!name.is_empty()).then(gone).into_iter().collect();
    };
    let troubles = NODE.iter().filter_map(|(kind, status, meaning, step)| {
        let trouble = condition(node, kind).filter(|condition| condition["status"] == *status)?;
        Some(Finding::new(format!("{meaning} ({name})"), text(trouble, "/message"), step))
    });
    troubles.collect()
}

fn containers(pod: &Value) -> Vec<Finding> {
    let lists = [("/status/initContainerStatuses", "init container"), ("/status/containerStatuses", "container")];
    let mut found = Vec::new();
    for (pointer, noun) in lists {
        for status in pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten() {
            found.extend(container(pod, status, noun));
        }
        // Containers wait for init containers: what holds those back is the cause.
        if !found.is_empty() {
            break;
        }
    }
    found
}

fn container(pod: &Value, status: &Value, noun: &str) -> Option<Finding> {
    let name = text(status, "/name");
    let step = |step: &str| step.replace("POD", name_of(pod)).replace("CONTAINER", name);
    if let Some(waiting) = status.pointer("/state/waiting") {
        let row = find(WAITING, text(waiting, "/reason"))?;
        let mut finding =
            Finding::new(format!("{noun} {name}: {}", row.meaning), text(waiting, "/message"), &step(row.step));
        // Why it ended says more than that it did.
        if let Some((meaning, next)) = status.pointer("/lastState/terminated").and_then(ended) {
            finding.sentence = format!("{}; last time {meaning}", finding.sentence);
            finding.details.extend(
                Some(text(status, "/lastState/terminated/message").trim().to_owned()).filter(|text| !text.is_empty()),
            );
            finding.step = format!("{}. {}", step(&next), finding.step);
        }
        return Some(finding);
    }
    let terminated = status.pointer("/state/terminated").filter(|ended| ended["exitCode"] != 0)?;
    let (meaning, next) = ended(terminated)?;
    Some(Finding::new(format!("{noun} {name}: {meaning}"), text(terminated, "/message"), &step(&next)))
}

/// What an end means, and what to do.
fn ended(terminated: &Value) -> Option<(String, String)> {
    let (reason, code) = (text(terminated, "/reason"), terminated["exitCode"].as_i64().unwrap_or_default());
    if let Some(row) = find(ENDED, reason) {
        return Some((row.meaning.to_owned(), row.step.to_owned()));
    }
    if code == 0 {
        return Some((
            "it ended by itself without an error".to_owned(),
            "a container of a workload is meant to go on; run its work in the foreground, or make it a Job".to_owned(),
        ));
    }
    let known = CODES.iter().find(|(known, ..)| *known == code);
    Some(match known {
        Some((_, meaning, step)) => (format!("{meaning} (exit code {code})"), (*step).to_owned()),
        None => (
            format!("it failed with exit code {code}"),
            "read what it said: kubectl logs POD -c CONTAINER --previous".to_owned(),
        ),
    })
}

/// The newest warning of each kind.
fn events(events: &[Value]) -> Vec<Finding> {
    let mut seen: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for event in events.iter().filter(|event| event["type"] == "Warning") {
        let reason = text(event, "/reason");
        if let Some(row) = find(EVENTS, reason).filter(|_| !seen.contains(&reason)) {
            seen.push(reason);
            found.push(Finding::new(row.meaning, text(event, "/message"), row.step));
        }
    }
    found
}

fn unready(pod: &Value, alone: bool) -> Option<Finding> {
    if !alone {
        return None;
    }
    let gates = pod.pointer("/spec/readinessGates").and_then(Value::as_array).into_iter().flatten();
    let mut closed = gates
        .filter_map(|gate| gate["conditionType"].as_str())
        .filter(|kind| condition(pod, kind).is_none_or(|one| one["status"] != "True"));
    if let Some(gate) = closed.next() {
        return Some(Finding::new(
            format!("its readiness gate {gate} is closed"),
            "",
            "whoever sets that condition has to say True",
        ));
    }
    Some(match text(pod, "/status/phase") {
        "Running" => Finding::new(
            "its containers run and are not ready yet",
            text(condition(pod, "Ready")?, "/message"),
            "its readiness probes decide; wait, or read its log",
        ),
        "Pending" => Finding::new("it is being started", "", "wait a moment; kubectl get pod -w shows how far it is"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn first(pod: &Value, node: Option<&Value>, events: &[Value]) -> String {
        let found = of_pod(&Known { pod, node, events });
        found.first().map(|finding| format!("{} | {}", finding.sentence, finding.step)).unwrap_or_default()
    }

    fn waiting(reason: &str, last: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": reason, "message": "m"}}, "lastState": {"terminated": last}}]}})
    }

    #[test]
    fn the_cause_comes_first() {
        let node = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let away = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "no word"}]}});
        let unscheduled = |message: &str| {
            json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}})
        };
        for (pod, node, expected) in [
            (waiting("ImagePullBackOff", Value::Null), &node, "container c: its image cannot be pulled"),
            (
                waiting("CrashLoopBackOff", json!({"reason": "OOMKilled", "exitCode": 137})),
                &node,
                "last time it used more memory than its limit | raise resources",
            ),
            (
                waiting("CrashLoopBackOff", json!({"reason": "Error", "exitCode": 127})),
                &node,
                "its command is not found (exit code 127)",
            ),
            (
                waiting("CrashLoopBackOff", json!({"reason": "Completed", "exitCode": 0})),
                &node,
                "it ended by itself without an error",
            ),
            (
                waiting("CrashLoopBackOff", json!({"reason": "Error", "exitCode": 3})),
                &node,
                "exit code 3 | read what it said: kubectl logs p -c c --previous",
            ),
            (waiting("CreateContainerConfigError", Value::Null), &away, "its node does not answer (n)"),
            (
                unscheduled("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."),
                &node,
                "no node has as much CPU left",
            ),
            (
                unscheduled("0/1 nodes are available: 1 Insufficient example.com/gpu."),
                &node,
                "no node has enough of what it requests",
            ),
            (unscheduled("no nodes available to schedule pods"), &node, "there are no nodes"),
            (
                json!({"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted"}}),
                &node,
                "it failed: its node needed the room",
            ),
            (
                json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}}),
                &node,
                "it is being deleted",
            ),
        ] {
            let said = first(&pod, Some(node), &[]);
            assert!(said.contains(expected), "{expected:?} is not in {said:?}");
        }
    }

    #[test]
    fn events_speak_where_nothing_else_does() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        let node = json!({});
        let event = json!({"type": "Warning", "reason": "FailedMount", "message": "configmap \"x\" not found"});
        assert!(first(&pod, Some(&node), &[event]).starts_with("a volume cannot be mounted"));
        assert!(first(&pod, Some(&node), &[]).starts_with("it is being started"));
    }

    #[test]
    fn a_ready_pod_has_nothing_wrong() {
        let pod = json!({"metadata": {"name": "p"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(first(&pod, None, &[]), "");
    }

    #[test]
    fn every_reason_has_a_meaning_and_a_step() {
        for row in [WAITING, ENDED, FAILED, EVENTS, SCHEDULER].into_iter().flatten() {
            assert!(!row.meaning.is_empty() && !row.step.is_empty() && !row.meaning.ends_with('.'), "{}", row.reason);
        }
    }
}
