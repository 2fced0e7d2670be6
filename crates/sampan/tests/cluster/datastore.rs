//! Servers whose objects are in an etcd: what one wrote the next one has. (Of two at once: `two_servers`.)

use crate::harness::{Cluster, Machine, possible_with_etcd, run, said};
use std::path::Path;
use std::process::{Child, Output, Stdio};

/// An etcd on a machine; it dies with the thread that started it.
pub(crate) struct Member {
    child: Child,
    pub(crate) url: String,
}

impl Member {
    pub(crate) fn on(machine: &Machine, folder: &Path) -> Member {
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

pub(crate) fn server(machine: &Machine, etcd: &Member, flags: &[&str]) -> Output {
    let mut command = machine.inside(env!("CARGO_BIN_EXE_sampan"));
    command.args(["server", "--detach", "--datastore-endpoint", &etcd.url]);
    command.args(["--node-name", &machine.name, "--node-ip", &machine.address]);
    run(command.arg("--data-dir").arg(&machine.data_dir).args(flags))
}

#[test]
fn a_server_takes_over_what_another_kept_in_etcd() {
    if !possible_with_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(2);
    let (first, second) = (cluster.first(), &cluster.machines[1]);
    let etcd = Member::on(first, folder.path());
    let up = server(first, &etcd, &[]);
    assert!(up.status.success(), "{}\n{}", said(&up), first.log());
    first.kubectl("create configmap kept --from-literal=a=b");
    let readyz = first.kubectl("get --raw /readyz?verbose");
    assert!(readyz.contains("[+]store-writable ok"), "{readyz}");

    let stranger = server(second, &etcd, &[]);
    assert!(said(&stranger).contains("sealed with its server token"), "{}", said(&stranger));
    first.stop();
    let token = first.data_dir.join("server-token");
    let up = server(second, &etcd, &["--server-token-file", token.to_str().unwrap()]);
    assert!(up.status.success(), "{}\n{}", said(&up), second.log());
    assert_eq!(second.kubectl("get configmap kept -o jsonpath={.data.a}"), "b");
    second.kubectl("delete configmap kept");
    cluster.finish();
}
