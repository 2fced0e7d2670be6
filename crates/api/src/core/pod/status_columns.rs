//! What a table says of a pod, most of all of its state: the one word that people look for first.

use super::qos::is_sidecar;
use crate::core::columns;
use crate::resource::Column;
use crate::table::{Cell, duration};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::jiff::Timestamp;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Ready").about("How many of its containers are ready, of how many."),
    Column::text("Status").about("What the pod is doing, or what keeps it from it."),
    Column::text("Restarts").about("How often its containers were restarted, and when last."),
    Column::AGE,
    Column::wide("IP").about("Its address."),
    Column::wide("Node").about("The node that runs it."),
    Column::wide("Nominated Node").about("The node that it will run on when others there have ended."),
    Column::wide("Readiness Gates").about("How many of the conditions of others that it waits for hold."),
];

pub(super) fn row(pod: &Pod, now: Timestamp) -> Vec<Cell> {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let summary = Summary::of(pod, spec, status);
    let pod_ip = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()).next().or(status.pod_ip.as_deref());
    vec![
        columns::name(&pod.metadata),
        Cell::Text(format!("{}/{}", summary.ready, summary.containers)),
        Cell::Text(summary.reason.clone()),
        Cell::Text(summary.restarts(now)),
        columns::created(&pod.metadata, now),
        columns::or_none(pod_ip),
        columns::or_none(spec.node_name.as_deref()),
        columns::or_none(status.nominated_node_name.as_deref()),
        readiness_gates(spec, status),
    ]
}

fn readiness_gates(spec: &PodSpec, status: &PodStatus) -> Cell {
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if gates.is_empty() {
        return Cell::from("<none>");
    }
    let holds = gates.iter().filter(|gate| is_true(status, &gate.condition_type)).count();
    Cell::Text(format!("{holds}/{}", gates.len()))
}

fn is_true(status: &PodStatus, condition: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|own| own.type_ == condition).is_some_and(|own| own.status == "True")
}

/// How often containers were restarted, and when the last of them ended before.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i32,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &ContainerStatus) {
        self.count += status.restart_count;
        let ended = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        self.last = self.last.max(ended.and_then(|ended| ended.finished_at.as_ref()).map(|time| time.0));
    }
}

struct Summary {
    ready: usize,
    containers: usize,
    reason: String,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &Pod, spec: &PodSpec, status: &PodStatus) -> Summary {
        let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container)).count();
        let phase = status.phase.as_deref().unwrap_or_default();
        let mut summary = Summary {
            ready: 0,
            containers: spec.containers.len() + sidecars,
            reason: status.reason.clone().filter(|reason| !reason.is_empty()).unwrap_or_else(|| phase.to_owned()),
            restarts: Restarts::default(),
        };
        let gated = |own: &&k8s_openapi::api::core::v1::PodCondition| {
            own.type_ == "PodScheduled" && own.reason.as_deref() == Some("SchedulingGated")
        };
        if status.conditions.iter().flatten().find(gated).is_some() {
            summary.reason = "SchedulingGated".to_owned();
        }
        let of_sidecars = summary.init_containers(spec, status);
        if of_sidecars.initialized || is_true(status, "Initialized") {
            // Restarts of plain init containers stop to matter once they are done.
            summary.restarts = of_sidecars.restarts;
            summary.regular_containers(status);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if status.reason.as_deref() == Some("NodeLost") {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Goes on to the first init container that is not done, which is what the pod waits for.
    fn init_containers(&mut self, spec: &PodSpec, status: &PodStatus) -> Sidecars {
        let mut of_sidecars = Restarts::default();
        let all = spec.init_containers.as_deref().unwrap_or_default();
        for (index, own) in status.init_container_statuses.iter().flatten().enumerate() {
            let sidecar = all.iter().any(|container| container.name == own.name && is_sidecar(container));
            self.restarts.add(own);
            if sidecar {
                of_sidecars.add(own);
            }
            let state = own.state.clone().unwrap_or_default();
            let waits = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !reason.is_empty());
            self.reason = match (state.terminated, waits) {
                (Some(ended), _) if ended.exit_code == 0 => continue,
                _ if sidecar && own.started == Some(true) => {
                    self.ready += usize::from(own.ready);
                    continue;
                }
                (Some(ended), _) => format!("Init:{}", ended_by(&ended)),
                (None, Some(reason)) if reason != "PodInitializing" => format!("Init:{reason}"),
                _ => format!("Init:{index}/{}", all.len()),
            };
            return Sidecars { initialized: false, restarts: of_sidecars };
        }
        Sidecars { initialized: true, restarts: of_sidecars }
    }

    /// The first container that has something to say decides.
    fn regular_containers(&mut self, status: &PodStatus) {
        let mut running = false;
        for own in status.container_statuses.iter().flatten().rev() {
            self.restarts.add(own);
            let state = own.state.clone().unwrap_or_default();
            let waits = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !reason.is_empty());
            match (waits, state.terminated) {
                (Some(reason), _) => self.reason = reason,
                (None, Some(ended)) => self.reason = ended_by(&ended),
                (None, None) if own.ready && state.running.is_some() => {
                    running = true;
                    self.ready += 1;
                }
                _ => {}
            }
        }
        if self.reason == "Completed" && running {
            self.reason = if is_true(status, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.restarts {
            Restarts { count, last: Some(last) } if count != 0 => {
                format!("{count} ({} ago)", duration(now.as_second() - last.as_second()))
            }
            Restarts { count, .. } => count.to_string(),
        }
    }
}

struct Sidecars {
    initialized: bool,
    restarts: Restarts,
}

fn ended_by(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref().unwrap_or_default(), ended.signal.unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", ended.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// READY, STATUS and RESTARTS of a pod with two containers `a` and `b`.
    fn check(name: &str, mut pod: Value, expected: [&str; 3]) {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let object = pod.as_object_mut().unwrap();
        object.entry("metadata").or_insert(json!({"name": "p"}));
        object.entry("spec").or_insert(spec);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let shown = |cell: &Cell| match cell {
            Cell::Text(text) => text.clone(),
            other => panic!("{other:?} is no text"),
        };
        let cells: Vec<String> = row(&pod, now)[1..4].iter().map(shown).collect();
        assert_eq!(cells, expected, "{name}");
    }

    fn running(name: &str) -> Value {
        json!({"name": name, "ready": true, "restartCount": 0, "started": true, "state": {"running": {}}})
    }

    #[test]
    fn containers_decide_what_a_pod_is_said_to_do() {
        check("new", json!({"status": {"phase": "Pending"}}), ["0/2", "Pending", "0"]);
        check(
            "running",
            json!({"status": {"phase": "Running", "containerStatuses": [running("a"), running("b")]}}),
            ["2/2", "Running", "0"],
        );
        check(
            "crashing",
            json!({"status": {"phase": "Running", "containerStatuses": [running("a"),
                {"name": "b", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                 "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:55:00Z"}}}]}}),
            ["1/2", "CrashLoopBackOff", "3 (5m ago)"],
        );
        check(
            "one done, one running",
            json!({"status": {"phase": "Running", "containerStatuses": [
                {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, running("b")]}}),
            ["1/2", "NotReady", "0"],
        );
        check(
            "ended without a reason",
            json!({"status": {"phase": "Failed", "containerStatuses": [
                {"name": "a", "state": {"terminated": {"exitCode": 3}}}]}}),
            ["0/2", "ExitCode:3", "0"],
        );
        check(
            "killed",
            json!({"status": {"phase": "Failed", "containerStatuses": [
                {"name": "a", "state": {"terminated": {"exitCode": 137, "signal": 9}}}]}}),
            ["0/2", "Signal:9", "0"],
        );
        check("evicted", json!({"status": {"phase": "Failed", "reason": "Evicted"}}), ["0/2", "Evicted", "0"]);
        check(
            "gated",
            json!({"status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}),
            ["0/2", "SchedulingGated", "0"],
        );
    }

    #[test]
    fn init_containers_are_told_until_they_are_done() {
        let spec = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "j"},
                          {"name": "s", "restartPolicy": "Always"}]});
        let of =
            |statuses: Value| json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": statuses}});
        let done =
            json!({"name": "i", "restartCount": 2, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        check("first runs", of(json!([{"name": "i", "state": {"running": {}}}])), ["0/2", "Init:0/3", "0"]);
        check("second runs", of(json!([done, {"name": "j", "state": {"running": {}}}])), ["0/2", "Init:1/3", "2"]);
        check(
            "second waits to start",
            of(json!([done, {"name": "j", "state": {"waiting": {"reason": "PodInitializing"}}}])),
            ["0/2", "Init:1/3", "2"],
        );
        check(
            "cannot pull",
            of(json!([{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}])),
            ["0/2", "Init:ErrImagePull", "0"],
        );
        check(
            "failed",
            of(json!([{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}])),
            ["0/2", "Init:Error", "0"],
        );
        let sidecar = json!({"name": "s", "restartCount": 1, "ready": true, "started": true, "state": {"running": {}}});
        check(
            "sidecar runs beside",
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running("a")],
                   "initContainerStatuses": [done, done, sidecar]}}),
            ["2/2", "Running", "1"],
        );
    }

    #[test]
    fn a_pod_being_deleted_is_terminating() {
        let meta = json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        check("running", json!({"metadata": meta, "status": {"phase": "Running"}}), ["0/2", "Terminating", "0"]);
        check(
            "on a lost node",
            json!({"metadata": meta, "status": {"phase": "Running", "reason": "NodeLost"}}),
            ["0/2", "Unknown", "0"],
        );
        check("done", json!({"metadata": meta, "status": {"phase": "Succeeded"}}), ["0/2", "Succeeded", "0"]);
    }
}
