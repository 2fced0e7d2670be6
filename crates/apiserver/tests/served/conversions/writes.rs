//! Writes in a version that is not the stored one.

use super::{CONVERT, V1, V2, answer, converted, first, makes, second, start};
use crate::cluster::Cluster;
use serde_json::{Value, json};

async fn stored(cluster: &Cluster, name: &str) -> Value {
    cluster.get(&format!("{V1}/{name}")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_judged_in_their_version_and_stored_in_another() {
    let (cluster, server) = start().await;
    let created = cluster.post(V2, second("a", 3)).await.expect(201).json();
    assert_eq!((&created["apiVersion"], &created["spec"]["bounds"]["size"]), (&json!("example.com/v2"), &json!(3)));
    assert_eq!(created["spec"]["color"], "grey", "the request's version fills in its defaults");
    let kept = stored(&cluster, "a").await;
    assert_eq!(kept["spec"], json!({"color": "grey", "size": 3}));
    assert_eq!((&kept["metadata"]["uid"], &kept["metadata"]["generation"]), (&created["metadata"]["uid"], &json!(1)));
    let refused = cluster.post(V2, second("b", 11)).await.expect(422).message();
    let says = "Box.example.com \"b\" is invalid: spec.bounds.size: Invalid value: 11: spec.bounds.size in body should \
                be less than or equal to 10";
    assert_eq!(refused, says);
    let mut body = created.clone();
    body["spec"]["bounds"]["size"] = json!(4);
    let updated = cluster.put(&format!("{V2}/a"), body.clone()).await.expect(200).json();
    assert_eq!((&updated["spec"]["bounds"]["size"], &updated["metadata"]["generation"]), (&json!(4), &json!(2)));
    cluster.put(&format!("{V2}/a"), body).await.expect(409);
    let again = cluster.put(&format!("{V2}/a"), updated.clone()).await.expect(200).json();
    assert_eq!(again["metadata"]["resourceVersion"], updated["metadata"]["resourceVersion"], "nothing was changed");
    let tried = cluster.post(&format!("{V2}?dryRun=All"), second("t", 3)).await.expect(201).json();
    assert_eq!(tried["spec"]["bounds"]["size"], 3);
    cluster.get(&format!("{V1}/t")).await.expect(404);
    server.take(CONVERT);
    cluster.delete(&format!("{V2}/a")).await.expect(200);
    cluster.get(&format!("{V1}/a")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_tried_is_not_what_others_are_shown() {
    let (cluster, _server) = start().await;
    let (path, tried) = (format!("{V2}/a"), "dryRun=All");
    let size = |own: &Value| own["spec"]["bounds"]["size"].clone();
    for wanted in [3, 4] {
        let created = cluster.post(&format!("{V2}?{tried}"), second("a", wanted)).await.expect(201).json();
        assert_eq!(size(&created), wanted);
    }
    let mut own = first("a", 1);
    own["metadata"]["finalizers"] = json!(["example.com/held"]);
    cluster.post(V1, own).await.expect(201);
    for wanted in [5, 6] {
        let body = json!({"spec": {"bounds": {"size": wanted}}});
        let patched = cluster.patch("merge", &format!("{path}?{tried}"), body).await.expect(200).json();
        assert_eq!(size(&patched), wanted);
    }
    let deleted = cluster.delete(&format!("{path}?{tried}")).await.expect(200).json();
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{deleted}");
    let read = cluster.get(&path).await.expect(200).json();
    assert_eq!((size(&read), &read["metadata"]["deletionTimestamp"]), (json!(1), &Value::Null));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_of_each_kind_apply_to_the_version_of_the_request() {
    let (cluster, _server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let path = format!("{V2}/a");
    cluster.patch("merge", &path, json!({"spec": {"bounds": {"size": 2}}})).await.expect(200);
    assert_eq!(stored(&cluster, "a").await["spec"]["size"], 2);
    let operations = json!([{"op": "test", "path": "/apiVersion", "value": "example.com/v2"},
        {"op": "replace", "path": "/spec/bounds/size", "value": 3}]);
    let patched = cluster.patch("json", &path, operations).await.expect(200).json();
    assert_eq!(patched["spec"]["bounds"], json!({"size": 3, "unit": "cm"}));
    assert_eq!(stored(&cluster, "a").await["spec"]["size"], 3);
    let unknown = cluster.patch("merge", &format!("{path}?fieldValidation=Strict"), json!({"spec": {"size": 5}})).await;
    assert!(unknown.expect(422).message().contains("unknown field \"spec.size\""));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_scale_are_written_through_either_version() {
    let (cluster, _server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let path = format!("{V2}/a/status");
    let status = json!({"status": {"ready": true, "count": 2}, "spec": {"bounds": {"size": 9}}});
    let patched = cluster.patch("merge", &path, status).await.expect(200).json();
    assert_eq!((&patched["spec"]["bounds"]["size"], &patched["status"]["ready"]), (&json!(1), &json!(true)));
    assert_eq!(stored(&cluster, "a").await["status"], json!({"ready": true, "count": 2}));
    cluster.patch("merge", &format!("{V2}/a/scale"), json!({"spec": {"replicas": 5}})).await.expect(200);
    assert_eq!(stored(&cluster, "a").await["spec"], json!({"count": 5, "size": 1, "color": "grey"}));
    let scale = cluster.get(&format!("{V2}/a/scale")).await.expect(200).json();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(5), &json!(2)));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_marks_and_collections_work_in_either_version() {
    let (cluster, _server) = start().await;
    let mut held = second("held", 2);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.post(V2, held).await.expect(201);
    cluster.post(V2, second("free", 3)).await.expect(201);
    let gone = cluster.delete(&format!("{V2}?fieldSelector=spec.bounds.size%3D3")).await.expect(200).json();
    assert_eq!(gone["items"].as_array().unwrap().len(), 1);
    cluster.get(&format!("{V1}/free")).await.expect(404);
    let marked = cluster.delete(&format!("{V2}/held")).await.expect(200).json();
    assert_eq!((&marked["apiVersion"], &marked["spec"]["bounds"]["size"]), (&json!("example.com/v2"), &json!(2)));
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let freed = json!({"metadata": {"finalizers": null}});
    let last = cluster.patch("merge", &format!("{V2}/held"), freed).await.expect(200).json();
    assert_eq!(last["spec"]["bounds"]["size"], 2);
    cluster.get(&format!("{V1}/held")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converter_may_change_labels_and_annotations_and_nothing_else_of_the_metadata() {
    let (cluster, server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let own = stored(&cluster, "a").await["metadata"].clone();
    let meddles = |object: &Value, wanted: &str| {
        let mut made = converted(object, wanted);
        made["metadata"]["labels"] = json!({"by": "webhook"});
        for (field, value) in
            [("generation", json!(99)), ("finalizers", json!(["x.io/y"])), ("managedFields", json!([]))]
        {
            made["metadata"][field] = value;
        }
        made["spec"]["unknown"] = json!(true);
        made
    };
    server.set(CONVERT, makes(move |review| answer(review, meddles)));
    let read = cluster.get(&format!("{V2}/a")).await.expect(200).json();
    assert_eq!(read["metadata"]["labels"], json!({"by": "webhook"}));
    for field in ["generation", "managedFields", "resourceVersion", "creationTimestamp", "uid", "finalizers"] {
        assert_eq!(read["metadata"].get(field), own.get(field), "{field}");
    }
    assert_eq!(read["spec"].get("unknown"), None, "what the schema does not name is pruned");
    let selected = cluster.get(&format!("{V2}?labelSelector=by%3Dwebhook")).await.expect(200).json();
    assert_eq!(selected["items"].as_array().unwrap().len(), 1);
    cluster.shutdown().await;
}

/// Who manages which fields of the spec, in which version.
fn books(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let of_spec = entries.iter().filter(|entry| !entry["fieldsV1"]["f:spec"].is_null());
    of_spec
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            format!("{} {} {}", text("manager"), text("apiVersion"), entry["fieldsV1"]["f:spec"])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_meet_across_versions() {
    let (cluster, _server) = start().await;
    let (in_first, in_second) = (format!("{V1}/a"), format!("{V2}/a"));
    let mut own = first("a", 3);
    own["spec"]["count"] = json!(2);
    cluster.apply("one", "", &in_first, own).await.expect(201);
    let conflict = cluster.apply("two", "", &in_second, second("a", 4)).await.expect(409).message();
    assert_eq!(conflict, "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    let agreed = cluster.apply("two", "", &in_second, second("a", 3)).await.expect(200).json();
    assert_eq!(
        books(&agreed),
        [r#"one example.com/v1 {"f:count":{},"f:size":{}}"#, r#"two example.com/v2 {"f:bounds":{"f:size":{}}}"#]
    );
    let forced = cluster.apply("two", "&force=true", &in_second, second("a", 4)).await.expect(200).json();
    let books_now = books(&forced);
    assert!(books_now.contains(&r#"one example.com/v1 {"f:count":{}}"#.to_owned()), "{books_now:?}");
    // An update in one version takes a field from who applied it in the other.
    cluster.patch("merge", &in_first, json!({"spec": {"size": 5}})).await.expect(200);
    let read = cluster.get(&in_second).await.expect(200).json();
    assert!(!books(&read).iter().any(|line| line.starts_with("two ") && line.contains("f:size")), "{:?}", books(&read));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applier_that_changes_its_version_drops_what_it_says_no_more() {
    let (cluster, _server) = start().await;
    let mut own = first("a", 3);
    own["spec"]["count"] = json!(2);
    cluster.apply("one", "", &format!("{V1}/a"), own).await.expect(201);
    let moved = cluster.apply("one", "", &format!("{V2}/a"), second("a", 3)).await.expect(200).json();
    assert_eq!((moved["spec"].get("count"), &moved["spec"]["bounds"]["size"]), (None, &json!(3)));
    assert_eq!(books(&moved), [r#"one example.com/v2 {"f:bounds":{"f:size":{}}}"#]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_sees_objects_in_the_version_of_its_rule() {
    let (cluster, server) = start().await;
    let rule = json!({"operations": ["CREATE", "UPDATE"], "apiGroups": ["example.com"], "apiVersions": ["v1"],
        "resources": ["boxes"]});
    let patch = json!([{"op": "replace", "path": "/spec/size", "value": 9}]);
    server.patch("m", patch);
    let hook = json!({"name": "m.test.io", "clientConfig": server.client("m"), "rules": [rule], "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "matchPolicy": "Equivalent"});
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration", "metadata": {"name": "m"}, "webhooks": [hook]});
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    cluster.post(path, configuration).await.expect(201);
    let begun = std::time::Instant::now();
    let created = loop {
        let tried = cluster.post(&format!("{V2}?dryRun=All"), second("a", 3)).await.expect(201).json();
        if tried["spec"]["bounds"]["size"] == 9 {
            break tried;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "the webhook is not in force: {tried}");
    };
    assert_eq!(created["apiVersion"], "example.com/v2");
    let request = server.take("m").pop().unwrap();
    assert_eq!(request["kind"]["version"], "v1");
    assert_eq!(request["requestKind"]["version"], "v2");
    assert_eq!(
        (&request["object"]["apiVersion"], &request["object"]["spec"]["size"]),
        (&json!("example.com/v1"), &json!(3))
    );
    cluster.shutdown().await;
}
