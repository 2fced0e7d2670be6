//! Subresources: what their judges are shown.

use super::server::Hooks;
use super::{Kind, PODS, account, configure, hook, only, pod, rule};
use crate::cluster::Cluster;
use serde_json::{Value, json};

async fn watched(cluster: &Cluster, server: &Hooks, rules: Value) {
    account(cluster).await;
    configure(cluster, server, Kind::Validating, "v", vec![hook(server, "v", json!({"rules": rules}))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_evictions_and_tokens_are_shown_as_themselves() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let rules = json!([rule(&["CREATE"], "", "v1", &["pods/*", "serviceaccounts/token"])]);
    watched(&cluster, &server, rules).await;
    cluster.post(PODS, pod("p")).await.expect(201);
    let request = only(&server, "v");
    assert_eq!((&request["object"]["kind"], &request["subResource"]), (&json!("Pod"), &json!(null)));
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n1"}});
    server.refuse("v", json!({"message": "not there"}));
    let refused = cluster.post(&format!("{PODS}/p/binding"), binding.clone()).await.expect(400).message();
    assert_eq!(refused, "admission webhook \"v.test.io\" denied the request: not there");
    assert!(cluster.get(&format!("{PODS}/p")).await.json()["spec"]["nodeName"].is_null());
    server.respond("v", json!({"allowed": true}));
    server.forget();
    cluster.post(&format!("{PODS}/p/binding"), binding).await.expect(201);
    let request = only(&server, "v");
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "Binding"}));
    assert_eq!(request["resource"], json!({"group": "", "version": "v1", "resource": "pods"}));
    assert_eq!((&request["subResource"], &request["requestSubResource"]), (&json!("binding"), &json!("binding")));
    assert_eq!((&request["object"]["target"]["name"], &request["oldObject"]), (&json!("n1"), &json!(null)));
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    cluster.post(&format!("{PODS}/p/eviction"), eviction).await.expect(201);
    let request = only(&server, "v");
    assert_eq!(request["kind"], json!({"group": "policy", "version": "v1", "kind": "Eviction"}));
    assert_eq!((&request["object"]["metadata"]["name"], &request["oldObject"]), (&json!("p"), &json!(null)));
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["a"]}});
    cluster.post("/api/v1/namespaces/default/serviceaccounts/default/token", asked).await.expect(201);
    let request = only(&server, "v");
    assert_eq!(request["kind"]["kind"], "TokenRequest");
    assert_eq!((&request["subResource"], &request["name"]), (&json!("token"), &json!("default")));
    assert_eq!(request["object"]["spec"]["audiences"], json!(["a"]));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_is_judged_and_changed_as_a_scale() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let rules = json!({"rules": [rule(&["UPDATE"], "apps", "v1", &["*/scale"])]});
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", rules.clone())]).await;
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", rules)]).await;
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    cluster.post(deployments, deployment).await.expect(201);
    cluster.patch("merge", &format!("{deployments}/d"), json!({"metadata": {"labels": {"x": "y"}}})).await.expect(200);
    assert!(server.paths().is_empty(), "the deployment itself is nobody's matter");
    server.patch("m", json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]));
    let path = format!("{deployments}/d/scale");
    let scaled = cluster.patch("merge", &path, json!({"spec": {"replicas": 9}})).await.expect(200).json();
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    let request = only(&server, "m");
    assert_eq!(request["kind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    assert_eq!(request["resource"]["resource"], "deployments");
    assert_eq!(
        (&request["object"]["spec"]["replicas"], &request["oldObject"]["spec"]["replicas"]),
        (&json!(9), &json!(1))
    );
    assert_eq!(only(&server, "v")["object"]["spec"]["replicas"], 3);
    let intent = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"},
        "spec": {"replicas": 5}});
    server.respond("m", json!({"allowed": true}));
    cluster.apply("me", "&force=true", &path, intent).await.expect(200);
    assert_eq!(only(&server, "v")["object"]["spec"]["replicas"], 5);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_keeps_all_else_whatever_a_webhook_patches() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    account(&cluster).await;
    let rules = json!({"rules": [rule(&["UPDATE"], "", "v1", &["*/status", "pods/ephemeralcontainers"])]});
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", rules)]).await;
    cluster.post(PODS, pod("p")).await.expect(201);
    server.patch(
        "m",
        json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"},
        {"op": "add", "path": "/status/message", "value": "said"}]),
    );
    let path = format!("{PODS}/p/status");
    let written = cluster.patch("merge", &path, json!({"status": {"reason": "r"}})).await.expect(200).json();
    assert_eq!((&written["status"]["message"], &written["status"]["reason"]), (&json!("said"), &json!("r")));
    assert_eq!(written["spec"]["containers"][0]["image"], "i");
    assert_eq!(only(&server, "m")["subResource"], "status");
    server.patch(
        "m",
        json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"},
        {"op": "replace", "path": "/spec/ephemeralContainers/0/image", "value": "d:2"}]),
    );
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "d:1"}]}});
    let path = format!("{PODS}/p/ephemeralcontainers");
    let written = cluster.patch("strategic-merge", &path, debug).await.expect(200).json();
    assert_eq!(written["spec"]["ephemeralContainers"][0]["image"], "d:2");
    assert_eq!(written["spec"]["containers"][0]["image"], "i");
    assert_eq!(only(&server, "m")["subResource"], "ephemeralcontainers");
    cluster.shutdown().await;
}
