//! Two departments: what a default-deny NetworkPolicy keeps apart, on one node and across two.

use crate::harness::{Cluster, Machine, Runtime, on_each_runtime, possible};
use crate::image;
use crate::pods::{client_pod, user_center, wait_available};

const DENY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: own-department-only, namespace: user-center }
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from: [{ podSelector: {} }]
";

/// Whether `client` reaches an address; a refused packet is dropped, so the wait is bounded inside the pod.
fn reaches(machine: &Machine, client: &str, target: &str) -> bool {
    let (namespace, pod) = client.split_once('/').unwrap();
    let script = format!("wget -qO- http://{target}/ & pid=$!; (sleep 1; kill $pid) >/dev/null 2>&1 & wait $pid");
    let output = machine.try_kubectl(&["exec", "-n", namespace, pod, "--", "sh", "-c", &script]);
    String::from_utf8_lossy(&output.stdout).contains("user-center v1.0")
}

on_each_runtime! {
    fn one_department_does_not_reach_the_others_internal_service(runtime) {
        departments(runtime);
    }
}

/// `runtime` is the first node's; the second has the embedded one.
fn departments(runtime: Runtime) {
    if !possible() {
        return;
    }
    let mut cluster = Cluster::machines(2);
    cluster.install(0, runtime);
    cluster.machines[0].up(&[]);
    cluster.join(1, &[]);
    for machine in &cluster.machines {
        image::import(machine, "v1.0");
    }
    let first = cluster.first();
    first.apply(&user_center(2));
    wait_available(first);
    first.kubectl("create namespace sales");
    for namespace in ["user-center", "sales"] {
        for node in ["n0", "n1"] {
            let pod = client_pod().replace(
                "name: client\n  namespace: user-center",
                &format!("name: on-{node}\n  namespace: {namespace}"),
            );
            first.apply(&pod.replace("spec:\n", &format!("spec:\n  nodeName: {node}\n")));
            first.kubectl(&format!("wait --for=condition=Ready pod/on-{node} -n {namespace} --timeout=60s"));
        }
    }
    let vip = first.kubectl("get service user-center -n user-center -o jsonpath={.spec.clusterIP}");
    let addresses = first.kubectl("get pods -n user-center -l app=user-center -o jsonpath={.items[*].status.podIP}");
    let targets: Vec<String> = addresses.split_whitespace().map(|ip| format!("{ip}:8080")).chain([vip]).collect();
    let all = |department: &str| -> Vec<bool> {
        let from = ["n0", "n1"].map(|node| format!("{department}/on-{node}"));
        from.iter().flat_map(|client| targets.iter().map(|target| reaches(first, client, target))).collect()
    };
    assert!(all("sales").iter().all(|reached| *reached), "before the policy everybody reaches everybody");
    first.apply(DENY);
    first.until("the other department is kept out, from both nodes", |_| {
        let reached = all("sales");
        if reached.iter().any(|reached| *reached) { Err(format!("{targets:?}: {reached:?}")) } else { Ok(()) }
    });
    assert!(all("user-center").iter().all(|reached| *reached), "the own department goes on");
    first.kubectl("delete networkpolicy own-department-only -n user-center");
    first.until("it is open again", |_| {
        let reached = all("sales");
        if reached.iter().all(|reached| *reached) { Ok(()) } else { Err(format!("{targets:?}: {reached:?}")) }
    });
    cluster.finish();
}
