//! The server alone: what real clients see, and what survives a `kill -9`.

use crate::harness::{Cluster, pause, possible, said};

#[test]
fn writes_that_were_acknowledged_survive_kill_9_of_the_server() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let pid = machine.status()["server"]["pid"].as_u64().unwrap();
        for index in 0..5 {
            let name = format!("c-{round}-{index}");
            machine.kubectl(&format!("create configmap {name} --from-literal=round={round}"));
            acknowledged.push(name);
        }
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), nix::sys::signal::SIGKILL).unwrap();
        machine.until("the server is back", |machine| {
            let output = machine.try_kubectl(&["get", "--raw", "/readyz"]);
            if output.status.success() { Ok(()) } else { Err(said(&output)) }
        });
        let listed = machine.kubectl("get configmaps -o name");
        for name in &acknowledged {
            assert!(listed.contains(&format!("configmap/{name}\n")), "{name} is lost:\n{listed}");
        }
    }
    assert!(machine.status()["server"]["restarts"].as_u64().unwrap() >= 5);
    cluster.finish();
}

#[test]
fn a_second_start_in_the_same_directory_is_harmless_or_refused() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let first = machine.status();
    machine.up_server();
    assert_eq!(machine.status()["pid"], first["pid"], "the same supervisor");
    pause();
    cluster.finish();
}
