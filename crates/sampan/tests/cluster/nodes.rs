//! Several machines: they join, reach each other, and take over when one is lost.

use crate::harness::{Cluster, EVICTION_HARD, Machine, possible, run, said};
use crate::image;
use crate::pods::{client_pod, user_center, wait_available};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Output;
use std::time::{Duration, Instant};

/// What ends everything of a machine at once: its supervisor, its processes, its shims and containers.
fn kill_everything(machine: &Machine) {
    let status = machine.status();
    for pid in [&status["pid"], &status["node"]["pid"], &status["server"]["pid"]] {
        if let Some(pid @ 1..) = pid.as_i64() {
            kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        }
    }
    let cgroup = kernel::cgroup::Cgroup::at(&machine.cgroup_root).unwrap();
    cgroup.kill(crate::harness::PATIENCE).unwrap();
}

/// How many ready pods each node has, from the API.
fn spread(machine: &Machine) -> Vec<String> {
    let output = machine.try_kubectl(&["get", "pods", "-n", "user-center", "-l", "app=user-center", "-o", "json"]);
    let pods: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let ready = |pod: &&serde_json::Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    let pods = pods["items"].as_array().into_iter().flatten().filter(ready);
    pods.filter_map(|pod| pod["spec"]["nodeName"].as_str().map(str::to_owned)).collect()
}

/// A node is tainted until it is ready, and whoever lifts the taint hears of that at once: he looks every few seconds
/// else.
#[test]
fn a_joined_node_takes_pods_at_once() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(2);
    cluster.machines[0].up(&[]);
    let begun = Instant::now();
    cluster.join(1, &[]);
    let joined = begun.elapsed();
    cluster.first().until("the node is ready and not tainted as not ready", |machine| {
        let taint = "{.spec.taints[?(@.key=='node.kubernetes.io/not-ready')].key}";
        let path = format!("-o=jsonpath={{.status.conditions[?(@.type=='Ready')].status}}:{taint}");
        let seen = machine.kubectl(&format!("get node n1 {path}"));
        if seen == "True:" { Ok(()) } else { Err(seen) }
    });
    let ready = begun.elapsed();
    eprintln!("joined after {joined:?}, open to pods after {ready:?}");
    assert!(ready < Duration::from_secs(3), "{ready:?}");
    cluster.finish();
}

/// As one whose disk is never empty enough.
#[test]
fn a_node_that_runs_out_of_disk_takes_no_pods() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[EVICTION_HARD, "nodefs.available<100%"]);
    let machine = cluster.first();
    machine.until("the node says so, and is tainted", |machine| {
        let taint = "{.spec.taints[?(@.key=='node.kubernetes.io/disk-pressure')].effect}";
        let path = format!("-o=jsonpath={{.status.conditions[?(@.type=='DiskPressure')].status}}:{taint}");
        let seen = machine.kubectl(&format!("get node n0 {path}"));
        if seen == "True:NoSchedule" { Ok(()) } else { Err(seen) }
    });
    machine.kubectl("create deployment held --image=registry.example/none");
    machine.until("its pod is told why it waits", |machine| {
        let said = "{.items[*].status.conditions[?(@.type=='PodScheduled')].message}";
        let seen = machine.kubectl(&format!("get pods -l app=held -o=jsonpath={said}"));
        if seen.contains("0/1 nodes are available: 1 node(s) had untolerated taint(s)") { Ok(()) } else { Err(seen) }
    });
    cluster.finish();
}

#[test]
fn a_lost_nodes_pods_move_and_nothing_is_doubled_when_it_returns() {
    if !possible() {
        return;
    }
    let flags = ["--node-monitor-grace", "4", "--eviction-after", "1"];
    let cluster = Cluster::machines(3);
    cluster.machines[0].up(&flags);
    cluster.join(1, &flags);
    cluster.join(2, &flags);
    for machine in &cluster.machines {
        image::import(machine, "v1.0");
    }
    let first = cluster.first();
    first.kubectl("wait --for=condition=Ready node/n0 node/n1 node/n2 --timeout=60s");
    first.apply(&user_center(12));
    wait_available(first);
    let before = spread(first);
    for node in ["n0", "n1", "n2"] {
        assert!(before.iter().any(|own| own == node), "pods are on all nodes: {before:?}");
    }
    // A client on each node reaches the service by name; the answers come from all nodes.
    for node in ["n0", "n1", "n2"] {
        let pod = client_pod().replace("name: client\n  namespace", &format!("name: client-{node}\n  namespace"));
        first.apply(&pod.replace("spec:\n", &format!("spec:\n  nodeName: {node}\n")));
        first.kubectl(&format!("wait --for=condition=Ready pod/client-{node} -n user-center --timeout=60s"));
        let ask = "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do wget -qO- http://user-center/; done";
        let answers =
            first.kubectl_args(&["exec", "-n", "user-center", &format!("client-{node}"), "--", "sh", "-c", ask]);
        for other in ["n0", "n1", "n2"] {
            assert!(answers.contains(&format!("node={other}\n")), "from {node} no answer of {other}:\n{answers}");
        }
    }

    kill_everything(&cluster.machines[2]);
    first.until("12 pods are ready on the two other nodes", |machine| {
        let now = spread(machine);
        let moved = now.len() >= 12 && now.iter().filter(|node| *node != "n2").count() == 12;
        if moved { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let vip = first.kubectl("get service user-center -n user-center -o jsonpath={.spec.clusterIP}");
    first.until("no endpoint is on the lost node", |machine| {
        let output = machine.inside("busybox").args(["wget", "-qO-", &format!("http://{vip}/")]).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    });

    cluster.machines[2].up_again();
    first.kubectl("wait --for=condition=Ready node/n2 --timeout=60s");
    first.until("the returned node has no pod twice, the count is 12", |machine| {
        let now = spread(machine);
        let pods = machine.kubectl("get pods -n user-center -l app=user-center --no-headers");
        if now.len() == 12 && pods.lines().count() == 12 { Ok(()) } else { Err(pods) }
    });
    cluster.finish();
}

#[test]
fn a_wrong_token_or_server_joins_nothing() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(2);
    cluster.first().up_server();
    let token = cluster.first().sampan(&["token", "create"]);
    let token = token.trim();
    let server = format!("https://{}:6443", cluster.first().address);
    let other_pin = format!("{}.{}", &token[..token.rfind('.').unwrap()], "0".repeat(64));
    let secret = token.split('.').nth(1).unwrap();
    let other_secret = token.replace(secret, "0123456789abcdef");
    for (wrong, complaint) in [
        (other_pin.as_str(), "is not the server that made this token"),
        (other_secret.as_str(), "Unauthorized"),
        ("nonsense", "not of the form ID.SECRET.PIN"),
    ] {
        let output = cluster.machines[1].join(&server, wrong, &[]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint), "{wrong}: {}", said(&output));
        cluster.machines[1].sampan(&["reset", "--yes"]);
    }
    assert_eq!(cluster.first().kubectl("get nodes -o name"), "");
    cluster.finish();
}

/// A pod on a node that answers with its name, and a service of it alone.
fn answering(name: &str, node: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{ name: {name}, labels: {{ app: {name} }} }}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: user-center:v1.0
      env: [{{ name: POD_NAME, valueFrom: {{ fieldRef: {{ fieldPath: metadata.name }} }} }}]
      readinessProbe: {{ httpGet: {{ path: /, port: 8080 }}, periodSeconds: 1 }}
---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec:
  selector: {{ app: {name} }}
  ports: [{{ port: 80, targetPort: 8080 }}]
"
    )
}

/// Asks each place for the pod that should answer there; what went wrong.
fn all_answer(asked: &str, places: &[(String, &str)], mut ask: impl FnMut(&str) -> Output) -> Result<(), String> {
    for (place, name) in places {
        let output = ask(&format!("http://{place}/"));
        if !String::from_utf8_lossy(&output.stdout).contains(&format!("pod={name} ")) {
            return Err(format!("from {asked} {place}, which is {name}'s: {}", said(&output)));
        }
    }
    Ok(())
}

#[test]
fn pods_and_hosts_reach_pods_of_every_node_by_address_and_by_vip() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(3);
    cluster.machines[0].up(&[]);
    cluster.join(1, &[]);
    cluster.join(2, &[]);
    for machine in &cluster.machines {
        image::import(machine, "v1.0");
    }
    let first = cluster.first();
    first.kubectl("wait --for=condition=Ready node/n0 node/n1 node/n2 --timeout=60s");
    // Two on one node: neighbours must reach each other too.
    let pods = [("a0", "n0"), ("b0", "n0"), ("a1", "n1"), ("a2", "n2")];
    first.apply(&pods.map(|(name, node)| answering(name, node)).join("---\n"));
    first.kubectl("wait --for=condition=Ready pod/a0 pod/b0 pod/a1 pod/a2 --timeout=60s");
    let mut places = Vec::new();
    for (name, _) in pods {
        places.push((first.kubectl(&format!("get pod {name} -o jsonpath={{.status.podIP}}")) + ":8080", name));
        places.push((first.kubectl(&format!("get service {name} -o jsonpath={{.spec.clusterIP}}")), name));
    }
    // Among them each pod itself, by its own VIP: what it sends comes back to it.
    for (asking, _) in pods {
        first.until("a pod reaches all pods", |machine| {
            all_answer(&format!("pod {asking}"), &places, |url| {
                machine.try_kubectl(&["exec", asking, "--", "wget", "-qO-", url])
            })
        });
    }
    for host in &cluster.machines {
        host.until("a host reaches all pods", |host| {
            all_answer(&format!("host {}", host.name), &places, |url| {
                run(host.inside("busybox").args(["wget", "-qO-", url]))
            })
        });
    }
    cluster.finish();
}
