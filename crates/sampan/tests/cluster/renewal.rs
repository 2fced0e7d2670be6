//! The server's certificates are made anew while it runs, and nobody who is connected notices.

use crate::harness::{Cluster, Machine, PATIENCE, possible};
use apiserver::pki::{Pki, ServerNames};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Until the certificates are due; the cluster has started by then.
const SECONDS: i64 = 10;

/// Leaves the machine keys and certificates as of long ago, of which a third of their life will soon be left.
fn leave_old_certificates(machine: &Machine) {
    let addresses = ["127.0.0.1", "10.43.0.1", &machine.address].map(|address| address.parse().unwrap());
    let names = ServerNames {
        node_name: machine.name.clone(),
        cluster_domain: "cluster.local".to_owned(),
        addresses: addresses.to_vec(),
        dns: Vec::new(),
    };
    let now = jiff::Timestamp::now().as_second();
    let folder = machine.data_dir.join("pki");
    let life = Pki::open(&folder, &names, now).unwrap().due() - now;
    std::fs::remove_dir_all(&folder).unwrap();
    let made = Pki::open(&folder, &names, now + SECONDS - life).unwrap();
    assert_eq!(made.due(), now + SECONDS);
}

/// What the API server shows to one who connects now.
fn shown(machine: &Machine) -> Vec<u8> {
    machine.within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let chain = runtime.block_on(client::presented_certificates("https://127.0.0.1:6443")).unwrap();
        chain[0].to_vec()
    })
}

#[test]
fn certificates_are_shown_and_rotated_by_command() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up(&[]);
    let table = machine.sampan(&["certs", "show"]);
    for name in ["server-ca", "client-ca", "front-proxy-ca", "apiserver", "admin", "front-proxy-client"] {
        assert!(table.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} in {table}");
    }
    let metrics = machine.kubectl("get --raw /metrics");
    let gauge = "sampan_certificate_expiration_timestamp_seconds{certificate=\"server-ca\",authority=\"true\"} ";
    assert!(metrics.contains(gauge), "{metrics}");
    // None of those who count takes another's place.
    assert!(metrics.contains("etcd_requests_total{") && metrics.contains("apiserver_storage"), "{metrics}");
    let before = shown(machine);
    let said = machine.sampan(&["certs", "rotate"]);
    assert!(said.starts_with("to be made anew within seconds"), "{said}");
    machine.until(
        "another certificate is shown",
        |machine| {
            if shown(machine) == before { Err(machine.log()) } else { Ok(()) }
        },
    );
    machine.kubectl("get nodes");
    cluster.finish();
}

#[test]
fn certificates_are_made_anew_and_connections_go_on() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    leave_old_certificates(machine);
    machine.up(&[]);
    let kubeconfig = || std::fs::read(machine.data_dir.join("admin.kubeconfig")).unwrap();
    let (before, old) = (shown(machine), kubeconfig());
    let kept = machine.data_dir.join("kept.kubeconfig");
    std::fs::write(&kept, &old).unwrap();
    let mut watch = machine.inside("kubectl");
    watch.env("KUBECONFIG", &kept).args(["get", "configmaps", "--watch-only", "-o", "name"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    machine.until(
        "another certificate is shown",
        |machine| {
            if shown(machine) == before { Err(machine.log()) } else { Ok(()) }
        },
    );
    machine.until("the kubeconfig is another", |_| {
        if kubeconfig() == old { Err("the old one".to_owned()) } else { Ok(()) }
    });
    machine.kubectl("create configmap after");
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let (sender, seen) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let found = lines.find(|line| line.as_ref().is_ok_and(|line| line == "configmap/after"));
        sender.send(found.is_some()).unwrap();
    });
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(true), "the watch that began before the renewal goes on");
    watch.kill().unwrap();
    watch.wait().unwrap();
    // The server shows its new certificate to the kubelet, and the old kubeconfig is good to its end.
    assert_eq!(machine.kubectl("get --raw /api/v1/nodes/n0/proxy/healthz"), "ok");
    machine.kubectl(&format!("--kubeconfig {} get nodes", kept.display()));
    let status = machine.status();
    assert_eq!((&status["server"]["restarts"], &status["node"]["restarts"]), (&0.into(), &0.into()), "{status}");
    cluster.finish();
}
