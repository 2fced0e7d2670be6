//! Who is asked about what: versions, namespaces, labels, conditions.

use super::server::Hooks;
use super::{Kind, MAPS, configuration, configure, hook, map, only, rule};
use crate::cluster::Cluster;
use crate::custom::{WIDGETS, definition, establish, widget};
use serde_json::{Value, json};

const SCALERS: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

fn scaler(name: &str) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {
        "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        "metrics": [{"type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equivalent_version_is_what_the_rule_names() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let old = |policy: &str| {
        let rules = [rule(&["CREATE"], "autoscaling", "v1", &["horizontalpodautoscalers"])];
        json!({"rules": rules, "matchPolicy": policy})
    };
    let hooks = vec![hook(&server, "equivalent", old("Equivalent")), hook(&server, "exact", old("Exact"))];
    configure(&cluster, &server, Kind::Mutating, "m", hooks).await;
    server.patch(
        "equivalent",
        json!([
        {"op": "test", "path": "/spec/targetCPUUtilizationPercentage", "value": 70},
        {"op": "replace", "path": "/spec/targetCPUUtilizationPercentage", "value": 55}]),
    );
    let created = cluster.post(SCALERS, scaler("h")).await.expect(201).json();
    assert_eq!(created["apiVersion"], "autoscaling/v2");
    assert_eq!(created["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 55);
    assert!(server.take("exact").is_empty());
    let request = only(&server, "equivalent");
    assert_eq!((&request["kind"]["version"], &request["requestKind"]["version"]), (&json!("v1"), &json!("v2")));
    assert_eq!((&request["resource"]["version"], &request["requestResource"]["version"]), (&json!("v1"), &json!("v2")));
    assert_eq!(request["object"]["apiVersion"], "autoscaling/v1");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_objects_are_judged_in_the_version_of_the_rule() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let mut versions = definition();
    let mut second = versions["spec"]["versions"][0].clone();
    second["name"] = json!("v1beta1");
    second["storage"] = json!(false);
    versions["spec"]["versions"].as_array_mut().unwrap().push(second);
    let group = versions["spec"]["group"].as_str().unwrap().to_owned();
    establish(&cluster, versions).await;
    let rules = json!({"rules": [rule(&["CREATE"], &group, "v1beta1", &["widgets"])]});
    configure(&cluster, &server, Kind::Mutating, "m", vec![hook(&server, "m", rules)]).await;
    server.patch("m", json!([{"op": "replace", "path": "/spec/size", "value": 4}]));
    let created = cluster.post(WIDGETS, widget("w", json!({"size": 3}))).await.expect(201).json();
    assert_eq!((&created["spec"]["size"], &created["apiVersion"]), (&json!(4), &json!(format!("{group}/v1"))));
    let request = only(&server, "m");
    assert_eq!(request["object"]["apiVersion"], format!("{group}/v1beta1"));
    assert_eq!(request["object"]["spec"]["size"], 3);
    server.patch("m", json!([{"op": "replace", "path": "/spec/size", "value": "large"}]));
    let refused = cluster.post(WIDGETS, widget("x", json!({"size": 3}))).await;
    assert!(refused.code >= 400, "the schema is asked of what webhooks leave");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_and_objects_are_selected_by_their_labels() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"t": "1"}}});
    cluster.post("/api/v1/namespaces", team).await.expect(201);
    let selected = json!({"matchLabels": {"t": "1"}});
    let rules = [rule(&["*"], "", "v1", &["configmaps", "namespaces"])];
    let hooks = vec![
        hook(&server, "namespaces", json!({"namespaceSelector": selected, "rules": rules})),
        hook(&server, "objects", json!({"objectSelector": selected})),
    ];
    configure(&cluster, &server, Kind::Validating, "v", hooks).await;
    let other = MAPS.replace("default", "team");
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    assert!(server.paths().is_empty());
    cluster.post(&other, map("a", json!({}))).await.expect(201);
    assert_eq!(server.paths(), ["namespaces"]);
    cluster.post(MAPS, map("b", json!({"t": "1"}))).await.expect(201);
    assert_eq!(server.paths(), ["objects"]);
    // What an object was counts as well as what it will be.
    cluster.patch("merge", &format!("{MAPS}/b"), json!({"metadata": {"labels": null}})).await.expect(200);
    assert_eq!(server.paths(), ["objects"]);
    // A namespace is in itself, as it is about to be.
    cluster.patch("merge", "/api/v1/namespaces/default", json!({"metadata": {"labels": {"t": "1"}}})).await.expect(200);
    let request = only(&server, "namespaces");
    assert_eq!((&request["namespace"], &request["name"]), (&json!("default"), &json!("default")));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_decide_before_anybody_is_asked() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let conditions = |expressions: &[&str]| {
        let each = expressions.iter().enumerate();
        let all: Vec<Value> = each.map(|(i, own)| json!({"name": format!("c{i}"), "expression": own})).collect();
        json!({"matchConditions": all})
    };
    let met = [
        "object.metadata.name == 'a' && oldObject == null",
        "request.operation == 'CREATE' && request.namespace == 'default' && request.resource.resource == 'configmaps'",
        "request.userInfo.username == 'kubernetes-admin' && 'system:authenticated' in request.userInfo.groups",
        "authorizer.requestResource.check('delete').allowed()",
        "!authorizer.serviceAccount('default', 'nobody').group('').resource('secrets').check('get').allowed()",
        "namespaceObject.metadata.name == 'default'",
    ];
    let hooks = vec![
        hook(&server, "met", conditions(&met)),
        hook(&server, "unmet", conditions(&["true", "object.data.k == 'other'", "object.absent == 1"])),
    ];
    configure(&cluster, &server, Kind::Validating, "v", hooks).await;
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    assert_eq!(server.paths(), ["met"]);
    let bad = vec![hook(&server, "bad", conditions(&["object.metadata.name", "absent == 1"]))];
    let refused = cluster.post(&Kind::Mutating.path(), configuration(Kind::Mutating, "bad", bad)).await.expect(422);
    let message = refused.message();
    for says in [
        "webhooks[0].matchConditions[0].expression: Invalid value: \"object.metadata.name\": must evaluate to bool",
        "webhooks[0].matchConditions[1].expression: Invalid value: \"absent == 1\": compilation failed: ERROR: \
         <input>:1:1: undeclared reference to 'absent'",
    ] {
        assert!(message.contains(says), "{message}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_fail_go_by_the_failure_policy() {
    let (cluster, server) = (Cluster::start().await, Hooks::start().await);
    let failing = |policy: &str| {
        json!({"failurePolicy": policy,
            "matchConditions": [{"name": "c", "expression": "object.data.absent == '1'"}]})
    };
    configure(&cluster, &server, Kind::Mutating, "i", vec![hook(&server, "i", failing("Ignore"))]).await;
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    assert!(server.paths().is_empty());
    configure(&cluster, &server, Kind::Mutating, "f", vec![hook(&server, "f", failing("Fail"))]).await;
    let refused = cluster.post(MAPS, map("b", json!({}))).await.expect(403);
    assert_eq!(
        refused.message(),
        "configmaps \"b\" is forbidden: expression 'object.data.absent == '1'' resulted in error: no such key: absent"
    );
    cluster.shutdown().await;
}
