//! The official Python client's streams: commands, attaching, ports, and the proxy.

use super::{tools, with_each_client};
use crate::harness::must;

#[test]
fn the_python_client_streams() {
    let library = tools().join("python-client");
    if !library.exists() {
        return eprintln!("SKIPPED: the Python client is not at {} (scripts/tools.sh)", library.display());
    }
    with_each_client(|client| {
        let script = "echo up; exec busybox nc -ll -p 9000 -e busybox cat";
        client.ok_args(&["run", "echo", "--image=user-center:v1.0", "--", "sh", "-c", script]);
        client.ok("wait --for=condition=Ready pod/echo --timeout=120s");
        let mut python = client.machine.inside("python3");
        python.env("PYTHONPATH", &library).env("PYTHONDONTWRITEBYTECODE", "1");
        let namespace = client.ok("config view --minify -o jsonpath={..namespace}");
        let config = client.machine.data_dir.join("admin.kubeconfig");
        python.arg("-c").arg(include_str!("streams.py")).arg(config).arg(namespace);
        assert_eq!(must(&mut python), "commands\ninput\nends\nports\nrefused\n");
        client.ok("delete pod echo --grace-period=0 --force");
    });
}
