//! What a container can reach of what is around it: nothing.

use crate::harness::{Cluster, Machine, possible, said};
use crate::https::{Https, Who};
use crate::image;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: prisoner}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: user-center:v1.0, command: [sleep, '3600']}
---
apiVersion: v1
kind: Pod
metadata: {name: neighbour}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: user-center:v1.0
    command: [sh, -c, 'echo x >/v/of-the-neighbour; echo x >/own-of-the-neighbour; exec sleep 3600']
    volumeMounts: [{name: v, mountPath: /v}]
  volumes: [{name: v, emptyDir: {}}]
";

/// The exit code and all that was said by a command in the container.
fn inside(machine: &Machine, script: &str) -> (Option<i32>, String) {
    let output = machine.try_kubectl(&["exec", "prisoner", "--", "sh", "-c", &format!("{{ {script}; }} 2>&1")]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_container_reaches_nothing_around_it() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    machine.apply(PODS);
    machine.kubectl("wait --for=condition=Ready pod/prisoner pod/neighbour --timeout=30s");
    the_kernel(machine);
    the_node(machine);
    the_apis(machine);
    cluster.finish();
}

fn the_kernel(machine: &Machine) {
    for (script, complaint) in [
        ("busybox mount -t tmpfs t /tmp", "permission denied"),
        ("busybox umount /proc/acpi", "Operation not permitted"),
        ("busybox unshare -m true", "Operation not permitted"),
        ("busybox nsenter -t 1 -m true", "Operation not permitted"),
        ("busybox hostname other", "Operation not permitted"),
        ("busybox mknod /tmp/mem c 1 1 && busybox head -c 1 /tmp/mem", "Operation not permitted"),
        ("busybox mknod /tmp/disk b 254 0 && busybox head -c 1 /tmp/disk", "Operation not permitted"),
        ("echo 1 >/proc/sys/kernel/pid_max", "Read-only file system"),
        ("echo 1 >/sys/fs/cgroup/memory/memory.limit_in_bytes", "Read-only file system"),
        ("busybox dmesg", "Operation not permitted"),
        ("busybox ip link set eth0 down", "Operation not permitted"),
    ] {
        // Where the machine has no such file there is nothing to reach.
        if script.contains("memory.limit_in_bytes") && !std::path::Path::new("/sys/fs/cgroup/memory").exists() {
            continue;
        }
        let (code, text) = inside(machine, script);
        assert_ne!(code, Some(0), "{script}: {text}");
        assert!(text.contains(complaint), "{script}: {text}");
    }
    for masked in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/sched_debug",
        "/proc/latency_stats",
        "/proc/interrupts",
    ] {
        let (_, text) = inside(machine, &format!("[ ! -e {masked} ] || busybox wc -c <{masked}"));
        assert!(text.is_empty() || text == "0\n", "{masked} has {text}");
    }
    assert_eq!(inside(machine, "ls /sys/firmware").1, "");
    let (_, status) = inside(machine, "cat /proc/self/status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let effective = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
    assert_eq!(effective & !0xa804_25fb, 0, "no more than the default capabilities: {effective:x}");
    assert_eq!(field("CapBnd:"), field("CapEff:"));
    assert_eq!(field("Seccomp:"), "2", "the default profile filters calls");
}

fn the_node(machine: &Machine) {
    let (code, processes) = inside(machine, "ps -o comm");
    assert_eq!(code, Some(0), "{processes}");
    assert!(processes.lines().all(|line| ["COMMAND", "sleep", "sh", "ps"].contains(&line.trim())), "{processes}");
    let (_, sockets) =
        inside(machine, "busybox find / -xdev -type s; busybox find /dev /run /var/run /tmp -type s 2>/dev/null");
    assert_eq!(sockets, "", "no socket is in the file system");
    let (_, listening) = inside(machine, "cat /proc/net/unix");
    assert!(!listening.contains('@'), "no abstract socket is in the network namespace: {listening}");
    let (_, open) = inside(machine, "busybox find /proc/1/fd /proc/self/fd -type l -exec busybox readlink {} ';'");
    assert!(!open.contains("socket:") && !open.contains(machine.data_dir.to_str().unwrap()), "{open}");
    let (_, found) = inside(machine, "busybox find / -name '*of-the-neighbour' 2>/dev/null");
    assert_eq!(found, "", "no file of another pod is visible");
    let folder = machine.data_dir.display();
    assert_eq!(inside(machine, &format!("[ -e {folder} ] && echo there")).1, "", "the data directory is not visible");
    let (_, devices) = inside(machine, "ls -F /dev | busybox grep -v '[/@]'");
    assert_eq!(devices, "full\nnull\nrandom\ntermination-log\ntty\nurandom\nzero\n");
    // Its own services' address lists are read-only to it, the token is its own.
    let (code, text) = inside(machine, "echo x >/var/run/secrets/kubernetes.io/serviceaccount/token");
    assert!(code != Some(0) && text.contains("Read-only file system"), "{text}");
}

/// The kubelet and the API, asked with what the pod has: its token, or nothing.
fn the_apis(machine: &Machine) {
    let (_, token) = inside(machine, "cat /var/run/secrets/kubernetes.io/serviceaccount/token");
    let pod = Who::Token(token);
    let listed = Https::api(machine).get(&pod, "/api/v1/namespaces/default/pods");
    listed.refuses(
        403,
        "Forbidden",
        "pods is forbidden: User \"system:serviceaccount:default:default\" cannot list resource \"pods\" in API group \
         \"\" in the namespace \"default\"",
    );
    let kubelet = Https::kubelet(machine);
    for path in ["/healthz", "/pods", "/metrics", "/stats/summary", "/containerLogs/default/neighbour/c", "/nonsense"] {
        assert_eq!(kubelet.get(&Who::Nobody, path).code, 401, "{path}");
        let code = kubelet.get(&pod, path).code;
        assert!(matches!(code, 401 | 403), "{path}: {code}");
    }
    let exec = "/exec/default/neighbour/c?command=id&output=1";
    assert!(matches!(kubelet.write(&pod, "POST", exec, "", b"").code, 401 | 403));
    let node = Who::Certificate(machine.data_dir.join("kubelet/pki/kubelet-client.pem"));
    assert_eq!(kubelet.get(&node, "/pods").code, 403, "another node's certificate is no key to a kubelet");
    assert_eq!(kubelet.get(&Who::admin(machine), "/healthz").code, 200);
    // The pod reaches the port; what holds is the certificate it does not have.
    let plain = machine.try_kubectl(&["exec", "prisoner", "--", "busybox", "nc", "-w", "1", &machine.address, "10250"]);
    assert_eq!(plain.stdout, b"", "{}", said(&plain));
}
