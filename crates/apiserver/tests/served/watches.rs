//! Watches over the wire.

use crate::cluster::Cluster;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The lines of a watch, one by one.
pub(crate) struct Lines {
    body: Incoming,
    waiting: Vec<u8>,
}

impl Lines {
    async fn open(cluster: &Cluster, query: &str, accept: &str) -> Lines {
        Lines::of(cluster, &format!("{MAPS}?watch=true&{query}"), accept).await
    }

    pub(crate) async fn of(cluster: &Cluster, path: &str, accept: &str) -> Lines {
        let response = cluster.open(&cluster.http, "GET", path, &[("accept", accept)], "").await;
        assert_eq!(response.status(), 200);
        Lines { body: response.into_body(), waiting: Vec::new() }
    }

    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.waiting.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    async fn expect(&mut self, kind: &str, name: &str) -> Value {
        let event = self.next().await.expect("the watch goes on");
        assert_eq!(
            (event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or("")),
            (kind, name)
        );
        event["object"].clone()
    }
}

fn map(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": label}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn entering_and_leaving_a_selection_reads_as_added_and_deleted() {
    let cluster = Cluster::start().await;
    let list = cluster.get(MAPS).await.expect(200).json();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut lines = Lines::open(&cluster, &format!("resourceVersion={from}&labelSelector=app%3Da"), "*/*").await;
    cluster.post(MAPS, map("x", "b")).await.expect(201);
    cluster.patch("merge", &format!("{MAPS}/x"), map("x", "a")).await.expect(200);
    cluster.patch("merge", &format!("{MAPS}/x"), json!({"data": {"k": "1"}})).await.expect(200);
    let left = cluster.patch("merge", &format!("{MAPS}/x"), map("x", "b")).await.expect(200).json();
    cluster.post(MAPS, map("y", "a")).await.expect(201);
    cluster.delete(&format!("{MAPS}/y")).await.expect(200);
    lines.expect("ADDED", "x").await;
    lines.expect("MODIFIED", "x").await;
    let object = lines.expect("DELETED", "x").await;
    assert_eq!(object["metadata"]["labels"]["app"], "a", "the last state that matched");
    assert_eq!(object["metadata"]["resourceVersion"], left["metadata"]["resourceVersion"]);
    lines.expect("ADDED", "y").await;
    lines.expect("DELETED", "y").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_initial_state_streams_and_its_end_is_marked() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, map("x", "a")).await.expect(201);
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=app";
    let mut lines = Lines::open(&cluster, query, "*/*").await;
    lines.expect("ADDED", "x").await;
    let bookmark = lines.expect("BOOKMARK", "").await;
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    cluster.post(MAPS, map("z", "a")).await.expect(201);
    lines.expect("ADDED", "z").await;
    cluster.get(&format!("{MAPS}?watch=1&sendInitialEvents=true")).await.expect(422);
    cluster.get(&format!("{MAPS}?watch=1&resourceVersionMatch=Exact")).await.expect(422);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_at_its_timeout_and_with_the_server() {
    let cluster = Cluster::start().await;
    let mut short = Lines::open(&cluster, "timeoutSeconds=1&labelSelector=none", "*/*").await;
    assert_eq!(short.next().await, None);
    let mut long = Lines::open(&cluster, "labelSelector=none", "*/*").await;
    let (next, ()) = tokio::join!(long.next(), cluster.shutdown());
    assert_eq!(next, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_comes_as_tables() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, map("x", "a")).await.expect(201);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let mut lines = Lines::open(&cluster, "labelSelector=app", accept).await;
    let first = lines.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "x");
    assert!(first["object"]["columnDefinitions"].is_array());
    cluster.delete(&format!("{MAPS}/x")).await.expect(200);
    let second = lines.next().await.unwrap();
    assert_eq!(second["type"], "DELETED");
    assert!(second["object"]["columnDefinitions"].is_null());
    cluster.shutdown().await;
}
