//! What a runtime that is not ours must not make worse: restarts of the node, news of ends, an idle machine.

use crate::cluster_logs::logs;
use crate::harness::{Cluster, Machine, Runtime, pause, possible, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use crate::restarts::{containers, kill_9, ready_again};
use std::path::Path;
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
    a_flood_is_rotated_and_kept(machine);
    ends_are_seen_soon(machine);
    containers_outlive_the_node(machine);
    a_quiet_node_costs_little(machine);
    cluster.finish();
}

/// The node ends in the middle of it, and `finish` asserts that containerd has nothing of it any more.
#[test]
fn pods_that_containerd_is_making_go_with_their_node() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up_on(Runtime::Containerd, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(&user_center(8));
    machine.until("containerd makes pods", |machine| {
        let made = machine.containerd.as_ref().unwrap().containers();
        if made > 0 { Ok(()) } else { Err("it has none yet".to_owned()) }
    });
    cluster.finish();
}

/// As fast as it can, which nothing limits here: it goes to the archive, and all of it is found.
fn a_flood_is_rotated_and_kept(machine: &Machine) {
    const LINES: usize = 60_000;
    let script = format!(
        "busybox awk 'BEGIN{{for(i=0;i<{LINES};i++) printf \"%d %0990d\\n\", i, 0}}'; echo the last words; sleep 1000"
    );
    machine.kubectl_args(&["run", "flood", "--image=user-center:v1.0", "--restart=Never", "--", "sh", "-c", &script]);
    machine.until("the last words are found", |machine| {
        let lines = logs(machine, "flood --tail 1 -o raw");
        if lines == ["the last words"] { Ok(()) } else { Err(format!("{lines:?}")) }
    });
    machine.until("the log is rotated and archived", |machine| {
        let bytes = live_bytes(machine, "default_flood_");
        if bytes < 10 << 20 { Ok(()) } else { Err(format!("{bytes} bytes are there still")) }
    });
    let numbers: Vec<String> = logs(machine, "flood -o raw --grep ^[0-9]+.0+$")
        .iter()
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect();
    let wanted: Vec<String> = (0..LINES).map(|number| number.to_string()).collect();
    assert!(numbers == wanted, "{} lines", numbers.len());
    machine.kubectl("delete pod flood --now");
}

/// Of the log files of pods whose directories begin with `pod`.
fn live_bytes(machine: &Machine, pod: &str) -> u64 {
    let names = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let pods = names(&Path::new(&machine.data_dir).join("kubelet/pod-logs"));
    let own = pods.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(pod)));
    let files =
        own.flat_map(|pod| names(&pod).collect::<Vec<_>>()).flat_map(|container| names(&container).collect::<Vec<_>>());
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// A pod that ends with code 9 soon after it is told to.
fn run_until_told(machine: &Machine, name: &str) {
    let script = "until [ -e /tmp/end ]; do sleep 0.05; done; exit 9";
    machine.kubectl_args(&["run", name, "--image=user-center:v1.0", "--restart=Never", "--", "sh", "-c", script]);
    machine.kubectl(&format!("wait --for=condition=Ready pod/{name} --timeout=60s"));
}

/// The end comes when the command has returned: with the container's first process all of its others are killed.
fn tell(machine: &Machine, name: &str) {
    machine.kubectl_args(&["exec", name, "--", "sh", "-c", "(sleep 0.5; : >/tmp/end) >/dev/null 2>&1 &"]);
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
    tell(machine, "soon");
    let told = Instant::now();
    until_ended(machine, "soon");
    eprintln!("the end was seen after {:?}", told.elapsed());
    assert!(told.elapsed() < NEWS_TIME_MAX, "the end was seen after {:?}", told.elapsed());
}

fn containers_outlive_the_node(machine: &Machine) {
    run_until_told(machine, "meanwhile");
    let before = containers(machine);
    tell(machine, "meanwhile");
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
