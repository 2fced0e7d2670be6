//! Processes killed with -9: containers live on, nothing is reported twice or lost.

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn kill_9(machine: &Machine, role: &str) {
    let pid = machine.status()[role]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

/// Pod, container id and start time of every container.
fn containers(machine: &Machine) -> String {
    let columns = "NAME:.metadata.name,ID:.status.containerStatuses[*].containerID,\
                   STARTED:.status.containerStatuses[*].state.running.startedAt,RESTARTS:.status.containerStatuses[*].restartCount";
    machine.kubectl(&format!("get pods -n user-center -o custom-columns={columns}"))
}

fn ready_again(machine: &Machine, role: &str, restarts: u64) {
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
