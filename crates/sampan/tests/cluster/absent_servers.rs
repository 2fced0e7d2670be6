//! Servers that are away for a while and come back: stopped for longer than their claims last, or cut off from etcd.

use crate::backup::restore;
use crate::datastore::Member;
use crate::harness::{Cluster, Machine, must, possible_with_etcd, said};
use crate::two_servers::{World, leader, until_announced};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The server process of a machine, told something.
fn tell(machine: &Machine, signal: Signal) {
    let server = machine.status()["server"]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(server.try_into().unwrap()), signal).unwrap();
}

fn until_led_by(machine: &Machine) {
    machine.until("another leader", |machine| {
        let name = leader(machine);
        (name == machine.name).then_some(()).ok_or(name)
    });
}

#[test]
fn a_leader_that_slept_finds_another_in_its_place() {
    let Some(world) = World::both() else { return };
    let (one, two) = world.servers();
    until_announced(two, &[one, two]);
    let (slept, awake) = if leader(one) == one.name { (one, two) } else { (two, one) };
    tell(slept, Signal::SIGSTOP);
    until_led_by(awake);
    until_announced(awake, &[awake]);
    awake.kubectl("create configmap meanwhile");
    tell(slept, Signal::SIGCONT);
    until_announced(awake, &[one, two]);
    assert_eq!(slept.kubectl("get configmap meanwhile -o name"), "configmap/meanwhile\n");
    slept.kubectl("create configmap since");
    assert_eq!(leader(awake), awake.name, "who leads goes on leading");
    assert_eq!(slept.status()["server"]["restarts"], 0, "the same process");
    world.finish();
}

/// The state of a cluster is replaced while a server sleeps: what it has in memory is of no use any more.
#[test]
fn a_server_that_slept_through_a_restore_serves_what_was_restored() {
    if !possible_with_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(2);
    let (first, second) = (cluster.first(), &cluster.machines[1]);
    let etcd = Member::on(first, &folder.path().join("etcd"));
    first.up_server_with(&["--datastore-endpoint", &etcd.url]);
    first.kubectl("create configmap kept");
    let backup = folder.path().join("cluster.backup");
    first.sampan(&["backup", backup.to_str().unwrap()]);
    first.kubectl("create configmap later");
    tell(first, Signal::SIGSTOP);
    let restored = restore(second, &backup, &["--overwrite"]);
    tell(first, Signal::SIGCONT);
    assert!(restored.status.success(), "{}", said(&restored));
    first.until("the server's next process", |first| {
        let status = first.status();
        let server = &status["server"];
        let is_next = server["ready"] == true && server["restarts"].as_u64() > Some(0);
        is_next.then_some(()).ok_or_else(|| status.to_string())
    });
    assert_eq!(first.kubectl("get configmap kept -o name"), "configmap/kept\n");
    let gone = first.try_kubectl(&["get", "configmap", "later"]);
    assert!(said(&gone).contains("not found"), "{}", said(&gone));
    let log = first.whole_log();
    assert!(log.contains("cannot serve any more and ends") && log.contains("another state was restored"), "{log}");
    cluster.finish();
}

/// Cuts a machine off from every etcd, its own member too, as clients reach it: packets go nowhere.
fn cut_off(machine: &Machine) {
    must(machine.inside("nft").args(["add", "table", "inet", "cut"]));
    must(machine.inside("nft").args(["add", "chain", "inet", "cut", "out", "{ type filter hook output priority 0; }"]));
    must(machine.inside("nft").args(["add", "rule", "inet", "cut", "out", "tcp", "dport", "2379", "drop"]));
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: told, namespace: default}\nspec:\n  nodeName: n2\n  \
    containers: [{name: c, image: 'example.com/absent:1', imagePullPolicy: Never}]\n";

#[test]
fn a_node_leaves_a_server_that_has_lost_etcd() {
    let Some(world) = World::both() else { return };
    let (one, two) = world.servers();
    until_announced(two, &[one, two]);
    // By the first, and stays with it until that cannot serve.
    world.cluster.join(2, &[]);
    two.kubectl("wait --for=condition=Ready node/n2 --timeout=60s");
    cut_off(one);
    until_announced(two, &[two]);
    let renewed = |machine: &Machine| machine.kubectl("get lease n2 -n kube-node-lease -o jsonpath={.spec.renewTime}");
    let last = renewed(two);
    two.until("the node's lease", |two| Some(renewed(two)).filter(|now| *now != last).ok_or_else(|| last.clone()));
    two.apply(POD);
    two.until("what the node says of a pod", |two| {
        let path = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
        let reason = two.kubectl(&format!("get pod told -o {path}"));
        (reason == "ErrImageNeverPull").then_some(()).ok_or(reason)
    });
    must(one.inside("nft").args(["delete", "table", "inet", "cut"]));
    until_announced(two, &[one, two]);
    one.kubectl("delete pod told --force --grace-period=0");
    world.finish();
}
