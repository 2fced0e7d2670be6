//! Deployments rolled on, back, held and exposed.

use super::{Client, WEB, with_each_client};
use crate::harness::said;

#[test]
fn deployments_roll_on_back_and_wait() {
    with_each_client(|client| {
        client.file("web.yaml", WEB);
        client.ok("apply -f web.yaml");
        rolled(client);
        on_and_back(client);
        paused(client);
        restarted(client);
        scaled(client);
        exposed(client);
    });
}

fn rolled(client: &Client<'_>) {
    let text = client.ok("rollout status deployment/web --timeout=120s");
    assert!(text.ends_with("deployment \"web\" successfully rolled out\n"), "{text}");
}

fn images(client: &Client<'_>) -> String {
    client.ok("get pods -l app=web -o jsonpath={.items[*].spec.containers[*].image}")
}

fn on_and_back(client: &Client<'_>) {
    client.ok("annotate deployment web kubernetes.io/change-cause=first");
    assert_eq!(client.ok("set image deployment/web web=user-center:v2.0"), "deployment.apps/web image updated\n");
    client.ok("annotate deployment web kubernetes.io/change-cause=second --overwrite");
    rolled(client);
    client.until("get pods -o jsonpath={.items[*].spec.containers[*].image}", "user-center:v2.0 user-center:v2.0");
    let history = client.ok("rollout history deployment/web");
    let rows: Vec<Vec<&str>> = history.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1..4], [vec!["REVISION", "CHANGE-CAUSE"], vec!["1", "first"], vec!["2", "second"]], "{history}");
    let second = client.ok("rollout history deployment/web --revision=2");
    assert!(second.contains("user-center:v2.0"), "{second}");

    assert_eq!(client.ok("rollout undo deployment/web"), "deployment.apps/web rolled back\n");
    rolled(client);
    client.until("get pods -o jsonpath={.items[*].spec.containers[*].image}", "user-center:v1.0 user-center:v1.0");
    let revision = r"get deployment web -o jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}";
    assert_eq!(client.ok(revision), "3", "an old revision comes back as the newest");
    let missing = client.fails(1, "rollout undo deployment/web --to-revision=9");
    assert!(missing.contains("unable to find specified revision 9 in history"), "{missing}");
}

fn paused(client: &Client<'_>) {
    assert_eq!(client.ok("rollout pause deployment/web"), "deployment.apps/web paused\n");
    assert_eq!(client.fails(1, "rollout pause deployment/web"), "error: deployments.apps \"web\" is already paused\n");
    client.ok("set image deployment/web web=user-center:v2.0");
    client.until("get deployment web -o jsonpath={.status.updatedReplicas}", "");
    assert_eq!(images(client), "user-center:v1.0 user-center:v1.0", "a paused deployment does not roll");
    assert_eq!(client.ok("rollout resume deployment/web"), "deployment.apps/web resumed\n");
    rolled(client);
    client.until("get pods -o jsonpath={.items[*].spec.containers[*].image}", "user-center:v2.0 user-center:v2.0");
}

fn restarted(client: &Client<'_>) {
    let pods = "get pods -l app=web -o name";
    let before = client.ok(pods);
    assert_eq!(client.ok("rollout restart deployment/web"), "deployment.apps/web restarted\n");
    rolled(client);
    let after = client.ok(pods);
    assert!(before.lines().all(|old| !after.contains(old)), "{before} are replaced by {after}");
}

fn scaled(client: &Client<'_>) {
    assert_eq!(client.ok("scale deployment web --replicas=3"), "deployment.apps/web scaled\n");
    client.until("get deployment web -o jsonpath={.status.readyReplicas}", "3");
    let refused = client.fails(1, "scale deployment web --current-replicas=7 --replicas=1");
    assert_eq!(refused, "error: Expected replicas to be 7, was 3\n");
    client.ok("scale deployment web --replicas=1");
    client.until("get pods -o jsonpath={.items[*].status.phase}", "Running");
}

fn exposed(client: &Client<'_>) {
    assert_eq!(client.ok("expose deployment web --port=80 --target-port=8080"), "service/web exposed\n");
    let pod = client.ok("get pods -o jsonpath={.items[*].status.podIP}");
    client.until("get endpoints web -o jsonpath={.subsets[*].addresses[*].ip}", &pod);
    let slices =
        "get endpointslices -l kubernetes.io/service-name=web -o jsonpath={.items[*].endpoints[*].addresses[*]}";
    client.until(slices, &pod);
    let vip = client.ok("get service web -o jsonpath={.spec.clusterIP}");
    client.machine.until("the service answers", |machine| {
        let output = crate::harness::run(machine.inside("busybox").args(["wget", "-qO-", &format!("http://{vip}/")]));
        let answered = output.stdout.starts_with(b"user-center v2.0 ");
        if answered { Ok(()) } else { Err(said(&output)) }
    });
    client.ok("delete deployment,service web");
}
