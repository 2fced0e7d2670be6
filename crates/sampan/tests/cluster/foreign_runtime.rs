//! What a runtime that is not ours must not make worse: restarts of the node, news of ends, an idle machine.

use crate::harness::{Cluster, Machine, Runtime, pause, possible, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use crate::restarts::{containers, kill_9, ready_again};
use std::time::{Duration, Instant};

/// containerd 1.6 tells no events and is asked every second.
const NEWS_TIME_MAX: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(3);
/// Of one processor, for a debug build that shares the machine with other things; it has been seen to take 1.
const IDLE_PERCENT_MAX: u64 = 10;

#[test]
fn containerd_keeps_containers_and_tells_of_their_ends() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up_on(Runtime::Containerd, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(&user_center(2));
    wait_available(machine);
    ends_are_seen_soon(machine);
    containers_outlive_the_node(machine);
    a_quiet_node_costs_little(machine);
    cluster.finish();
}

/// A pod that ends with code 9 soon after it is told to.
fn run_until_told(machine: &Machine, name: &str) {
    let script = "until [ -e /tmp/end ]; do sleep 0.05; done; exit 9";
    machine.kubectl_args(&["run", name, "--image=user-center:v1.0", "--restart=Never", "--", "sh", "-c", script]);
    machine.kubectl(&format!("wait --for=condition=Ready pod/{name} --timeout=60s"));
}

fn until_ended(machine: &Machine, name: &str) {
    machine.until("the exit is reported", |machine| {
        let path = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
        let output = machine.try_kubectl(&["get", "pod", name, "-o", path]);
        if output.stdout == b"9" { Ok(()) } else { Err(said(&output)) }
    });
}

fn ends_are_seen_soon(machine: &Machine) {
    run_until_told(machine, "soon");
    machine.kubectl_args(&["exec", "soon", "--", "sh", "-c", ": >/tmp/end"]);
    let told = Instant::now();
    until_ended(machine, "soon");
    eprintln!("the end was seen after {:?}", told.elapsed());
    assert!(told.elapsed() < NEWS_TIME_MAX, "the end was seen after {:?}", told.elapsed());
}

fn containers_outlive_the_node(machine: &Machine) {
    run_until_told(machine, "meanwhile");
    let before = containers(machine);
    machine.kubectl_args(&["exec", "meanwhile", "--", "sh", "-c", "(sleep 0.5; : >/tmp/end) >/dev/null 2>&1 &"]);
    kill_9(machine, "node");
    ready_again(machine, "node", 1);
    until_ended(machine, "meanwhile");
    wait_available(machine);
    assert_eq!(containers(machine), before, "no container was touched");
}

/// Hundredths of a second of processor time that the node process has used.
fn ticks(machine: &Machine) -> u64 {
    let pid = &machine.status()["node"]["pid"];
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name, which may hold anything, user and system time are the 12th and 13th field.
    let (_, fields) = text.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

fn a_quiet_node_costs_little(machine: &Machine) {
    let (before, begun) = (ticks(machine), Instant::now());
    while begun.elapsed() < IDLE {
        pause();
    }
    let percent = (ticks(machine) - before) / IDLE.as_secs();
    eprintln!("idle, the node takes {percent} % of a processor");
    assert!(percent <= IDLE_PERCENT_MAX, "{percent} %");
}
