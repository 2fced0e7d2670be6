//! A cluster that moves from its own store to an etcd and back, by backup and restore: nothing is lost, nobody's pod is
//! touched, and no server starts with the engine that does not have the objects.

use crate::backup::restore;
use crate::datastore::Member;
use crate::encryption::Keys;
use crate::harness::{Cluster, Machine, possible_with_etcd, said};
use crate::image;
use crate::pods::{user_center, wait_available};
use crate::restarts::containers;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const MAPS: usize = 300;
const PASSWORD: &str = "hunter2-Ghost-in-the-shell!";

/// What a restore must leave as it is, by uid; and the revisions of the made config maps.
struct State {
    objects: BTreeMap<String, String>,
    revisions: BTreeMap<String, u64>,
}

fn state(machine: &Machine) -> State {
    let kinds = "configmaps,secrets,services,deployments,replicasets,serviceaccounts,namespaces,nodes,clusterroles";
    let text = machine.kubectl(&format!("get {kinds} -A -o json"));
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (mut objects, mut revisions) = (BTreeMap::new(), BTreeMap::new());
    for object in list["items"].as_array().unwrap() {
        let meta = &object["metadata"];
        let name = meta["name"].as_str().unwrap();
        let told = format!("{} {name} {} {}", object["kind"], meta["creationTimestamp"], object["data"]);
        objects.insert(meta["uid"].as_str().unwrap().to_owned(), told);
        if name.starts_with("map-") {
            revisions.insert(name.to_owned(), meta["resourceVersion"].as_str().unwrap().parse().unwrap());
        }
    }
    State { objects, revisions }
}

/// In an order of their own, so that the order of names is none of revisions.
fn make_maps(machine: &Machine) {
    let mut text = String::new();
    for n in 0..MAPS {
        let name = n * 7 % MAPS;
        writeln!(text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{name:03}}}\ndata: {{n: '{n}'}}")
            .unwrap();
    }
    machine.apply(&text);
}

fn newest(machine: &Machine) -> u64 {
    let list = machine.kubectl("get --raw /api/v1/namespaces/default/configmaps?limit=1");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn check_moved(machine: &Machine, before: &State, seen: u64) {
    let after = state(machine);
    for (uid, told) in &before.objects {
        assert_eq!(after.objects.get(uid), Some(told));
    }
    assert_eq!(after.revisions.len(), MAPS);
    // What was brought in one transaction has one revision: by both, only a contradiction is left to find.
    let mut order: Vec<_> = after.revisions.iter().map(|(name, now)| (now, before.revisions[name])).collect();
    order.sort_unstable();
    assert!(order.is_sorted_by_key(|(_, then)| *then), "who was written later is not earlier now");
    assert!(newest(machine) > seen, "{} is not after {seen}", newest(machine));
    let path = format!("/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1&resourceVersion={seen}");
    let watched = said(&machine.try_kubectl(&["get", "--raw", &path]));
    assert!(watched.contains("too old resource version") || watched.contains("\"code\":410"), "{watched}");
    let secret = machine.kubectl("get secret web -o go-template={{.data.password|base64decode}}");
    assert_eq!(secret, PASSWORD);
    // What only one object may have is still only its.
    let taken = machine.kubectl("get service user-center -n user-center -o jsonpath={.spec.clusterIP}");
    let thief = format!("create service clusterip thief --tcp=80 --clusterip={taken}");
    let refused = said(&machine.try_kubectl(&thief.split(' ').collect::<Vec<_>>()));
    assert!(refused.contains("already allocated"), "{refused}");
}

/// A node that ran on all the while follows what happens now: a pod of its comes, answers and goes.
fn check_node_follows(machine: &Machine, round: &str) {
    let overrides = "--overrides={\"spec\":{\"nodeName\":\"n1\",\"terminationGracePeriodSeconds\":0}}";
    let name = format!("late-{round}");
    machine.kubectl_args(&["run", &name, "--image=user-center:v1.0", "--image-pull-policy=Never", overrides]);
    machine.kubectl(&format!("wait --for=condition=Ready pod/{name} --timeout=60s"));
    assert_eq!(machine.kubectl(&format!("exec {name} -- echo here")), "here\n");
    machine.kubectl(&format!("delete pod {name} --timeout=60s"));
}

fn moved(machine: &Machine, file: &Path, flags: &[&str]) {
    let data_dir = &machine.data_dir;
    machine.sampan(&["backup", file.to_str().unwrap()]);
    machine.stop();
    let done = restore(machine, file, &[&["--overwrite"], flags].concat());
    assert!(done.status.success(), "{}", said(&done));
    assert!(!data_dir.join("restore.tmp").exists() && !data_dir.join("restore.ready").exists());
    machine.up_again();
}

#[test]
fn a_cluster_moves_to_etcd_and_back_with_its_pods_alive() {
    if !possible_with_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys { file: folder.path().join("encryption.yaml"), resources: "secrets" };
    keys.write(&[("one", 1)]);
    let cluster = Cluster::machines(2);
    let machine = cluster.first();
    machine.up(&keys.flags());
    cluster.join(1, &[]);
    for machine in &cluster.machines {
        image::import(machine, "v1.0");
    }
    machine.kubectl("wait --for=condition=Ready node/n1 --timeout=60s");
    machine.apply(&user_center(6));
    wait_available(machine);
    make_maps(machine);
    machine.kubectl_args(&["create", "secret", "generic", "web", &format!("--from-literal=password={PASSWORD}")]);
    let (running, before, seen) = (containers(machine), state(machine), newest(machine));
    assert_eq!(before.revisions.len(), MAPS);

    let etcd = Member::on(machine, &folder.path().join("etcd"));
    let datastore = ["--datastore-endpoint", &etcd.url];
    let there = folder.path().join("there.backup");
    moved(machine, &there, &datastore);
    check_moved(machine, &before, seen);
    check_node_follows(machine, "there");
    wait_available(machine);
    assert_eq!(containers(machine), running, "no container was touched");
    assert!(!machine.data_dir.join("store").exists(), "one engine has the objects");
    let kept = dump(machine, &etcd);
    assert!(kept.contains("/core/configmaps/default/map-007"), "the objects are in etcd");
    assert!(!kept.contains(PASSWORD) && kept.contains("k8s:enc:secretbox:v1:one:"), "and sealed as they were");
    let in_etcd = newest(machine);

    // The other engine would begin with nothing.
    let back = folder.path().join("back.backup");
    machine.sampan(&["backup", back.to_str().unwrap()]);
    machine.stop();
    let refused = said(&machine.try_up(&keys.flags()));
    assert!(
        refused.contains(&format!("are in the etcd {}: start it with --datastore-endpoint", etcd.url)),
        "{refused}"
    );
    machine.up_again();

    moved(machine, &back, &["--embedded"]);
    check_moved(machine, &before, in_etcd);
    check_node_follows(machine, "back");
    wait_available(machine);
    assert_eq!(containers(machine), running, "no container was touched");
    machine.stop();
    let refused = said(&machine.try_up(&[&datastore[..], &keys.flags()].concat()));
    assert!(refused.contains("start it without --datastore-endpoint"), "{refused}");
    machine.up_again();
    cluster.finish();
}

/// All that an etcd holds, as text.
fn dump(machine: &Machine, etcd: &Member) -> String {
    let mut command = machine.inside("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", &etcd.url, "get", "--prefix", "/sampan"]);
    String::from_utf8_lossy(&crate::harness::run(&mut command).stdout).into_owned()
}

#[test]
fn an_etcd_that_is_used_or_anothers_is_not_restored_into() {
    if !possible_with_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(2);
    let (first, second) = (cluster.first(), &cluster.machines[1]);
    let etcd = Member::on(first, &folder.path().join("etcd"));
    let datastore = ["--datastore-endpoint", etcd.url.as_str()];
    first.up_server_with(&datastore);
    first.kubectl("create configmap kept");
    let own = folder.path().join("own.backup");
    first.sampan(&["backup", own.to_str().unwrap()]);
    // Into a directory of its own, while the server is there.
    let used = restore(second, &own, &["--overwrite"]);
    assert!(said(&used).contains("stop it first"), "{}", said(&used));
    assert!(!second.data_dir.exists());
    first.kubectl("create configmap still-writable");

    second.up_server();
    let others = folder.path().join("others.backup");
    second.sampan(&["backup", others.to_str().unwrap()]);
    second.stop();
    first.stop();
    let refused = restore(second, &others, &[&["--overwrite"], &datastore[..]].concat());
    assert!(said(&refused).contains("it holds the objects of another cluster"), "{}", said(&refused));
    let refused = restore(first, &own, &[]);
    assert!(said(&refused).contains("is not empty: --overwrite"), "{}", said(&refused));
    first.up_again();
    first.kubectl("get configmap kept still-writable");

    // What was written since is gone, and what the backup has is there.
    first.stop();
    let done = restore(first, &own, &["--overwrite"]);
    assert!(done.status.success(), "{}", said(&done));
    first.up_again();
    first.kubectl("get configmap kept");
    let gone = first.try_kubectl(&["get", "configmap", "still-writable"]);
    assert!(said(&gone).contains("not found"), "{}", said(&gone));
    cluster.finish();
}
