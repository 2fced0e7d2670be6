//! Mutating admission policies over the wire: what they make of objects, in which order, and what they refuse.

use super::cluster::Cluster;
use super::policies::{MUTATING, enforce, map, path, until};
use serde_json::{Value, json};

fn configuration(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

fn spec(mutations: Value) -> Value {
    json!({"mutations": mutations, "reinvocationPolicy": "Never"})
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_change_what_is_written() {
    let cluster = Cluster::start().await;
    for (name, mutation, expected) in [
        ("configuration", configuration("Object{data: {'added': 'x'}}"), json!({"a": "1", "added": "x"})),
        (
            "from-object",
            configuration(
                "Object{data: {'a': string(int(object.data.a) + 1)}, metadata: Object.metadata{labels: {'l': request.operation}}}",
            ),
            json!({"a": "2"}),
        ),
        (
            "patch",
            patch(
                "[JSONPatch{op: 'test', path: '/data/a', value: '1'}, JSONPatch{op: 'copy', from: '/data/a', path: '/data/b'}, \
                   JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('c'), value: 'x'}]",
            ),
            json!({"a": "1", "b": "1", "c": "x"}),
        ),
        (
            "conditional",
            patch("object.data.a == '1' ? [JSONPatch{op: 'replace', path: '/data', value: {'only': 'x'}}] : []"),
            json!({"only": "x"}),
        ),
    ] {
        enforce(&cluster, MUTATING, name, spec(json!([mutation])), json!({})).await;
        let answer = until(&cluster, name, map("m", json!({"a": "1"})), |answer| {
            answer.code != 201 || answer.json()["data"] != json!({"a": "1"})
        });
        assert_eq!(answer.await.expect(201).json()["data"], expected, "{name}");
        cluster.delete(&format!("{}/{name}-binding", path("MutatingAdmissionPolicyBinding"))).await.expect(200);
        until(&cluster, "the end of a policy", map("m", json!({"a": "1"})), |answer| {
            answer.json()["data"] == json!({"a": "1"})
        })
        .await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_test_leaves_the_object_alone() {
    let cluster = Cluster::start().await;
    let mutations = json!([
        patch("[JSONPatch{op: 'test', path: '/data/a', value: '2'}, JSONPatch{op: 'remove', path: '/data/a'}]"),
        configuration("Object{data: {'reached': 'x'}}")
    ]);
    enforce(&cluster, MUTATING, "tested", spec(mutations), json!({})).await;
    let answer =
        until(&cluster, "a change", map("m", json!({"a": "1"})), |answer| answer.json()["data"] != json!({"a": "1"}));
    assert_eq!(answer.await.expect(201).json()["data"], json!({"a": "1", "reached": "x"}));
    cluster.shutdown().await;
}

async fn with_service_account() -> Cluster {
    let cluster = Cluster::start().await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    cluster.post("/api/v1/namespaces/default/serviceaccounts", account).await.expect(201);
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_that_go_wrong_are_refused() {
    let cluster = with_service_account().await;
    let pods = json!({"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (name, mutation, why) in [
        (
            "atomic",
            configuration("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', args: ['x']}]}}"),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \
             .spec.containers[0].args",
        ),
        (
            "misnamed",
            configuration("Object{spec: Object.metadata{}}"),
            "type mismatch: unexpected type name \"Object.metadata\", expected \
          \"Object.spec\", which matches field name path from root Object type",
        ),
        (
            "undeclared",
            configuration("Object{spec: Object.spec{none: 1}}"),
            "error applying patch: failed to convert patch object to typed object: .spec.none: field not declared in schema",
        ),
        (
            "error",
            configuration("Object{spec: Object.spec{nodeName: object.spec.none}}"),
            "expression 'Object{spec: Object.spec{nodeName: object.spec.none}}' resulted in error: no such key: none",
        ),
        (
            "renamed",
            patch("[JSONPatch{op: 'replace', path: '/metadata/name', value: 'q'}]"),
            "the name of the object (q) does not match the name on the URL (p)",
        ),
    ] {
        let mut own = spec(json!([mutation]));
        own["matchConstraints"] = pods.clone();
        enforce(&cluster, MUTATING, name, own, json!({})).await;
        let pods = "/api/v1/namespaces/default/pods?dryRun=All";
        let begun = std::time::Instant::now();
        let answer = loop {
            let answer = cluster.post(pods, pod.clone()).await;
            if answer.code == 403 && answer.message().contains(name) {
                break answer;
            }
            assert!(begun.elapsed().as_secs() < 20, "{name}: {}", answer.message());
            tokio::task::yield_now().await;
        };
        assert_eq!(answer.message(), format!("policy '{name}' with binding '{name}-binding' denied request: {why}"));
        assert_eq!(answer.json()["reason"], "Invalid");
        cluster.delete(&format!("{}/{name}-binding", path("MutatingAdmissionPolicyBinding"))).await.expect(200);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_go_by_name_and_see_again_what_others_changed() {
    let cluster = Cluster::start().await;
    let counts = |field: &str| {
        configuration(&format!(
            "Object{{data: {{'{field}': string(int(object.data.?{field}.orValue('0')) + 1), \
                                '{field}-saw': string(object.data.size())}}}}"
        ))
    };
    let mut first = spec(json!([counts("first")]));
    first["reinvocationPolicy"] = json!("IfNeeded");
    enforce(&cluster, MUTATING, "a-first", first, json!({})).await;
    enforce(&cluster, MUTATING, "b-second", spec(json!([counts("second")])), json!({})).await;
    let answer = until(&cluster, "both changes", map("m", json!({"a": "1"})), |answer| {
        answer.json()["data"]["first"] == "2" && answer.json()["data"]["second"] == "1"
    });
    let data = answer.await.expect(201).json()["data"].clone();
    assert_eq!(data, json!({"a": "1", "first": "2", "first-saw": "5", "second": "1", "second-saw": "3"}));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_after_a_change_is_defaulted() {
    let cluster = with_service_account().await;
    let mut own = spec(json!([patch(
        "[JSONPatch{op: 'remove', path: '/spec/containers/0/terminationMessagePath'}, \
        JSONPatch{op: 'add', path: '/spec/containers/-', value: Object.spec.containers{name: 'd', image: 'i'}}]"
    )]));
    own["matchConstraints"] = json!({"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]});
    enforce(&cluster, MUTATING, "defaulted", own, json!({})).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let begun = std::time::Instant::now();
    let created = loop {
        let answer = cluster.post("/api/v1/namespaces/default/pods?dryRun=All", pod.clone()).await;
        if answer.code == 201 && answer.json()["spec"]["containers"].as_array().unwrap().len() == 2 {
            break answer.json();
        }
        assert!(begun.elapsed().as_secs() < 20, "{}", String::from_utf8_lossy(&answer.body));
        tokio::task::yield_now().await;
    };
    for index in 0..2 {
        assert_eq!(created["spec"]["containers"][index]["terminationMessagePath"], "/dev/termination-log");
    }
    // The service account's volume is in the new container too: built-in judges see what policies add.
    let mounts = created["spec"]["containers"][1]["volumeMounts"].as_array().unwrap().len();
    assert_eq!(mounts, 1, "{created}");
    cluster.shutdown().await;
}
