//! Probes: what they hold back, take away and restart.

use super::{field, inside, pod, until_event, until_field, until_ready, with_node};
use crate::harness::{Machine, on_each_runtime, pause};

const FIRST: &str = ".status.containerStatuses[0]";

on_each_runtime! {
    fn probes_decide_on_traffic_and_restarts(runtime) {
        with_node(runtime, &[readiness_gates_endpoints, liveness_restarts, startup_holds_the_others_back, probes_by_http_and_tcp]);
    }
}

fn readiness_gates_endpoints(machine: &Machine) {
    pod(
        machine,
        "gated",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    \
         readinessProbe: {exec: {command: [ls, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}\n",
    );
    machine.kubectl("expose pod gated --port=80 --target-port=8080");
    until_field(machine, "pod/gated", ".status.phase", "Running");
    until_event(machine, "gated", "Unhealthy");
    let ready = "endpoints/gated";
    let addresses = ".subsets[*].addresses[*].targetRef.name";
    until_field(machine, ready, ".subsets[*].notReadyAddresses[*].targetRef.name", "gated");
    assert_eq!(field(machine, ready, addresses), "");
    inside(machine, "gated", ": >/tmp/ready");
    until_field(machine, ready, addresses, "gated");
    assert_eq!(field(machine, "pod/gated", &format!("{FIRST}.ready")), "true");
    inside(machine, "gated", "rm /tmp/ready");
    until_field(machine, ready, addresses, "");
    assert_eq!(field(machine, "pod/gated", &format!("{FIRST}.restartCount")), "0", "readiness restarts nothing");
}

fn liveness_restarts(machine: &Machine) {
    pod(
        machine,
        "alive",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    command: [sh, -c, ': >/tmp/alive; exec sleep 3600']\n    \
         livenessProbe: {exec: {command: [ls, /tmp/alive]}, periodSeconds: 1, failureThreshold: 2}\n",
    );
    until_ready(machine, "alive");
    let before = field(machine, "pod/alive", &format!("{FIRST}.containerID"));
    inside(machine, "alive", "rm /tmp/alive");
    until_field(machine, "pod/alive", &format!("{FIRST}.restartCount"), "1");
    assert_ne!(field(machine, "pod/alive", &format!("{FIRST}.containerID")), before);
    until_event(machine, "alive", "Unhealthy");
    until_event(machine, "alive", "Killing");
    assert_eq!(field(machine, "pod/alive", &format!("{FIRST}.lastState.terminated.exitCode")), "137");
}

fn startup_holds_the_others_back(machine: &Machine) {
    pod(
        machine,
        "slow",
        "  containers:\n  - name: c\n    image: user-center:v1.0\n    \
         startupProbe: {exec: {command: [ls, /tmp/started]}, periodSeconds: 1, failureThreshold: 30}\n    \
         livenessProbe: {exec: {command: [ls, /tmp/started]}, periodSeconds: 1, failureThreshold: 1}\n",
    );
    until_event(machine, "slow", "Unhealthy");
    assert_eq!(field(machine, "pod/slow", &format!("{FIRST}.started")), "false");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while std::time::Instant::now() < deadline {
        assert_eq!(field(machine, "pod/slow", &format!("{FIRST}.restartCount")), "0", "liveness waits for the start");
        pause();
    }
    inside(machine, "slow", ": >/tmp/started");
    until_field(machine, "pod/slow", &format!("{FIRST}.started"), "true");
    until_ready(machine, "slow");
}

fn probes_by_http_and_tcp(machine: &Machine) {
    pod(
        machine,
        "asked",
        "  containers:\n  - name: http\n    image: user-center:v1.0\n    ports: [{name: web, containerPort: 8080}]\n    \
         readinessProbe: {httpGet: {path: /, port: web}, periodSeconds: 1}\n  \
         - name: tcp\n    image: user-center:v1.0\n    command: [sleep, '3600']\n    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n  \
         - name: wrong\n    image: user-center:v1.0\n    command: [sleep, '3600']\n    \
         readinessProbe: {httpGet: {path: /nowhere, port: 8080}, periodSeconds: 1}\n",
    );
    let ready = |name: &str| format!(".status.containerStatuses[?(@.name==\"{name}\")].ready");
    until_field(machine, "pod/asked", &ready("http"), "true");
    until_field(machine, "pod/asked", &ready("tcp"), "true");
    machine.until("the wrong path is told", |machine| {
        let events = machine.kubectl(
            "get events --field-selector involvedObject.name=asked,reason=Unhealthy -o jsonpath={.items[*].message}",
        );
        if events.contains("Readiness probe failed: HTTP probe failed with statuscode: 404") {
            Ok(())
        } else {
            Err(events)
        }
    });
    assert_eq!(field(machine, "pod/asked", &ready("wrong")), "false");
}
