//! Priority and fairness over real connections: who is refused, who waits, and what is told of it.

use crate::cluster::{Cluster, http};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A level of one seat for some users, who may do everything.
async fn narrow(cluster: &Cluster, users: &[&str], response: Value) -> Value {
    let level = json!({
        "metadata": {"name": "narrow"},
        "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 0, "borrowingLimitPercent": 0,
            "limitResponse": response}},
    });
    let subjects: Vec<Value> = users.iter().map(|user| json!({"kind": "User", "user": {"name": user}})).collect();
    let level = cluster.post(LEVELS, level).await.expect(201).json();
    let schema = json!({
        "metadata": {"name": "narrow"},
        "spec": {
            "matchingPrecedence": 50,
            "priorityLevelConfiguration": {"name": "narrow"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": subjects, "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"],
                "resources": ["*"], "namespaces": ["*"], "clusterScope": true}]}],
        },
    });
    cluster.post(SCHEMAS, schema).await.expect(201);
    let subjects: Vec<Value> = users
        .iter()
        .map(|user| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}))
        .collect();
    let binding = json!({
        "metadata": {"name": "narrow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": subjects,
    });
    cluster.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.expect(201);
    until(cluster, "the schema is followed", |metrics| metrics.contains("flow_schema=\"narrow\"")).await;
    level
}

/// Asks for metrics, as one who is never limited, until they say so.
async fn until(cluster: &Cluster, what: &str, says: impl Fn(&str) -> bool) {
    let asked = async {
        loop {
            let metrics = cluster.get("/metrics").await.expect(200);
            if says(&String::from_utf8_lossy(&metrics.body)) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn until_gauge(cluster: &Cluster, gauge: &str, value: u32) {
    let line = format!("apiserver_flowcontrol_{gauge}{{flow_schema=\"narrow\",priority_level=\"narrow\"}} {value}\n");
    until(cluster, &line, |metrics| metrics.contains(&line)).await;
}

/// A write whose body is not yet whole: it has a seat until `finish`.
struct Slow {
    body: mpsc::Sender<Bytes>,
    answer: JoinHandle<Response<Incoming>>,
}

impl Slow {
    fn begin(cluster: &Cluster, user: &str, name: &str) -> Slow {
        let (body, pieces) = mpsc::channel::<Bytes>(2);
        let pieces = futures::stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
        let stream = StreamBody::new(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
        body.try_send(Bytes::from(format!("{{\"metadata\":{{\"name\":\"{name}\"}}"))).unwrap();
        let request = Request::post(format!("{}{MAPS}", cluster.url));
        let request = request.header("impersonate-user", user).header("content-type", "application/json");
        let request = request.body(stream.boxed_unsync()).unwrap();
        let connector = crate::cluster::connector(&cluster.pki, Some(&cluster.pki.admin));
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
        let client = client.build::<_, http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>(connector);
        Slow { body, answer: tokio::spawn(async move { client.request(request).await.unwrap() }) }
    }

    async fn finish(self) -> u16 {
        self.body.send(Bytes::from_static(b"}")).await.unwrap();
        drop(self.body);
        self.answer.await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn a_request_without_a_seat_is_refused_as_upstream_refuses() {
    let cluster = Cluster::start().await;
    let level = narrow(&cluster, &["ann"], json!({"type": "Reject"})).await;
    let ann = [("impersonate-user", "ann")];
    let served = cluster.send("GET", MAPS, &ann, "").await.expect(200);
    let level_uid = level["metadata"]["uid"].as_str().unwrap();
    assert_eq!(served.header("x-kubernetes-pf-prioritylevel-uid"), level_uid);
    let schema = cluster.get(&format!("{SCHEMAS}/narrow")).await.expect(200).json();
    let schema_uid = schema["metadata"]["uid"].as_str().unwrap();
    assert_eq!(served.header("x-kubernetes-pf-flowschema-uid"), schema_uid);

    let slow = Slow::begin(&cluster, "ann", "slow");
    until_gauge(&cluster, "current_executing_requests", 1).await;
    let refused = cluster.send("GET", MAPS, &ann, "").await.expect(429);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("x-kubernetes-pf-prioritylevel-uid"), level_uid);
    assert_eq!(refused.body, "Too many requests, please try again later.\n");
    cluster.send("GET", MAPS, &[("impersonate-user", "bob")], "").await.expect(403);
    cluster.get(MAPS).await.expect(200);
    assert_eq!(slow.finish().await, 201);
    until_gauge(&cluster, "current_executing_requests", 0).await;
    cluster.send("GET", MAPS, &ann, "").await.expect(200);
    let labels = "flow_schema=\"narrow\",priority_level=\"narrow\",reason=\"concurrency-limit\"";
    let line = format!("apiserver_flowcontrol_rejected_requests_total{{{labels}}} 1\n");
    until(&cluster, &line, |metrics| metrics.contains(&line)).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_elephant_does_not_keep_a_mouse_from_its_turn() {
    let cluster = Cluster::start().await;
    let queuing = json!({"queues": 64, "handSize": 1, "queueLengthLimit": 50});
    narrow(&cluster, &["elephant", "mouse"], json!({"type": "Queue", "queuing": queuing})).await;
    let mut elephants = vec![Slow::begin(&cluster, "elephant", "elephant-0")];
    until_gauge(&cluster, "current_executing_requests", 1).await;
    for index in 1..5 {
        elephants.push(Slow::begin(&cluster, "elephant", &format!("elephant-{index}")));
        until_gauge(&cluster, "current_inqueue_requests", index).await;
    }
    let mouse = Slow::begin(&cluster, "mouse", "mouse");
    until_gauge(&cluster, "current_inqueue_requests", 5).await;
    // One of the elephant's that wait may be before the mouse; the others cannot be, as they are never finished.
    assert_eq!(elephants.remove(0).finish().await, 201);
    let second = elephants.remove(0);
    let (mouse, second) = tokio::join!(mouse.finish(), second.finish());
    assert_eq!((mouse, second), (201, 201));
    for elephant in elephants {
        assert_eq!(elephant.finish().await, 201);
    }
    until_gauge(&cluster, "current_executing_requests", 0).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_watch_has_a_seat_only_until_its_first_events() {
    let cluster = Cluster::start().await;
    narrow(&cluster, &["ann"], json!({"type": "Reject"})).await;
    cluster.post(MAPS, json!({"metadata": {"name": "seen"}})).await.expect(201);
    let path = format!("{MAPS}?watch=true");
    let ann = [("impersonate-user", "ann")];
    cluster.post(MAPS, json!({"metadata": {"name": "map"}})).await.expect(201);
    let http = http(&cluster.pki, Some(&cluster.pki.admin));
    let mut first = cluster.open(&http, "GET", &path, &ann, "").await;
    assert_eq!(first.status(), 200);
    assert!(first.body_mut().frame().await.is_some(), "what is there already");
    until_gauge(&cluster, "current_executing_requests", 0).await;
    let second = cluster.open(&http, "GET", &path, &ann, "").await;
    assert_eq!(second.status(), 200);
    drop((first, second));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_new_cluster_has_upstreams_schemas_and_says_which_dangle() {
    let cluster = Cluster::start().await;
    let rows = [
        ("exempt", "exempt", "1", "<none>"),
        ("probes", "exempt", "2", "<none>"),
        ("system-leader-election", "leader-election", "100", "ByUser"),
        ("endpoint-controller", "workload-high", "150", "ByUser"),
        ("workload-leader-election", "leader-election", "200", "ByUser"),
        ("system-node-high", "node-high", "400", "ByUser"),
        ("system-nodes", "system", "500", "ByUser"),
        ("kube-controller-manager", "workload-high", "800", "ByNamespace"),
        ("kube-scheduler", "workload-high", "800", "ByNamespace"),
        ("kube-system-service-accounts", "workload-high", "900", "ByNamespace"),
        ("service-accounts", "workload-low", "9000", "ByUser"),
        ("global-default", "global-default", "9900", "ByUser"),
        ("catch-all", "catch-all", "10000", "ByUser"),
    ];
    let asked = async {
        loop {
            let list = cluster.get(SCHEMAS).await.expect(200).json();
            let told = list["items"].as_array().unwrap().iter().all(|item| {
                item["status"]["conditions"][0]["type"] == "Dangling"
                    && item["status"]["conditions"][0]["status"] == "False"
            });
            if told {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap();
    let Some((done, text)) = cluster.kubectl(&["get", "flowschemas"], "").await else { return };
    assert!(done, "{text}");
    let mut shown: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    shown.sort_by_key(|row| row[2].parse::<u32>().unwrap());
    assert_eq!(shown.len(), rows.len(), "{text}");
    for (row, (name, level, precedence, by)) in shown.iter().zip(rows) {
        assert_eq!((row[0], row[1], row[2], row[3], row[5]), (name, level, precedence, by, "False"), "{text}");
    }
    cluster.shutdown().await;
}

/// Waits until the object at a path is as wanted.
async fn until_object(cluster: &Cluster, path: &str, wanted: impl Fn(&Value) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let seen = cluster.get(path).await.json();
        if wanted(&seen) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{path}: {seen}");
    }
}

#[tokio::test]
async fn what_an_administrator_deletes_or_changes_of_the_servers_own_comes_back_at_once() {
    let cluster = Cluster::start().await;
    let patch = async |path: &str, body: Value| {
        let json = [("content-type", "application/merge-patch+json")];
        cluster.send("PATCH", path, &json, body.to_string()).await.expect(200);
    };
    let share = |said: &str| {
        json!({"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": said}},
            "spec": {"limited": {"nominalConcurrencyShares": 7}}})
    };
    patch(&format!("{LEVELS}/workload-high"), share("false")).await;
    patch(&format!("{LEVELS}/workload-low"), share("true")).await;
    let json = [("content-type", "application/merge-patch+json")];
    let fixed = cluster.send("PATCH", &format!("{LEVELS}/catch-all"), &json, share("false").to_string()).await;
    let refused = fixed.expect(422).json();
    let message = refused["details"]["causes"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("spec of 'catch-all' must equal the fixed value"), "{refused}");
    let deleted = [
        format!("{SCHEMAS}/exempt"),
        format!("{SCHEMAS}/catch-all"),
        format!("{SCHEMAS}/probes"),
        format!("{LEVELS}/exempt"),
        format!("{LEVELS}/system"),
    ];
    let mut before = Vec::new();
    for path in &deleted {
        before.push(cluster.get(path).await.expect(200).json()["metadata"]["uid"].clone());
        cluster.send("DELETE", path, &[], "").await.expect(200);
    }
    for (path, uid) in deleted.iter().zip(&before) {
        until_object(&cluster, path, |seen| seen["metadata"]["uid"].is_string() && seen["metadata"]["uid"] != *uid)
            .await;
    }
    let shares = |seen: &Value| seen["spec"]["limited"]["nominalConcurrencyShares"].clone();
    until_object(&cluster, &format!("{LEVELS}/workload-low"), |seen| shares(seen) == 100).await;
    let own = cluster.get(&format!("{LEVELS}/workload-high")).await.expect(200).json();
    assert_eq!(shares(&own), 7, "an administrator's");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_request_that_asks_for_a_strange_time_is_refused() {
    let cluster = Cluster::start().await;
    cluster.get(&format!("{MAPS}?timeout=soon")).await.expect(400);
    cluster.get(&format!("{MAPS}?timeout=10s")).await.expect(200);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_components_in_the_process_are_counted_as_exempt() {
    const REQUESTS: u64 = 300;
    let cluster = Cluster::start().await;
    let dispatched = async || {
        let metrics = cluster.get("/metrics").await.expect(200);
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        let series =
            "apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"exempt\",priority_level=\"exempt\"} ";
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse::<u64>().unwrap()
    };
    let before = dispatched().await;
    for _ in 0..REQUESTS {
        let found = cluster.client.find::<k8s_openapi::api::core::v1::Namespace>("", "default").await.unwrap();
        assert!(found.is_some());
    }
    let counted = dispatched().await - before;
    assert!(counted >= REQUESTS, "{counted}");
    cluster.shutdown().await;
}
