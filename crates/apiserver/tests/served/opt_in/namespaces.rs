//! NamespaceAutoProvision and NamespaceExists, EventRateLimit, DenyServiceExternalIPs.

use super::with;
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_made_by_the_first_write_into_it() {
    let cluster = with(&["NamespaceAutoProvision"], "").await;
    let map = |name: &str| json!({"metadata": {"name": name}});
    // A trial makes nothing.
    cluster.post("/api/v1/namespaces/made/configmaps?dryRun=All", map("a")).await.expect(404);
    cluster.get("/api/v1/namespaces/made").await.expect(404);
    cluster.post("/api/v1/namespaces/made/configmaps", map("a")).await.expect(201);
    let made = cluster.get("/api/v1/namespaces/made").await.expect(200).json();
    assert_eq!(made["status"]["phase"], "Active");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_into_a_namespace_that_is_not_there() {
    let cluster = with(&["NamespaceExists"], "").await;
    let map = json!({"metadata": {"name": "a"}});
    let refused = cluster.post("/api/v1/namespaces/none/configmaps", map.clone()).await.expect(404).message();
    assert_eq!(refused, "namespaces \"none\" not found");
    cluster.post("/api/v1/namespaces/default/configmaps", map).await.expect(201);
    cluster.delete("/api/v1/namespaces/default/configmaps/a").await.expect(200);
    cluster.shutdown().await;
}

fn event(name: &str, namespace: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "reason": "r", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace}, "source": {"component": "c"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_has_so_many_events_in_a_time() {
    const EVENTS: usize = 100;
    let limits = "- name: EventRateLimit\n  configuration:\n    apiVersion: eventratelimit.admission.k8s.io/v1alpha1\n    \
                  kind: Configuration\n    limits: [{type: Namespace, qps: 1, burst: 2}]\n";
    let cluster = with(&["EventRateLimit"], limits).await;
    let path = "/api/v1/namespaces/default/events";
    let names: Vec<String> = (0..EVENTS).map(|index| format!("e{index}")).collect();
    let answers = join_all(names.iter().map(|name| cluster.post(path, event(name, "default")))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.code == 201);
    // Two at once, and one more for each second that all of it took.
    assert!(accepted.len() >= 2, "{} accepted", accepted.len());
    let refused = refused.into_iter().next().expect("a hundred events come faster than one in a second");
    assert_eq!(refused.code, 429);
    assert_eq!(refused.message(), "Too many requests: limit reached on type Namespace for key default");
    cluster.post("/api/v1/namespaces/kube-system/events", event("other", "kube-system")).await.expect(201);
    let map = json!({"metadata": {"name": "a"}});
    cluster.post("/api/v1/namespaces/default/configmaps", map).await.expect(201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_takes_no_address_from_outside() {
    let cluster = with(&["DenyServiceExternalIPs"], "").await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, addresses: Value| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "externalIPs": addresses}});
    let refused = cluster.post(services, service("a", json!(["192.0.2.7"]))).await.expect(403).message();
    assert_eq!(refused, "services \"a\" is forbidden: Use of external IPs is denied by admission control");
    cluster.post(services, service("a", json!([]))).await.expect(201);
    let add = json!({"spec": {"externalIPs": ["192.0.2.7"]}});
    cluster.patch("merge", &format!("{services}/a"), add).await.expect(403);
    let other = json!({"spec": {"sessionAffinity": "ClientIP"}});
    cluster.patch("merge", &format!("{services}/a"), other).await.expect(200);
    cluster.shutdown().await;
}
