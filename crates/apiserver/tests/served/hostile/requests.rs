//! The server: damaged paths, queries, headers and bodies, each of which gets an answer and none an internal error.

use super::{TIME_MAX, assert_memory_was_bounded, chaos::Chaos, rounds, samples};
use crate::cluster::{Answer, Cluster};
use crate::samples::{NAMESPACE, prepare};
use api::schema::proto;
use futures::FutureExt;
use serde_json::{Value, json};
use std::time::Instant;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Sends one request that HTTP itself allows; what it does not is the client library's to refuse.
pub(super) async fn send(cluster: &Cluster, method: &str, path: &str, of: &str, body: Vec<u8>) -> Option<Answer> {
    if format!("{}{path}", cluster.url).parse::<http::Uri>().is_err() {
        return None;
    }
    let begun = Instant::now();
    let headers = [("content-type", of)];
    let answered = cluster.send(method, path, &headers, body);
    let answer = match std::panic::AssertUnwindSafe(answered).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => panic!("no answer to {method} {path}"),
    };
    assert!(begun.elapsed() < TIME_MAX, "{:?}: {method} {path}", begun.elapsed());
    Some(answer)
}

/// An answer of a server that is well: no internal error but the one that is upstream's own for a patch that does not fit
/// the schema, and a `Status` for whatever is refused.
pub(super) fn check(answer: &Answer, what: impl FnOnce() -> String) {
    if answer.code >= 400 && answer.header("content-type").starts_with(JSON) {
        let status = answer.json();
        let told = (status["kind"].as_str(), status["code"].as_u64(), status["message"].is_string());
        assert_eq!(told, (Some("Status"), Some(answer.code.into()), true), "{}", what());
        let typed = answer.message().starts_with("failed to create typed patch object");
        assert!(answer.code != 500 || typed, "{}: {status}", what());
    }
    assert!(matches!(answer.code, 200..=499 | 500 | 501 | 504), "{}: {}", answer.code, what());
}

async fn started() -> Cluster {
    let cluster = Cluster::start().await;
    prepare(&cluster).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn objects() {
    let cluster = started().await;
    let kinds: Vec<_> =
        samples().into_iter().filter(|(message, _)| !message.contains("admissionregistration")).collect();
    for mut chaos in rounds(5_000) {
        let (message, sample) = chaos.pick(&kinds);
        let row = api::object::builtin().iter().find(|row| row.def().message == *message).unwrap();
        let path = row.def().path(Some(NAMESPACE), None, None);
        let query =
            *chaos.pick(&["?dryRun=All", "?fieldValidation=Strict&dryRun=All", "?fieldValidation=Warn&dryRun=All"]);
        let value: Value = serde_json::from_slice(sample).unwrap();
        let (of, body) = match chaos.below(3) {
            0 => (JSON, sample.clone()),
            1 => (YAML, yaml(&value).into_bytes()),
            _ => (PROTOBUF, proto::encode(message, &value).unwrap()),
        };
        let body = chaos.damage(&body);
        let shown = body.clone();
        let answer = send(&cluster, "POST", &format!("{path}{query}"), of, body).await.unwrap();
        check(&answer, || format!("{of} to {path}: {:?}", String::from_utf8_lossy(&shown)));
    }
    assert_memory_was_bounded();
    cluster.shutdown().await;
}

/// YAML in the block style, which has more to damage than JSON.
fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn patches() {
    let cluster = started().await;
    let maps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let deployments = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    cluster.post(&maps, json!({"metadata": {"name": "m"}, "data": {"k": "1"}})).await.expect(201);
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec});
    cluster.post(&deployments, deployment.clone()).await.expect(201);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "labels": {"a": "b"}}, "data": {"k": "2"}});
    let operations = json!([{"op": "test", "path": "/data/k", "value": "1"}, {"op": "add", "path": "/metadata/labels", "value": {}},
        {"op": "copy", "from": "/data", "path": "/metadata/annotations"}, {"op": "move", "from": "/data/k", "path": "/data/l"},
        {"op": "replace", "path": "/data/l", "value": "3"}, {"op": "remove", "path": "/data/l"}]);
    for mut chaos in rounds(6_000) {
        let of = *chaos.pick(PATCHES);
        let (path, object) =
            if chaos.one_in(2) { (format!("{maps}/m"), &map) } else { (format!("{deployments}/d"), &deployment) };
        let intent = if of == PATCHES[0] { operations.to_string() } else { object.to_string() };
        let body = chaos.damage(intent.as_bytes());
        let query = if of == PATCHES[3] { "?fieldManager=f&force=true" } else { "" };
        let subresource = *chaos.pick(&["", "", "/status", "/scale"]);
        let shown = body.clone();
        let path = format!("{path}{subresource}{query}");
        let answer = send(&cluster, "PATCH", &path, of, body).await.unwrap();
        check(&answer, || format!("{of} to {path}: {:?}", String::from_utf8_lossy(&shown)));
    }
    // Whatever was taken, what is there can be read and is still what it was.
    for path in [format!("{maps}/m"), format!("{deployments}/d")] {
        assert!(cluster.get(&path).await.expect(200).json()["metadata"]["uid"].is_string());
    }
    assert_memory_was_bounded();
    cluster.shutdown().await;
}

const PATHS: &[&str] = &[
    "/api/v1/namespaces/kinds/configmaps/m?pretty=true",
    "/api/v1/pods?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn&limit=5&continue=abc",
    "/apis/apps/v1/namespaces/kinds/deployments/d/scale",
    "/api/v1/namespaces/kinds/pods/p/log?tailLines=1&sinceSeconds=2",
    "/api/v1/watch/namespaces/kinds/pods/p",
    "/api/v1/configmaps?watch=1&timeoutSeconds=1&resourceVersion=0&allowWatchBookmarks=true",
    "/api/v1/configmaps?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "/api/v1/nodes/n/proxy/metrics",
    "/openapi/v3/apis/apps/v1?hash=A",
    "/apis/apps/v1",
    "/readyz/store?verbose&exclude=ping",
    "/metrics",
    "/.well-known/openid-configuration",
];

fn method(chaos: &mut Chaos) -> &'static str {
    chaos.pick::<&str>(&["GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "WATCH"])
}

/// What is left of a damaged path that a client can send: no blanks, no bytes beyond ASCII.
fn sendable(path: &str) -> String {
    let kept = path.chars().filter(|character| character.is_ascii_graphic() && *character != '#');
    let path: String = kept.take(20_000).collect();
    if path.starts_with('/') { path } else { format!("/{path}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_queries() {
    let cluster = started().await;
    for mut chaos in rounds(4_000) {
        let known = *chaos.pick(PATHS);
        let path = sendable(&chaos.damage_text(known));
        let method = method(&mut chaos);
        // A watch goes on for as long as it was asked to; a collection that is deleted is missed by later rounds.
        if path.contains("watch") || method == "DELETE" && path.matches('/').count() < 6 {
            continue;
        }
        let answer = send(&cluster, method, &path, JSON, Vec::new()).await;
        // What HEAD would say it does not say.
        if let Some(answer) = answer.filter(|_| method != "HEAD") {
            check(&answer, || format!("{method} {path}"));
        }
    }
    assert_memory_was_bounded();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches() {
    let cluster = started().await;
    let watches: Vec<&&str> = PATHS.iter().filter(|path| path.contains("watch")).collect();
    for mut chaos in rounds(400) {
        let known = **chaos.pick(&watches);
        let path = sendable(&chaos.damage_text(known));
        if format!("{}{path}", cluster.url).parse::<http::Uri>().is_err() {
            continue;
        }
        // The answer begins at once; how long it goes on is the client's affair.
        let begins = cluster.open(&cluster.http, "GET", &path, &[], "");
        let answer = tokio::time::timeout(TIME_MAX, begins).await.unwrap_or_else(|_| panic!("no answer: {path}"));
        assert!(answer.status().as_u16() < 500 || answer.status() == 504, "{}: {path}", answer.status());
    }
    assert_memory_was_bounded();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers() {
    let cluster = started().await;
    let forms = ["application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.5", PROTOBUF, "text/*, */*;q=0.1"];
    let names = [
        "accept",
        "content-type",
        "authorization",
        "impersonate-user",
        "impersonate-extra-a",
        "user-agent",
        "accept-encoding",
        "if-none-match",
        "content-encoding",
    ];
    for mut chaos in rounds(1_500) {
        let known = *chaos.pick(&forms);
        let value = chaos.damage_text(known);
        let value: String =
            value.chars().filter(|character| character.is_ascii_graphic() || *character == ' ').take(8_000).collect();
        let headers = [(*chaos.pick(&names), value.as_str())];
        let path = *chaos.pick(&PATHS[..4]);
        let answer = cluster.send("GET", path, &headers, "").await;
        check(&answer, || format!("{path} {headers:?}"));
    }
    assert_memory_was_bounded();
    cluster.shutdown().await;
}
