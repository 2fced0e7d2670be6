//! Streams and proxied requests: nothing is stored, and the options are what is judged.

use super::server::Hooks;
use super::{Kind, PODS, account, configure, hook, only, pod, rule};
use crate::cluster::Cluster;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_refused_before_anything_is_dialled() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    account(&cluster).await;
    let rules = json!({"rules": [rule(&["CONNECT"], "", "v1", &["pods/*", "services/proxy", "nodes/proxy"])],
        "objectSelector": {}});
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", rules)]).await;
    cluster.post(PODS, pod("p")).await.expect(201);
    server.refuse("v", json!({"code": 403, "message": "no shells"}));
    let path = format!("{PODS}/p/exec?container=c&command=sh&command=-c&stdin=true&stdout=true");
    let refused = cluster.post(&path, json!(null)).await.expect(403).message();
    assert_eq!(refused, "admission webhook \"v.test.io\" denied the request: no shells");
    let request = only(&server, "v");
    assert_eq!((&request["operation"], &request["subResource"]), (&json!("CONNECT"), &json!("exec")));
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "PodExecOptions"}));
    assert_eq!((&request["options"], &request["oldObject"]), (&json!(null), &json!(null)));
    assert_eq!(
        request["object"],
        json!({"apiVersion": "v1", "kind": "PodExecOptions", "container": "c", "command": ["sh", "-c"],
            "stdin": true, "stdout": true})
    );
    cluster.post(&format!("{PODS}/p/attach?tty=true"), json!(null)).await.expect(403);
    let options = json!({"apiVersion": "v1", "kind": "PodAttachOptions", "tty": true});
    assert_eq!(only(&server, "v")["object"], options);
    cluster.post(&format!("{PODS}/p/portforward?ports=80,81"), json!(null)).await.expect(403);
    assert_eq!(only(&server, "v")["object"]["ports"], json!([80, 81]));
    cluster.get("/api/v1/namespaces/default/services/s:80/proxy/a/b?c=d").await.expect(403);
    let request = only(&server, "v");
    assert_eq!((&request["kind"]["kind"], &request["name"]), (&json!("ServiceProxyOptions"), &json!("s:80")));
    assert_eq!(request["object"]["path"], "/a/b");
    cluster.get("/api/v1/nodes/n/proxy/metrics").await.expect(403);
    assert_eq!(only(&server, "v")["kind"]["kind"], "NodeProxyOptions");
    if let Some((ok, text)) = cluster.kubectl(&["exec", "p", "--", "sh"], "").await {
        assert!(!ok && text.contains("admission webhook \"v.test.io\" denied the request: no shells"), "{text}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_choose_another_container() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    account(&cluster).await;
    let rules = json!({"rules": [rule(&["CONNECT"], "", "v1", &["pods/exec"])], "objectSelector": {}});
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", rules)]).await;
    cluster.post(PODS, pod("p")).await.expect(201);
    server.patch("m", json!([{"op": "add", "path": "/container", "value": "other"}]));
    let path = format!("{PODS}/p/exec?container=c&command=sh&stdout=true");
    let refused = cluster.post(&path, json!(null)).await.expect(400).message();
    assert_eq!(refused, "container other is not valid for pod p");
    cluster.shutdown().await;
}
