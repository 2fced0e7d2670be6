//! Processes killed with -9: containers live on, nothing is reported twice or lost.

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

/// Kills a role's process; answers which one.
pub(crate) fn kill_9(machine: &Machine, role: &str) -> Option<i64> {
    // Without a pid it is dead already, from the kill before. (And 0 would be the test's own process group.)
    let pid = machine.status()[role]["pid"].as_i64().filter(|pid| *pid > 0)?;
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    Some(pid)
}

/// Pod, container id and start time of every container.
pub(crate) fn containers(machine: &Machine) -> String {
    let columns = "NAME:.metadata.name,ID:.status.containerStatuses[*].containerID,\
                   STARTED:.status.containerStatuses[*].state.running.startedAt,RESTARTS:.status.containerStatuses[*].restartCount";
    machine.kubectl(&format!("get pods -n user-center -o custom-columns={columns}"))
}

/// The cluster's revision. Lists of kubectl's own making have none, and a watch from none begins with the state.
pub(crate) fn revision(machine: &Machine) -> String {
    let listed = machine.kubectl("get --raw /api/v1/namespaces/default/configmaps?limit=1");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

/// Writes config maps one after the other until told to stop; the names of those that were acknowledged, and the
/// revisions that they were given, in order.
pub(crate) fn write_until(machine: &Machine, stop: &AtomicBool) -> Vec<(String, u64)> {
    let mut acknowledged = Vec::new();
    for index in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("w-{index}");
        let output = machine.try_kubectl(&["create", "configmap", &name, "-o", "jsonpath={.metadata.resourceVersion}"]);
        if output.status.success() {
            let revision = String::from_utf8_lossy(&output.stdout).parse().unwrap();
            acknowledged.push((name, revision));
        }
    }
    acknowledged
}

/// Stops the writer when the test ends, also by a panic: the scope would wait for it.
pub(crate) struct Stopping<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_acknowledged_write_is_lost_in_twenty_random_kills() {
    if !possible() {
        return;
    }
    const SEED: u64 = 20_261_123;
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(&user_center(3));
    wait_available(machine);
    let before = containers(machine);
    let stop = AtomicBool::new(false);
    let watched = AtomicBool::new(false);
    let from = revision(machine);
    let (acknowledged, seen) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(machine, &stop));
        let watcher = scope.spawn(|| watch_until(machine, from, &watched));
        let (stopping, watching) = (Stopping(&stop), Stopping(&watched));
        let mut random = SEED;
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let roles: &[&str] = [&["server"][..], &["node"], &["server", "node"]][(random >> 33) as usize % 3];
            // The moment is random within what a few writes take; nothing waits for it.
            let moment = std::time::Instant::now() + std::time::Duration::from_millis((random >> 40) % 300);
            while std::time::Instant::now() < moment {
                std::hint::spin_loop();
            }
            let killed: Vec<_> = roles.iter().map(|role| (role, kill_9(machine, role))).collect();
            machine.until("all is back", |machine| {
                let status = machine.status();
                // For a moment the dead are not missed yet.
                let missed = killed.iter().all(|(role, pid)| status[role]["pid"].as_i64() != *pid);
                if missed && status["ready"] == true { Ok(()) } else { Err(status.to_string()) }
            });
        }
        drop(stopping);
        let acknowledged = writer.join().unwrap();
        machine.kubectl(&format!("create configmap {LAST_WRITE}"));
        // The watcher ends at the last write; it is told to give up only when this test fails before that.
        let seen = watcher.join().unwrap();
        drop(watching);
        (acknowledged, seen)
    });
    assert!(acknowledged.len() > 20, "the writer came through: {}", acknowledged.len());
    assert!(acknowledged.is_sorted_by(|one, next| one.1 < next.1), "revisions only rise: {acknowledged:?}");
    let listed = machine.kubectl("get configmaps -o name");
    for (name, _) in &acknowledged {
        assert!(listed.contains(&format!("configmap/{name}\n")), "{name} of {} is lost", acknowledged.len());
    }
    assert!(seen.is_sorted_by(|one, next| one.1 < next.1), "each event comes once, in order: {seen:?}");
    for write in &acknowledged {
        assert!(seen.contains(write), "the watcher never saw {write:?} of {seen:?}");
    }
    wait_available(machine);
    assert_eq!(containers(machine), before, "no container was touched");
    cluster.finish();
}

/// Ends the watch.
const LAST_WRITE: &str = "last-write";

/// Watches what `write_until` makes after a revision, from the last event on whenever the connection breaks; the names and revisions of
/// what was added, as they came.
fn watch_until(machine: &Machine, mut revision: String, stop: &AtomicBool) -> Vec<(String, u64)> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let path = format!(
            "/api/v1/namespaces/default/configmaps?watch=true&allowWatchBookmarks=true&timeoutSeconds=30&resourceVersion={revision}"
        );
        let mut command = machine.inside("kubectl");
        let mut child =
            command.args(["get", "--raw", &path]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // What a killed server left of an event is no event.
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line.unwrap()) else { break };
            let object = &event["object"];
            assert_ne!(event["type"], "ERROR", "the watch from {revision}: {event}");
            revision = object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
            if event["type"] == "ADDED" {
                let name = object["metadata"]["name"].as_str().unwrap();
                if name == LAST_WRITE {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    return seen;
                }
                seen.push((name.to_owned(), revision.parse().unwrap()));
            }
        }
        let output = child.wait_with_output().unwrap();
        let refused = String::from_utf8_lossy(&output.stderr);
        assert!(!refused.contains("too old resource version"), "the watch from {revision}: {refused}");
    }
    panic!("the last write was never seen")
}

pub(crate) fn ready_again(machine: &Machine, role: &str, restarts: u64) {
    machine.until("the processes are back", |machine| {
        let status = machine.status();
        let back = status[role]["restarts"].as_u64() >= Some(restarts) && status["ready"] == true;
        if back { Ok(()) } else { Err(status.to_string()) }
    });
}

#[test]
fn containers_keep_their_ids_when_node_and_server_are_killed() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(&user_center(5));
    wait_available(machine);
    let before = containers(machine);
    for (round, role) in ["node", "server", "node"].into_iter().enumerate() {
        kill_9(machine, role);
        ready_again(machine, role, 1 + (round as u64) / 2);
        wait_available(machine);
        assert_eq!(containers(machine), before, "after the {role} was killed");
    }
    // New pods still come up, and the old ones still answer.
    machine.kubectl("scale deployment/user-center -n user-center --replicas=7");
    machine.kubectl("rollout status deployment/user-center -n user-center --timeout=60s");
    cluster.finish();
}

#[test]
fn a_container_that_ends_while_the_node_is_away_is_reported_with_its_code() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    let script = "until [ -e /tmp/end ]; do sleep 0.1; done; exit 9";
    machine.kubectl_args(&["run", "job", "--image=user-center:v1.0", "--restart=Never", "--", "sh", "-c", script]);
    machine.kubectl("wait --for=condition=Ready pod/job --timeout=60s");
    // The end comes some time after the command that asks for it, when the node process is gone.
    machine.kubectl_args(&["exec", "job", "--", "sh", "-c", "(sleep 0.5; : > /tmp/end) >/dev/null 2>&1 &"]);
    kill_9(machine, "node");
    ready_again(machine, "node", 1);
    machine.until("the exit is reported", |machine| {
        let output = machine.try_kubectl(&[
            "get",
            "pod",
            "job",
            "-o",
            "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}",
        ]);
        if output.stdout == b"9" { Ok(()) } else { Err(said(&output)) }
    });
    cluster.finish();
}
