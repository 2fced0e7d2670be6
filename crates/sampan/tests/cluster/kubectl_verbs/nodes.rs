//! Nodes taken out of use and back.

use super::{Client, WEB, with_each_client};

const BUDGET: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  minAvailable: 1
  selector:
    matchLabels: {app: web}
";

#[test]
fn nodes_are_cordoned_and_drained_within_budgets() {
    with_each_client(|client| {
        cordon(client);
        drain(client);
    });
}

fn cordon(client: &Client<'_>) {
    assert_eq!(client.ok("cordon n0"), "node/n0 cordoned\n");
    assert_eq!(client.ok("cordon n0"), "node/n0 already cordoned\n");
    assert_eq!(client.ok("get node n0 --no-headers").split_whitespace().nth(1), Some("Ready,SchedulingDisabled"));
    client.ok("run late --image=user-center:v1.0");
    client.until("get pod late -o jsonpath={.status.conditions[?(@.type==\"PodScheduled\")].reason}", "Unschedulable");
    let message = client.ok("get pod late -o jsonpath={.status.conditions[?(@.type==\"PodScheduled\")].message}");
    assert!(message.starts_with("0/1 nodes are available: 1 node(s) were unschedulable. "), "{message}");
    assert_eq!(client.ok("uncordon n0"), "node/n0 uncordoned\n");
    client.ok("wait --for=condition=Ready pod/late --timeout=120s");
    let refused = client.fails(1, "drain n0 --timeout=5s");
    assert!(refused.contains("cannot delete Pods that declare no controller"), "{refused}");
    client.ok("delete pod late --grace-period=0 --force");
    client.ok("uncordon n0");
}

fn drain(client: &Client<'_>) {
    client.file("web.yaml", WEB);
    client.file("budget.yaml", BUDGET);
    client.ok("apply -f web.yaml -f budget.yaml");
    client.until("get pdb web -o jsonpath={.status.disruptionsAllowed}", "1");
    let refused = client.fails(1, "drain n0 --timeout=3s");
    assert!(refused.contains("Cannot evict pod as it would violate the pod's disruption budget."), "{refused}");
    let phases = client.ok("get pods -o jsonpath={.items[*].status.phase}");
    let mut phases: Vec<&str> = phases.split(' ').collect();
    phases.sort_unstable();
    assert_eq!(phases, ["Pending", "Running"], "one pod went, the budget kept the other");
    client.ok("uncordon n0");
    client.until("get pdb web -o jsonpath={.status.disruptionsAllowed}", "1");
    client.ok("delete pdb web");
    let drained = client.ok("drain n0 --timeout=120s");
    assert!(drained.ends_with("node/n0 drained\n"), "{drained}");
    assert_eq!(client.ok("get pods --field-selector=spec.nodeName=n0 -o name"), "");
    client.ok("uncordon n0");
    client.ok("wait --for=condition=Available deployment/web --timeout=120s");
    client.ok("delete deployment web");
}
