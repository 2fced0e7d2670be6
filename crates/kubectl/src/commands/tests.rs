//! Commands that follow changes, against a scripted server: what they ask for, and what they say.

use crate::server::testing::{on, on_watch, refused, run};
use api::{Kind, Reason, Status};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

fn pod(uid: &str, ready: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": uid},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}})
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "PodList", "metadata": {"resourceVersion": "5"}, "items": items})
}

fn table(columns: bool, cells: &[&str]) -> Value {
    let names = if columns {
        json!([{"name": "Name", "priority": 0}, {"name": "Node", "priority": 1}, {"name": "Status", "priority": 0}])
    } else {
        Value::Null
    };
    json!({"kind": "Table", "metadata": {"resourceVersion": "5"}, "columnDefinitions": names,
        "rows": [{"cells": cells, "object": {"metadata": {"name": "p"}}}]})
}

const LISTED: &str = "GET /api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dp&limit=500";
const WATCHED: &str = "GET /api/v1/namespaces/n/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5&fieldSelector=metadata.name%3Dp";

#[tokio::test(start_paused = true)]
async fn wait_sees_the_condition_come_by_watch() {
    let events = [("BOOKMARK", &pod("u", "True")), ("MODIFIED", &pod("u", "False")), ("MODIFIED", &pod("u", "True"))];
    let script = vec![on(LISTED, list(&[pod("u", "False")])), on_watch(WATCHED, &events)];
    let (out, err) = run("wait --for=condition=Ready pod/p", script).await;
    assert_eq!((out.as_str(), err.as_str()), ("pod/p condition met\n", ""));
}

#[tokio::test(start_paused = true)]
async fn wait_lists_again_when_its_revision_is_gone() {
    let script = vec![
        on(LISTED, list(&[pod("u", "False")])),
        refused(WATCHED, Status::expired("too old")),
        on(LISTED, list(&[pod("u", "True")])),
    ];
    assert_eq!(run("wait --for=condition=Ready pod/p", script).await.0, "pod/p condition met\n");
}

#[tokio::test(start_paused = true)]
async fn delete_waits_for_this_object_and_not_for_its_successor() {
    let script =
        || vec![on("DELETE /api/v1/namespaces/n/pods/p", pod("old", "True")), on(LISTED, list(&[pod("old", "True")]))];
    let mut gone = script();
    gone.push(on_watch(WATCHED, &[("MODIFIED", &pod("old", "False")), ("DELETED", &pod("old", "False"))]));
    let (out, err) = run("delete pod p", gone).await;
    assert_eq!((out.as_str(), err.as_str()), ("pod \"p\" deleted from n namespace\n", ""));
    let mut replaced = script();
    replaced.push(on_watch(WATCHED, &[("MODIFIED", &pod("new", "False"))]));
    assert_eq!(run("delete pods/p", replaced).await.1, "");
    let at_once = vec![on("DELETE /api/v1/namespaces/n/pods/p", pod("old", "True"))];
    let (out, err) = run("delete pod p --wait=false --force", at_once).await;
    assert_eq!(out, "pod \"p\" force deleted from n namespace\n");
    assert!(err.starts_with("Warning: Immediate deletion does not wait"), "{err}");
}

#[tokio::test]
async fn a_watch_prints_rows_below_one_header() {
    let script = vec![
        on("GET /api/v1/namespaces/n/pods?limit=500", table(true, &["p", "n1", "Pending"])),
        on_watch(
            "GET /api/v1/namespaces/n/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5",
            &[
                ("MODIFIED", &table(false, &["p", "n1", "Running"])),
                ("BOOKMARK", &json!({})),
                ("DELETED", &table(false, &["p", "n1", "Gone"])),
            ],
        ),
    ];
    let (out, _) = run("get pods -w", script).await;
    assert_eq!(out, "NAME   STATUS\np      Pending\np      Running\np      Gone\n");
}

#[tokio::test]
async fn pages_make_one_table() {
    let mut first = table(true, &["a", "", "Running"]);
    first["metadata"]["continue"] = "more".into();
    let script = vec![
        on("GET /api/v1/pods?limit=500", first),
        on("GET /api/v1/pods?limit=500&continue=more", table(false, &["longer", "", "Running"])),
    ];
    let (out, _) = run("get pods -A", script).await;
    assert_eq!(out, "NAMESPACE   NAME     STATUS\n            a        Running\n            longer   Running\n");
}

#[tokio::test]
async fn apply_tries_again_when_somebody_else_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.json");
    std::fs::write(&file, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"priority":1}}"#).unwrap();
    let live = || {
        on(
            "GET /api/v1/namespaces/n/pods/p",
            json!({"metadata": {"name": "p", "annotations":
        {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}),
        )
    };
    let patch = "PATCH /api/v1/namespaces/n/pods/p?fieldManager=kubectl-client-side-apply&fieldValidation=Strict";
    let script = vec![live(), refused(patch, Status::new(Reason::Conflict, "changed")), live(), on(patch, json!({}))];
    let (out, err) = run(&format!("apply -f {}", file.display()), script).await;
    assert_eq!((out.as_str(), err.as_str()), ("pod/p configured\n", ""));
}

#[tokio::test]
async fn a_custom_kind_is_found_by_discovery() {
    let group = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "e.io"}, "versions": [{"version": "v1", "resources": [
        {"resource": "things", "responseKind": {"kind": "Thing"}, "scope": "Cluster", "singularResource": "thing", "shortNames": ["th"],
         "verbs": ["get", "list"]}]}]}]});
    let core = json!({"kind": "APIVersions", "versions": ["v1"]});
    let script = vec![
        on("GET /api", core),
        on("GET /api/v1", json!({"groupVersion": "v1", "resources": []})),
        on("GET /apis", group),
        on("GET /apis/e.io/v1/things/x", json!({"apiVersion": "e.io/v1", "kind": "Thing", "metadata": {"name": "x"}})),
    ];
    assert_eq!(run("get th x -o name", script).await.0, "thing.e.io/x\n");
}

#[tokio::test]
async fn logs_of_a_selection_say_whose_they_are() {
    let named =
        |name: &str| json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"containers": [{"name": "c"}]}});
    let script = vec![
        on("GET /api/v1/namespaces/n/pods?labelSelector=a%3Db&limit=500", list(&[named("p1"), named("p2")])),
        on("GET /api/v1/namespaces/n/pods/p1/log?tailLines=10&container=c", json!("one")),
        on("GET /api/v1/namespaces/n/pods/p2/log?tailLines=10&container=c", json!("two")),
    ];
    let (out, _) = run("logs -l a=b --prefix", script).await;
    assert_eq!(out, "[pod/p1/c] \"one\"\n[pod/p2/c] \"two\"\n");
}

#[tokio::test]
async fn what_is_refused_keeps_the_servers_words() {
    let script = vec![refused("GET /api/v1/namespaces/n/pods/p", Status::not_found(&Pod::DEF, "p"))];
    assert_eq!(run("get pod p", script).await.1, "Error from server (NotFound): pods \"p\" not found");
}
