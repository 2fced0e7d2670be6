//! Logs of the whole cluster: of pods that are there, and of pods that are gone; from every node, for whom they are.

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const WORKLOADS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: user-center:v1.0
        command: [sh, -c, "echo INFO begun on $NODE; echo 'level=error order=42 lost' >&2; trap 'echo last words; exit 0' TERM; while :; do sleep 0.1; done"]
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: vault, namespace: bank}
spec:
  containers:
  - {name: main, image: user-center:v1.0, command: [sh, -c, "echo a secret; sleep 1000"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: logs, namespace: shop}
rules: [{apiGroups: [""], resources: [pods/log], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ann, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: logs}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
"#;

pub(crate) fn logs(machine: &Machine, arguments: &str) -> Vec<String> {
    let arguments: Vec<&str> = ["logs"].into_iter().chain(arguments.split(' ')).collect();
    machine.sampan(&arguments).lines().map(str::to_owned).collect()
}

/// What the API answers to a user.
fn seen_by_ann(machine: &Machine, query: &str) -> String {
    let path = format!("/insight/logs?{query}");
    said(&machine.try_kubectl(&["get", "--raw", &path, "--as=ann", "--as-group=system:authenticated"]))
}

fn both_have_begun(machine: &Machine) -> Result<(), String> {
    let lines = logs(machine, "deploy/web -n shop --grep begun -o raw");
    let on = |node: &str| lines.iter().any(|line| *line == format!("INFO begun on {node}"));
    if on("n0") && on("n1") { Ok(()) } else { Err(format!("{lines:?}")) }
}

#[test]
fn logs_of_all_nodes_are_found_when_their_pods_are_gone() {
    if !possible() {
        return;
    }
    let flags = ["--node-monitor-grace", "4"];
    let cluster = Cluster::machines(2);
    cluster.machines[0].up(&flags);
    cluster.join(1, &flags);
    cluster.machines.iter().for_each(|machine| image::import(machine, "v1.0"));
    let first = cluster.first();
    first.kubectl("wait --for=condition=Ready node/n0 node/n1 --timeout=60s");
    first.apply(WORKLOADS);
    first.until("lines of both nodes are found", both_have_begun);
    first.kubectl("wait --for=condition=Ready pod/vault -n bank --timeout=60s");
    // A follower hears what comes, of pods that come too.
    let mut following = first.inside(env!("CARGO_BIN_EXE_sampan"));
    following.args(["logs", "-n", "shop", "-f", "-o", "raw", "--grep", "last words|newcomer", "--data-dir"]);
    let mut following = following.arg(&first.data_dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut heard = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    let late = ["run", "late", "-n", "shop", "--image=user-center:v1.0", "--restart=Never", "--command", "--"];
    first.kubectl_args(&[&late[..], &["sh", "-c", "echo newcomer"]].concat());
    assert_eq!(heard.next().as_deref(), Some("newcomer"));
    first.kubectl("delete deployment web -n shop --wait=true");
    assert_eq!((heard.next().as_deref(), heard.next().as_deref()), (Some("last words"), Some("last words")));
    following.kill().unwrap();
    following.wait().unwrap();
    first.until("the pods are gone", |machine| {
        let pods = machine.kubectl("get pods -n shop -l app=web --no-headers");
        if pods.is_empty() { Ok(()) } else { Err(pods) }
    });

    both_have_begun(first).unwrap();
    assert_eq!(logs(first, "-A -l app=web --level error -o raw"), ["level=error order=42 lost"; 2]);
    assert_eq!(logs(first, "web -n shop --field order=42 -o json --tail 1").len(), 1);
    let lines = logs(first, "-n shop web --timestamps");
    let times: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(times.len() == 6 && times.is_sorted(), "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" web-") && line.contains(" main | ")), "{lines:#?}");

    // Only who may read a namespace's logs sees them.
    assert!(seen_by_ann(first, "").contains("last words") && !seen_by_ann(first, "").contains("a secret"));
    let refused = seen_by_ann(first, "namespace=bank");
    assert!(refused.contains("forbidden") && !refused.contains("a secret"), "{refused}");
    assert!(logs(first, "-A").iter().any(|line| line.contains("bank/vault main | a secret")));
    let wrong = first
        .inside(env!("CARGO_BIN_EXE_sampan"))
        .args(["logs", "--grep", "(", "--data-dir"])
        .arg(&first.data_dir)
        .output();
    assert!(said(&wrong.unwrap()).contains("unclosed group"));

    // A node that is down is named, and what others have is shown; with it, what it had comes back.
    cluster.machines[1].stop();
    let mut asked = first.inside(env!("CARGO_BIN_EXE_sampan"));
    let output =
        asked.args(["logs", "-n", "shop", "web", "-o", "raw", "--data-dir"]).arg(&first.data_dir).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.contains("logs of node n1 are missing"), "{err}");
    assert!(out.contains("begun on n0") && !out.contains("begun on n1"), "{out}");
    cluster.machines[1].up_again();
    first.until("what the node archived is there again", both_have_begun);
    cluster.finish();
}
