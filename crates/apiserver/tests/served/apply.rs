//! Server-side apply and managed fields: over HTTP, and with both real kubectls.

use crate::cluster::{Answer, Cluster, KUBECTL};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data})
}

fn deployment(replicas: Option<i64>) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = replicas.into();
    }
    object
}

/// Who manages which fields: manager, operation, subresource, `fieldsV1`.
fn books(object: &Value) -> Vec<(String, String, String, String)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let book = |entry: &Value| {
        assert!(entry["time"].is_string(), "{entry}");
        assert_eq!(entry["fieldsType"], "FieldsV1");
        let fields = entry["fieldsV1"].to_string();
        (text(entry, "manager"), text(entry, "operation"), text(entry, "subresource"), fields)
    };
    entries.iter().map(book).collect()
}

#[track_caller]
fn check(object: &Value, wanted: &[(&str, &str, &str, &str)]) {
    let books = books(object);
    let books: Vec<_> = books.iter().map(|book| (&*book.0, &*book.1, &*book.2, &*book.3)).collect();
    assert_eq!(books, wanted);
}

fn revision(answer: &Value) -> &str {
    answer["metadata"]["resourceVersion"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_creates_changes_and_conflicts() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}/m");
    let created = cluster.apply("a", "", &path, map(json!({"x": "1", "y": "1"}))).await.expect(201).json();
    check(&created, &[("a", "Apply", "", r#"{"f:data":{"f:x":{},"f:y":{}}}"#)]);
    let same = cluster.apply("a", "", &path, map(json!({"x": "1", "y": "1"}))).await.expect(200).json();
    assert_eq!(revision(&same), revision(&created), "an apply that changes nothing is not written");

    let refused = cluster.apply("b", "", &path, map(json!({"x": "2"}))).await.expect(409);
    assert_eq!(refused.message(), "Apply failed with 1 conflict: conflict with \"a\": .data.x");
    let cause = &refused.json()["details"]["causes"][0];
    let wanted = json!({"reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".data.x"});
    assert_eq!(*cause, wanted);
    let forced = cluster.apply("b", "&force=true", &path, map(json!({"x": "2"}))).await.expect(200).json();
    check(&forced, &[("a", "Apply", "", r#"{"f:data":{"f:y":{}}}"#), ("b", "Apply", "", r#"{"f:data":{"f:x":{}}}"#)]);

    // What "a" no longer says goes; what "b" has stays.
    let less = cluster.apply("a", "", &path, map(json!({"z": "1"}))).await.expect(200).json();
    assert_eq!(less["data"], json!({"x": "2", "z": "1"}));

    let dry = cluster.apply("c", "&dryRun=All", &path, map(json!({"dry": "1"}))).await.expect(200).json();
    assert_eq!(dry["data"]["dry"], "1");
    assert_eq!(cluster.get(&path).await.expect(200).json()["data"].get("dry"), None);
    let mut other = map(json!({}));
    other["metadata"]["name"] = json!("n");
    cluster.apply("c", "&dryRun=All", &format!("{MAPS}/n"), other).await.expect(201);
    cluster.get(&format!("{MAPS}/n")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_booked() {
    let cluster = Cluster::start().await;
    let agent = [("content-type", "application/json"), ("user-agent", "tool/v1 (x)")];
    let body = json!({"metadata": {"name": "m", "labels": {"l": "1"}}, "data": {"x": "1"}});
    let created = cluster.send("POST", MAPS, &agent, body.to_string()).await.expect(201).json();
    let own = r#"{"f:data":{".":{},"f:x":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}}"#;
    check(&created, &[("tool", "Update", "", own)]);
    let path = format!("{MAPS}/m");
    let patched = cluster.patch("merge", &format!("{path}?fieldManager=p"), json!({"data": {"x": "2"}})).await;
    let patched = patched.expect(200).json();
    let left = r#"{"f:data":{},"f:metadata":{"f:labels":{".":{},"f:l":{}}}}"#;
    check(&patched, &[("p", "Update", "", r#"{"f:data":{"f:x":{}}}"#), ("tool", "Update", "", left)]);
    let same = cluster.patch("merge", &format!("{path}?fieldManager=q"), json!({"data": {"x": "2"}})).await.expect(200);
    assert_eq!(same.json(), patched);
    // A client that knows nothing of managed fields does not lose them.
    let mut plain = patched.clone();
    plain["metadata"].as_object_mut().unwrap().remove("managedFields");
    plain["data"]["y"] = json!("3");
    let replaced = cluster.put(&format!("{path}?fieldManager=r"), plain).await.expect(200).json();
    assert_eq!(books(&replaced).len(), 3, "{replaced}");
    // One that clears them does.
    let cleared = cluster.patch("merge", &path, json!({"metadata": {"managedFields": [{}]}})).await.expect(200).json();
    check(&cleared, &[]);
    let silent = cluster.patch("merge", &path, json!({"data": {"z": "1"}})).await.expect(200).json();
    check(&silent, &[]);
    let applied = cluster.apply("a", "", &path, map(json!({"w": "1"}))).await.expect(200).json();
    let before = r#"{"f:data":{".":{},"f:x":{},"f:y":{},"f:z":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}}"#;
    check(&applied, &[("a", "Apply", "", r#"{"f:data":{"f:w":{}}}"#), ("before-first-apply", "Update", "", before)]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subresources_are_booked_apart() {
    let cluster = Cluster::start().await;
    let path = format!("{DEPLOYMENTS}/d");
    let mut intent = deployment(Some(1));
    intent["status"] = json!({"replicas": 7});
    let created = cluster.apply("a", "", &path, intent).await.expect(201).json();
    assert!(!books(&created)[0].3.contains("f:status"), "the status is not the object's to apply");
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 9}, "status": {"replicas": 3}});
    let applied = cluster.apply("s", "", &format!("{path}/status"), status).await.expect(200).json();
    assert_eq!((&applied["spec"]["replicas"], &applied["status"]["replicas"]), (&json!(1), &json!(3)));
    let own = books(&applied).into_iter().find(|book| book.0 == "s").unwrap();
    assert_eq!((own.2.as_str(), own.3.as_str()), ("status", r#"{"f:status":{"f:replicas":{}}}"#));

    let scale = |replicas: i64| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": replicas}});
    let refused = cluster.apply("h", "", &format!("{path}/scale"), scale(4)).await.expect(409);
    assert_eq!(refused.message(), "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
    let scaled = cluster.apply("h", "&force=true", &format!("{path}/scale"), scale(4)).await.expect(200).json();
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(4)));
    let refused = cluster.apply("a", "", &path, deployment(Some(1))).await.expect(409);
    assert_eq!(
        refused.message(),
        "Apply failed with 1 conflict: conflict with \"h\" with subresource \"scale\": .spec.replicas"
    );
    let left = cluster.apply("a", "", &path, deployment(None)).await.expect(200).json();
    assert_eq!(left["spec"]["replicas"], 4, "whoever scales it has it");
    let mut put = cluster.get(&format!("{path}/scale")).await.expect(200).json();
    put["spec"]["replicas"] = json!(5);
    cluster.put(&format!("{path}/scale?fieldManager=u"), put).await.expect(200);
    let read = cluster.get(&path).await.expect(200).json();
    let own = books(&read).into_iter().find(|book| book.0 == "u").unwrap();
    assert_eq!(
        (own.1.as_str(), own.2.as_str(), own.3.as_str()),
        ("Update", "scale", r#"{"f:spec":{"f:replicas":{}}}"#)
    );
    cluster
        .apply(
            "s",
            "",
            &format!("{DEPLOYMENTS}/none/status"),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "none"}}),
        )
        .await
        .expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_apply_is_said() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}/m");
    let check = |answer: Answer, code: u16, says: &str| {
        let message = answer.message();
        assert_eq!((answer.code, message.as_str()), (code, says));
    };
    let apply = [("content-type", "application/apply-patch+yaml")];
    let nameless = cluster.send("PATCH", &path, &apply, map(json!({})).to_string()).await;
    let says = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    check(nameless, 422, says);
    let forced = cluster.patch("merge", &format!("{path}?force=true"), json!({})).await;
    let says = "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
    check(forced, 422, says);
    let other = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m"}});
    check(cluster.apply("a", "", &path, other).await, 400, "invalid object type: /v1, Kind=Secret");
    let mut managed = map(json!({}));
    managed["metadata"]["managedFields"] = json!([]);
    check(cluster.apply("a", "", &path, managed).await, 400, "metadata.managedFields must be nil");
    let mut unknown = map(json!({}));
    unknown["date"] = json!({});
    let says =
        "failed to create typed patch object (default/m; /v1, Kind=ConfigMap): .date: field not declared in schema";
    check(cluster.apply("a", "", &path, unknown).await, 500, says);
    let mut known = map(json!({}));
    known["metadata"]["uid"] = json!("u");
    let says = "Operation cannot be fulfilled on configmaps \"m\": uid mismatch: the provided object specified uid u, and \
                no existing object was found";
    check(cluster.apply("a", "", &path, known.clone()).await, 409, says);
    cluster.apply("a", "", &path, map(json!({}))).await.expect(201);
    assert!(cluster.apply("a", "", &path, known).await.expect(409).message().contains("Precondition failed: UID"));
    let mut stale = map(json!({"x": "1"}));
    stale["metadata"]["resourceVersion"] = json!("1");
    let stale = cluster.apply("a", "", &path, stale).await.expect(409);
    assert!(stale.message().ends_with("please apply your changes to the latest version and try again"));
    let cbor = [("content-type", "application/apply-patch+cbor")];
    let refused = cluster.send("PATCH", &format!("{path}?fieldManager=a"), &cbor, "x").await.expect(415);
    assert!(refused.message().contains("application/apply-patch+yaml"), "{}", refused.message());
    let long = "m".repeat(129);
    let refused = cluster.apply(&long, "", &path, map(json!({}))).await.expect(422);
    assert!(refused.message().contains("fieldManager: Too long"), "{}", refused.message());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appliers_all_keep_their_fields() {
    let cluster = std::sync::Arc::new(Cluster::start().await);
    let appliers = (0..8).map(|applier| {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            let intent = map(json!({format!("k{applier}"): "x"}));
            let answer = cluster.apply(&format!("a{applier}"), "", &format!("{MAPS}/m"), intent).await;
            assert!(matches!(answer.code, 200 | 201), "{}", answer.message());
        })
    });
    for applier in appliers.collect::<Vec<_>>() {
        applier.await.unwrap();
    }
    let read = cluster.get(&format!("{MAPS}/m")).await.expect(200).json();
    assert_eq!(read["data"].as_object().unwrap().len(), 8);
    assert_eq!(books(&read).len(), 8);
    std::sync::Arc::into_inner(cluster).unwrap().shutdown().await;
}

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: 'nginx:1', ports: [{containerPort: 80}]}]
";

/// Runs a kubectl; it must end as `ok` says, and say this.
async fn run(cluster: &Cluster, program: &str, arguments: &[&str], input: &str, ok: bool, says: &str) -> bool {
    let Some((succeeded, text)) = cluster.run(program, arguments, input).await else { return false };
    assert_eq!(succeeded, ok, "{program} {arguments:?}: {text}");
    assert!(text.contains(says), "{program} {arguments:?} does not say {says:?}: {text}");
    true
}

/// Create, apply again, conflict, force, and the way from client side to server side.
async fn applies(program: &str) {
    let cluster = Cluster::start().await;
    let server_side = ["apply", "--server-side", "-f", "-"];
    if !run(&cluster, program, &server_side, MANIFEST, true, "deployment.apps/web serverside-applied").await {
        return;
    }
    let first = cluster.get(&format!("{DEPLOYMENTS}/web")).await.expect(200).json();
    run(&cluster, program, &server_side, MANIFEST, true, "deployment.apps/web serverside-applied").await;
    let again = cluster.get(&format!("{DEPLOYMENTS}/web")).await.expect(200).json();
    assert_eq!(again, first);
    run(&cluster, program, &["scale", "deploy/web", "--replicas=5"], "", true, "scaled").await;
    let conflict = "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: \
                    .spec.replicas";
    run(&cluster, program, &server_side, MANIFEST, false, conflict).await;
    let force = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    run(&cluster, program, &force, MANIFEST, true, "serverside-applied").await;
    let named = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
    let changed = MANIFEST.replace("nginx:1", "nginx:2");
    run(&cluster, program, &named, &changed, false, "conflict with \"kubectl\": .spec.template.spec.containers").await;
    let less = MANIFEST.replace(", labels: {tier: front}", "");
    run(&cluster, program, &server_side, &less, true, "serverside-applied").await;
    let read = cluster.get(&format!("{DEPLOYMENTS}/web")).await.expect(200).json();
    assert_eq!((&read["spec"]["replicas"], read["metadata"].get("labels")), (&json!(2), None));
    run(&cluster, program, &["delete", "deploy", "web"], "", true, "deleted").await;

    // From client side to server side: nobody conflicts, one manager is left, and what it drops goes.
    run(&cluster, program, &["apply", "-f", "-"], MANIFEST, true, "deployment.apps/web created").await;
    let client = cluster.get(&format!("{DEPLOYMENTS}/web")).await.expect(200).json();
    assert_eq!(books(&client)[0].0, "kubectl-client-side-apply");
    let less = changed.replace(", labels: {tier: front}", "");
    run(&cluster, program, &server_side, &less, true, "serverside-applied").await;
    let migrated = cluster.get(&format!("{DEPLOYMENTS}/web")).await.expect(200).json();
    let mut managers: Vec<_> = books(&migrated).into_iter().map(|book| format!("{} {}", book.0, book.1)).collect();
    // Their order is that of the seconds in which they wrote.
    managers.sort();
    assert_eq!(managers, ["kubectl Apply", "kubectl-last-applied Apply"], "{migrated}");
    assert_eq!(migrated["spec"]["template"]["spec"]["containers"][0]["image"], "nginx:2");
    assert_eq!(migrated["metadata"].get("labels"), None, "{migrated}");
    run(&cluster, program, &["apply", "-f", "-"], MANIFEST, true, "deployment.apps/web configured").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_kubectl_applies_on_the_server() {
    applies(KUBECTL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_kubectl_applies_on_the_server() {
    applies(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubectl-1.37/kubectl")).await;
}
