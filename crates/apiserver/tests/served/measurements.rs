//! What is measured, as the API shows it: `metrics.k8s.io`, queries, and where nodes send what they measure.

use crate::cluster::Cluster;
use api::metrics::{ContainerMetrics, NodeMetrics, PodMetrics, usage, window};
use apiserver::{Measurements, Question, Visible};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Measures node `n1` and pods called `web` in any namespace; queries are answered with what was asked.
pub(crate) struct Fixed(pub(crate) std::sync::Mutex<Vec<PodMetrics>>);

fn named(namespace: Option<&str>, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: namespace.map(str::to_owned), name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn moment() -> Time {
    Time("2026-01-01T00:00:00Z".parse().unwrap())
}

#[async_trait]
impl Measurements for Fixed {
    fn nodes(&self) -> Vec<NodeMetrics> {
        let node = |name| NodeMetrics {
            metadata: named(None, name),
            timestamp: moment(),
            window: window(10_000),
            usage: usage(500_000_000, 1 << 30),
        };
        ["n1", "stranger"].map(node).into()
    }

    fn pods(&self, namespace: &str) -> Vec<PodMetrics> {
        let pods = self.0.lock().unwrap();
        let of = |pod: &&PodMetrics| namespace.is_empty() || pod.metadata.namespace.as_deref() == Some(namespace);
        pods.iter().filter(of).cloned().collect()
    }

    /// The body is the uid of pod `web` in namespace `default`.
    fn take(&self, node: &str, sample: Bytes) -> Result<(), String> {
        let uid = String::from_utf8(sample.to_vec()).map_err(|_| format!("node {node} sends no text"))?;
        let metadata = ObjectMeta { uid: Some(uid), ..named(Some("default"), "web") };
        let containers = vec![ContainerMetrics { name: "c".into(), usage: usage(1_500_000, 20 << 20) }];
        let pod = PodMetrics { metadata, timestamp: moment(), window: window(10_012), containers };
        *self.0.lock().unwrap() = vec![pod];
        Ok(())
    }

    async fn ask(&self, question: Question) -> (u16, Bytes) {
        let visible = match question.visible {
            Visible::Everything => json!("everything"),
            Visible::Namespaces { namespaces, nodes } => json!({"namespaces": namespaces, "nodes": nodes}),
        };
        let answer = json!({"path": question.path, "parameters": question.parameters, "visible": visible});
        (if question.path == "bad" { 400 } else { 200 }, answer.to_string().into())
    }
}

const GROUP: &str = "/apis/metrics.k8s.io/v1beta1";
const NODE: [(&str, &str); 2] = [("impersonate-user", "system:node:n1"), ("impersonate-group", "system:nodes")];

async fn with_pod() -> (Cluster, String) {
    let cluster = Cluster::start().await;
    cluster.post("/api/v1/nodes", json!({"metadata": {"name": "n1", "labels": {"zone": "a"}}})).await.expect(201);
    let pod = json!({"metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let account = json!({"metadata": {"name": "default"}});
    // The account may have been made by now.
    let made = cluster.post("/api/v1/namespaces/default/serviceaccounts", account).await.code;
    assert!(matches!(made, 201 | 409), "{made}");
    let pod = cluster.post("/api/v1/namespaces/default/pods", pod).await.expect(201).json();
    (cluster, pod["metadata"]["uid"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_those_of_objects_that_are_there() {
    let (cluster, uid) = with_pod().await;
    let send = async |uid: &str| cluster.send("PUT", "/insight/nodes/n1", &NODE, uid.to_owned()).await.expect(204);
    send("of another pod of that name").await;
    let path = format!("{GROUP}/namespaces/default/pods");
    assert_eq!(cluster.get(&path).await.expect(200).json()["items"], json!([]));
    let missing = cluster.get(&format!("{path}/web")).await.expect(404).json();
    assert_eq!(missing["message"], "podmetrics.metrics.k8s.io \"default/web\" not found");
    let missing = cluster.get(&format!("{path}/nobody")).await.expect(404).json();
    assert_eq!(missing["message"], "pods \"default/nobody\" not found");
    send(&uid).await;
    let list = cluster.get(&format!("{path}?labelSelector=app%3Dweb")).await.expect(200).json();
    assert_eq!(list["kind"], "PodMetricsList");
    let pod = &list["items"][0];
    assert_eq!(pod["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!((&pod["window"], &pod["timestamp"]), (&json!("10.012s"), &json!("2026-01-01T00:00:00Z")));
    assert_eq!(pod["containers"][0], json!({"name": "c", "usage": {"cpu": "1500000n", "memory": "20480Ki"}}));
    for selector in ["labelSelector=app%3Dother", "fieldSelector=metadata.name%3Dother"] {
        assert_eq!(cluster.get(&format!("{path}?{selector}")).await.expect(200).json()["items"], json!([]));
    }
    let nodes = cluster.get(&format!("{GROUP}/nodes")).await.expect(200).json();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1, "a node that is no more has no metrics");
    assert_eq!(nodes["items"][0]["usage"], json!({"cpu": "500000000n", "memory": "1048576Ki"}));
    let table = cluster.send("GET", &format!("{GROUP}/pods"), &[("accept", TABLE)], "").await.expect(200).json();
    let columns: Vec<&Value> = table["columnDefinitions"].as_array().unwrap().iter().map(|own| &own["name"]).collect();
    assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
    assert_eq!(table["rows"][0]["cells"], json!(["web", "1500u", "20Mi", "10.012s"]));
    let binary = cluster.send("GET", &format!("{path}/web"), &[("accept", PROTOBUF)], "").await.expect(200);
    assert!(binary.body.starts_with(b"k8s\0"));
    cluster.post(&path, json!({"metadata": {"name": "x"}})).await.expect(405);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_is_found_as_metrics_servers_is() {
    let (cluster, _) = with_pod().await;
    let resources = cluster.get(GROUP).await.expect(200).json();
    let names: Vec<_> =
        resources["resources"].as_array().unwrap().iter().map(|own| (&own["name"], &own["verbs"])).collect();
    let verbs = json!(["get", "list"]);
    assert_eq!(names, [(&json!("nodes"), &verbs), (&json!("pods"), &verbs)]);
    let groups = cluster.get("/apis").await.expect(200).json();
    assert_eq!(groups["groups"].as_array().unwrap().last().unwrap()["name"], "metrics.k8s.io", "behind all others");
    let document = cluster.get("/openapi/v3/apis/metrics.k8s.io/v1beta1").await.expect(200).json();
    let schema = &document["components"]["schemas"]["io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "PodMetrics");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_speaks_for_itself_alone() {
    let cluster = Cluster::start().await;
    let other = cluster.send("PUT", "/insight/nodes/n2", &NODE, "x").await.expect(403).json();
    assert_eq!(other["message"], "\"system:node:n1\" is not node \"n2\"");
    cluster.send("PUT", "/insight/nodes/n1", &[("impersonate-user", "alice")], "x").await.expect(403);
    cluster.put("/insight/nodes/n1", json!({})).await.expect(403);
    cluster.send("GET", "/insight/nodes/n1", &[], "").await.expect(405);
    let junk = cluster.send("PUT", "/insight/nodes/n1", &NODE, vec![0xff]).await.expect(400).json();
    assert_eq!(junk["message"], "node n1 sends no text");
    cluster.get("/insight/nonsense").await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_answered_as_far_as_their_asker_may_see() {
    let cluster = Cluster::start().await;
    let path = "/insight/prometheus/api/v1/query";
    let asked = cluster.get(&format!("{path}?query=sum%28up%29&time=7")).await.expect(200).json();
    assert_eq!(
        asked,
        json!({"path": "query", "parameters": [["query", "sum(up)"], ["time", "7"]], "visible": "everything"})
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let asked = cluster.send("POST", path, &form, "query=a+%2B+b").await.expect(200).json();
    assert_eq!(asked["parameters"], json!([["query", "a + b"]]));
    cluster.get("/insight/prometheus/api/v1/bad").await.expect(400);
    let binding = json!({"metadata": {"name": "viewer"}, "roleRef": {"kind": "ClusterRole", "name": "view",
        "apiGroup": "rbac.authorization.k8s.io"}, "subjects": [{"kind": "User", "name": "alice",
        "apiGroup": "rbac.authorization.k8s.io"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public/rolebindings";
    cluster.post(bindings, binding).await.expect(201);
    let alice = [("impersonate-user", "alice"), ("impersonate-group", "system:authenticated")];
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let asked = cluster.send("GET", path, &alice, "").await.expect(200).json();
        if asked["visible"] == json!({"namespaces": ["kube-public"], "nodes": false}) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{asked}");
        tokio::task::yield_now().await;
    }
    cluster.send("GET", path, &[("impersonate-user", "system:anonymous")], "").await.expect(403);
    cluster.shutdown().await;
}
