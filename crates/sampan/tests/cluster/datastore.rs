//! Servers whose objects are in an etcd: what one wrote the next one has, and two at once are refused.

use crate::harness::{Cluster, Machine, must, possible, run, said};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// An etcd on a machine; it dies with the thread that started it.
struct Member {
    child: Child,
    url: String,
}

impl Member {
    fn on(machine: &Machine, folder: &Path) -> Member {
        let url = format!("http://{}:2379", machine.address);
        let mut command = machine.inside("setpriv");
        command.args(["--pdeathsig", "KILL", "etcd", "--logger=zap"]);
        command.arg(format!("--data-dir={}", folder.display()));
        command.arg(format!("--listen-client-urls={url}")).arg(format!("--advertise-client-urls={url}"));
        let child = command.stderr(Stdio::null()).spawn().expect("etcd starts");
        Member { child, url }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn server(machine: &Machine, etcd: &Member) -> Output {
    let mut command = machine.inside(env!("CARGO_BIN_EXE_sampan"));
    command.args(["server", "--detach", "--datastore-endpoint", &etcd.url]);
    command.args(["--node-name", &machine.name, "--node-ip", &machine.address]);
    run(command.arg("--data-dir").arg(&machine.data_dir))
}

#[test]
fn a_server_takes_over_what_another_kept_in_etcd() {
    if !possible() {
        return;
    }
    if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: etcd is not installed (scripts/packages.sh installs it)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(2);
    let (first, second) = (cluster.first(), &cluster.machines[1]);
    let etcd = Member::on(first, folder.path());
    let up = server(first, &etcd);
    assert!(up.status.success(), "{}\n{}", said(&up), first.log());
    first.kubectl("create configmap kept --from-literal=a=b");
    let readyz = first.kubectl("get --raw /readyz?verbose");
    assert!(readyz.contains("[+]store-writable ok"), "{readyz}");
    let backup = run(first
        .inside(env!("CARGO_BIN_EXE_sampan"))
        .arg("backup")
        .arg(folder.path().join("b"))
        .arg("--data-dir")
        .arg(&first.data_dir));
    assert!(said(&backup).contains("etcdctl snapshot save"), "{}", said(&backup));

    let stranger = server(second, &etcd);
    assert!(said(&stranger).contains("a cluster with another certificate authority"), "{}", said(&stranger));
    let pki = second.data_dir.join("pki");
    std::fs::remove_dir_all(&pki).unwrap();
    must(Command::new("cp").arg("-a").arg(first.data_dir.join("pki")).arg(&pki));
    let second_at_once = server(second, &etcd);
    assert!(said(&second_at_once).contains("the server n0 serves"), "{}", said(&second_at_once));

    first.stop();
    let up = server(second, &etcd);
    assert!(up.status.success(), "{}\n{}", said(&up), second.log());
    assert_eq!(second.kubectl("get configmap kept -o jsonpath={.data.a}"), "b");
    second.kubectl("delete configmap kept");
    cluster.finish();
}
