//! Managed fields and generated names as webhooks see them, and what they may make of them.

use super::server::Hooks;
use super::{Kind, MAPS, configure, hook, map, only};
use crate::cluster::Cluster;
use serde_json::{Value, json};

/// Managers of an object: name, operation and the fields.
fn managers(object: &Value) -> Vec<(String, String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|own| (text(own, "manager"), text(own, "operation"), own["fieldsV1"].clone())).collect()
}

fn manager(name: &str, operation: &str, fields: Value) -> (String, String, Value) {
    (name.to_owned(), operation.to_owned(), fields)
}

async fn cluster() -> (Cluster, Hooks) {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", json!({}))]).await;
    let own = json!({"rules": [super::rule(&["CREATE", "UPDATE", "DELETE"], "", "v1", &["configmaps"])]});
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", own)]).await;
    server.forget();
    (cluster, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_see_who_manages_what_before_and_after() {
    let (cluster, server) = cluster().await;
    let patch = json!([{"op": "add", "path": "/data/added", "value": "x"}]);
    server.patch("m", patch);
    let path = format!("{MAPS}/a");
    cluster
        .apply(
            "ann",
            "",
            &path,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "data": {"k": "v"}}),
        )
        .await
        .expect(201);
    let applied = manager("ann", "Apply", json!({"f:data": {"f:k": {}}}));
    for name in ["m", "v"] {
        let seen = only(&server, name);
        assert_eq!((managers(&seen["object"]), &seen["oldObject"]), (vec![applied.clone()], &Value::Null), "{name}");
    }
    let merge = [("content-type", "application/merge-patch+json"), ("user-agent", "bob/1")];
    cluster.send("PATCH", &path, &merge, json!({"data": {"l": "w"}}).to_string()).await.expect(200);
    let updated = manager("bob", "Update", json!({"f:data": {"f:l": {}}}));
    for name in ["m", "v"] {
        let seen = only(&server, name);
        assert_eq!(managers(&seen["oldObject"]), std::slice::from_ref(&applied), "{name}");
        assert_eq!(managers(&seen["object"]), [applied.clone(), updated.clone()], "{name}");
        assert_eq!(seen["object"]["metadata"]["managedFields"][1]["fieldsType"], "FieldsV1");
    }
    // What a webhook adds is nobody's.
    let stored = cluster.get(&path).await.expect(200).json();
    assert_eq!((&stored["data"]["added"], managers(&stored)), (&json!("x"), vec![applied.clone(), updated.clone()]));
    cluster.delete(&path).await.expect(200);
    let deleted = only(&server, "v");
    assert_eq!((managers(&deleted["oldObject"]), &deleted["object"]), (vec![applied, updated], &Value::Null));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_rewrite_who_manages_what_where_it_is_understood() {
    let (cluster, server) = cluster().await;
    let rename = json!([{"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "renamed"}]);
    server.patch("m", rename);
    let agent = [("content-type", "application/json"), ("user-agent", "bob/1")];
    let create =
        async |name: &str| cluster.send("POST", MAPS, &agent, map(name, json!({})).to_string()).await.expect(201);
    let made = create("renamed").await.json();
    let fields = json!({"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {}}});
    assert_eq!(managers(&made), [manager("renamed", "Update", fields.clone())]);
    assert_eq!(managers(&only(&server, "v")["object"]), [manager("renamed", "Update", fields.clone())]);
    server.patch("m", json!([{"op": "remove", "path": "/metadata/managedFields"}]));
    assert_eq!(managers(&create("cleared").await.json()), []);
    server.patch("m", json!([{"op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Guess"}]));
    let answer = create("nonsense").await;
    let warning = answer.header("warning").to_owned();
    assert!(warning.contains(".metadata.managedFields was in an invalid state after admission"), "{warning}");
    assert_eq!(managers(&answer.json()), [manager("bob", "Update", fields)]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_sees_who_manages_what() {
    let cluster = Cluster::start().await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"metadata": {"name": "p"}, "spec": {
        "matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["configmaps"]}]},
        "validations": [{"expression": "object.metadata.managedFields.all(own, own.manager != 'eve')",
            "message": "not by eve"}]}});
    cluster.post(&format!("{group}/validatingadmissionpolicies"), policy).await.expect(201);
    let binding = json!({"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    cluster.post(&format!("{group}/validatingadmissionpolicybindings"), binding).await.expect(201);
    let tried = |agent: &'static str| {
        let (headers, body) = ([("content-type", "application/json"), ("user-agent", agent)], map("a", json!({})));
        let cluster = &cluster;
        async move { cluster.send("POST", &format!("{MAPS}?dryRun=All"), &headers, body.to_string()).await }
    };
    let begun = std::time::Instant::now();
    loop {
        let answer = tried("eve").await;
        if answer.code == 422 {
            assert!(answer.message().ends_with("not by eve"), "{}", answer.message());
            break;
        }
        assert!(begun.elapsed() < super::DEADLINE, "the policy is not in force: {}", answer.code);
    }
    tried("bob").await.expect(201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_generated_behind_those_who_change_objects() {
    let (cluster, server) = cluster().await;
    let generated = json!({"metadata": {"generateName": "g-"}});
    let made = cluster.post(MAPS, generated.clone()).await.expect(201).json();
    let name = made["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("g-") && name.len() == 7, "{name}");
    let (mutating, validating) = (only(&server, "m"), only(&server, "v"));
    assert_eq!((&mutating["name"], &mutating["object"]["metadata"]["name"]), (&Value::Null, &Value::Null));
    assert_eq!((&validating["name"], &validating["object"]["metadata"]["name"]), (&json!(name), &json!(name)));
    server.refuse("m", json!({"code": 403, "reason": "Forbidden", "message": "no"}));
    cluster.post(MAPS, generated.clone()).await.expect(403);
    server.patch("m", json!([{"op": "add", "path": "/metadata/name", "value": "chosen"}]));
    let made = cluster.post(MAPS, generated).await.expect(201).json();
    assert_eq!(made["metadata"]["name"], "chosen");
    // One that its author chose stays.
    let refused = cluster.post(MAPS, map("own", json!({}))).await.expect(400).message();
    assert!(refused.contains("the name of the object (chosen) does not match the name on the URL (own)"), "{refused}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_webhooks_see_who_manages_what() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let conditions = json!({"matchConditions": [{"name": "by-bob",
        "expression": "object.metadata.managedFields.exists(own, own.manager == 'bob')"}]});
    configure(&cluster, &server, Kind::Validating, "v", vec![hook(&server, "v", conditions)]).await;
    for (agent, asked) in [("ann/1", 0), ("bob/1", 1)] {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        let body = map(&agent[..3], json!({})).to_string();
        cluster.send("POST", MAPS, &headers, body).await.expect(201);
        assert_eq!(server.take("v").len(), asked, "{agent}");
    }
    cluster.shutdown().await;
}
