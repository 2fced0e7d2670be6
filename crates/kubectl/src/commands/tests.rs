//! Commands that follow changes, against a scripted server: what they ask for, and what they say.

use crate::server::testing::{on, on_body, on_watch, refused, run};
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

#[tokio::test]
async fn a_page_of_no_size_is_the_whole_list() {
    let script = vec![on("GET /api/v1/pods", table(true, &["a", "", "Running"]))];
    assert!(run("get pods -A --chunk-size=0", script).await.0.contains("Running"));
}

#[tokio::test]
async fn a_watch_names_its_events_in_every_format() {
    let script = vec![
        on("GET /api/v1/namespaces/n/pods?limit=500", list(&[])),
        on_watch(
            "GET /api/v1/namespaces/n/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5",
            &[("MODIFIED", &pod("u", "True"))],
        ),
    ];
    let (out, _) = run("get pods -w --output-watch-events -o jsonpath={.type}/{.object.metadata.uid}", script).await;
    assert_eq!(out, "MODIFIED/u");
}

#[tokio::test]
async fn drain_asks_for_the_volumes_of_forced_orphans_too() {
    let orphan = json!({
        "metadata": {"name": "p", "namespace": "n", "ownerReferences": [{"kind": "DaemonSet", "name": "d", "controller": true}]},
        "spec": {"volumes": [{"name": "v", "emptyDir": {}}]},
    });
    let script = vec![
        on("GET /api/v1/nodes/n1", json!({"metadata": {"name": "n1"}, "spec": {"unschedulable": true}})),
        on("GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=500", list(&[orphan])),
        refused("GET /apis/apps/v1/namespaces/n/daemonsets/d", Status::not_found(&Pod::DEF, "d")),
    ];
    let (_, err) = run("drain n1 --force", script).await;
    assert!(
        err.contains("cannot delete Pods with local storage (use --delete-emptydir-data to override): n/p"),
        "{err}"
    );
}

#[tokio::test]
async fn mistakes_in_flags_are_found_before_anything_is_asked() {
    for (line, expected) in [
        ("run r --image=x -R", "-k and -R are about manifests"),
        ("run r --image=x --rm -i --timeout=nope", "nope"),
        ("run r --image=x --rm -i --cascade=nope", "invalid cascade value (nope)"),
        ("delete pod p --timeout=nope", "nope"),
        ("scale deploy/d --replicas=1 --timeout=nope", "nope"),
        ("drain n1 --timeout=nope", "nope"),
        ("edit pod p --validate=nope", "invalid - validate option"),
        ("apply -f x --force --cascade=nope", "invalid cascade value (nope)"),
        ("replace -f x --force --timeout=nope", "nope"),
        ("apply -f x --subresource=status", "--subresource can only be specified for --server-side"),
    ] {
        let (_, err) = run(line, Vec::new()).await;
        assert!(err.contains(expected), "{line}: {err}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_anew_is_made_again_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.json");
    std::fs::write(&file, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"priority":1}}"#).unwrap();
    let gone = || {
        vec![
            on("GET /api/v1/namespaces/n/pods/p", pod("old", "True")),
            on("DELETE /api/v1/namespaces/n/pods/p", pod("old", "True")),
            on(LISTED, list(&[])),
            refused(
                "POST /api/v1/namespaces/n/pods?fieldManager=kubectl-replace&fieldValidation=Strict",
                Status::new(Reason::Forbidden, "not this one"),
            ),
        ]
    };
    let line = format!("replace --force -f {}", file.display());
    let mut restored = gone();
    restored.push(on("POST /api/v1/namespaces/n/pods", pod("new", "True")));
    let (out, err) = run(&line, restored).await;
    assert_eq!(out, "pod \"p\" deleted from n namespace\n");
    assert!(err.contains("not this one") && !err.contains("restore"), "{err}");
    let mut lost = gone();
    lost.push(refused("POST /api/v1/namespaces/n/pods", Status::new(Reason::Forbidden, "nor that")));
    let (_, err) = run(&line, lost).await;
    assert!(
        err.contains("not this one") && err.contains("attempting to restore the original object:\n\nnor that"),
        "{err}"
    );
}

#[tokio::test(start_paused = true)]
async fn reconcile_adds_what_is_missing_and_makes_another_binding_for_another_role() {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.json");
    let version = format!("{GROUP}/v1");
    let rule =
        |names: &[&str]| json!({"apiGroups": [""], "resourceNames": names, "resources": ["pods"], "verbs": ["get"]});
    let role =
        |rules: &[Value]| json!({"apiVersion": version, "kind": "Role", "metadata": {"name": "r"}, "rules": rules});
    let bound = |role: &str| {
        json!({"apiVersion": version, "kind": "RoleBinding", "metadata": {"name": "r", "uid": "u"},
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": role}, "subjects": []})
    };
    let line = format!("auth reconcile -f {} -o jsonpath={{.rules}}{{.roleRef.name}}", file.display());
    // Names narrow a rule: one without them is missing.
    let all = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    std::fs::write(&file, role(&[all.clone(), rule(&["b"])]).to_string()).unwrap();
    let put = role(&[rule(&["a"]), all, rule(&["b"])]);
    let script = vec![
        on("GET /apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r", role(&[rule(&["a"])])),
        on_body("PUT /apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r", put.clone(), put),
    ];
    let (_, err) = run(&line, script).await;
    assert!(err.contains("reconciliation required update"), "{err}");
    std::fs::write(&file, bound("new").to_string()).unwrap();
    let script = vec![
        on("GET /apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/r", bound("old")),
        on("DELETE /apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/r", bound("old")),
        on(
            "GET /apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings?fieldSelector=metadata.name%3Dr&limit=500",
            list(&[]),
        ),
        refused(
            "POST /apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings",
            Status::new(Reason::Forbidden, "not this one"),
        ),
        on("POST /apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings", bound("old")),
    ];
    let (_, err) = run(&line, script).await;
    assert!(err.contains("not this one"), "{err}");
}
