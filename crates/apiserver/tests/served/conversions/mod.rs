//! Conversion webhooks: one object in versions that a real HTTPS server converts.

mod failures;
mod migration;
mod programs;
mod writes;

use crate::cluster::Cluster;
use crate::custom::{DEFINITIONS, establish, until};
use crate::watches::Lines;
use crate::webhooks::server::{Answer, Hooks, Make};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const V1: &str = "/apis/example.com/v1/namespaces/default/boxes";
pub(crate) const V2: &str = "/apis/example.com/v2/namespaces/default/boxes";
pub(crate) const NAME: &str = "boxes.example.com";
/// The path of the webhook.
pub(crate) const CONVERT: &str = "convert";

/// `v1` has a size in its spec, `v2` has it in a part of the spec of its own, with a unit.
fn converted(object: &Value, wanted: &str) -> Value {
    let mut converted = object.clone();
    converted["apiVersion"] = json!(wanted);
    let spec = converted["spec"].as_object_mut().unwrap();
    if wanted.ends_with("/v2") {
        let size = spec.shift_remove("size").unwrap_or_default();
        spec.insert("bounds".to_owned(), json!({"size": size, "unit": "cm"}));
    } else {
        let bounds = spec.shift_remove("bounds").unwrap_or_default();
        spec.insert("size".to_owned(), bounds["size"].clone());
    }
    converted["metadata"]["annotations"]["converted-to"] = json!(wanted);
    converted
}

/// A review's answer, its converted objects made by this.
pub(crate) fn answer(review: &Value, make: impl Fn(&Value, &str) -> Value) -> Value {
    let request = &review["request"];
    let wanted = request["desiredAPIVersion"].as_str().unwrap();
    let objects = request["objects"].as_array().unwrap();
    let made: Vec<Value> = objects.iter().map(|object| make(object, wanted)).collect();
    json!({"apiVersion": review["apiVersion"], "kind": "ConversionReview",
        "response": {"uid": request["uid"], "convertedObjects": made, "result": {"status": "Success"}}})
}

pub(crate) fn makes(make: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Answer {
    Answer::Made(Arc::new(make) as Make)
}

/// A server that converts as it should.
pub(crate) async fn converter() -> Hooks {
    let server = Hooks::start().await;
    works(&server);
    server
}

pub(crate) fn works(server: &Hooks) {
    server.set(CONVERT, makes(|review| answer(review, converted)));
}

pub(crate) fn definition(server: &Hooks) -> Value {
    let status = json!({"type": "object", "properties": {"ready": {"type": "boolean"}, "count": {"type": "integer"}}});
    let version = |name: &str, storage: bool, size: &str, spec: Value| {
        let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.count",
                "statusReplicasPath": ".status.count"}},
            "selectableFields": [{"jsonPath": size}],
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": size}]})
    };
    let whole = || json!({"type": "integer", "minimum": 1, "maximum": 10});
    let first = json!({"type": "object", "required": ["size"], "properties": {"size": whole(),
        "color": {"type": "string"}, "count": {"type": "integer"}}});
    let second = json!({"type": "object", "required": ["bounds"], "properties": {
        "bounds": {"type": "object", "required": ["size"],
            "properties": {"size": whole(), "unit": {"type": "string", "default": "mm"}}},
        "color": {"type": "string", "default": "grey"}, "count": {"type": "integer"}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": NAME},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": server.client(CONVERT)}},
            "versions": [version("v1", true, ".spec.size", first), version("v2", false, ".spec.bounds.size", second)]}})
}

pub(crate) fn first(name: &str, size: i64) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": name}, "spec": {"size": size}})
}

pub(crate) fn second(name: &str, size: i64) -> Value {
    json!({"apiVersion": "example.com/v2", "kind": "Box", "metadata": {"name": name},
        "spec": {"bounds": {"size": size}}})
}

pub(crate) async fn start() -> (Cluster, Hooks) {
    let (cluster, server) = (Cluster::start().await, converter().await);
    establish(&cluster, definition(&server)).await;
    (cluster, server)
}

/// Changes the definition and waits until it is served so.
pub(crate) async fn redefine(cluster: &Cluster, change: impl Fn(&mut Value)) {
    let path = format!("{DEFINITIONS}/{NAME}");
    let mut own = cluster.get(&path).await.expect(200).json();
    change(&mut own);
    cluster.put(&path, own).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_is_in_the_version_that_is_asked_for() {
    let (cluster, server) = start().await;
    for (name, size) in [("a", 1), ("b", 2), ("c", 3)] {
        cluster.post(V1, first(name, size)).await.expect(201);
    }
    assert!(server.take(CONVERT).is_empty(), "the stored version needs no conversion");
    let read = cluster.get(&format!("{V2}/a")).await.expect(200).json();
    assert_eq!(
        (&read["apiVersion"], &read["spec"]["bounds"]),
        (&json!("example.com/v2"), &json!({"size": 1, "unit": "cm"}))
    );
    assert_eq!(read["metadata"]["annotations"]["converted-to"], "example.com/v2");
    assert!(read["metadata"]["managedFields"].is_array());
    assert_eq!(read["spec"].get("color"), None, "defaults are the stored version's");
    let request = server.take(CONVERT).remove(0);
    assert_eq!(request["desiredAPIVersion"], "example.com/v2");
    assert_eq!(request["objects"][0]["apiVersion"], "example.com/v1");
    assert_eq!(server.query(CONVERT), "timeout=30s");
    let list = cluster.get(V2).await.expect(200).json();
    let sizes: Vec<i64> =
        list["items"].as_array().unwrap().iter().map(|own| own["spec"]["bounds"]["size"].as_i64().unwrap()).collect();
    assert_eq!((sizes, list["apiVersion"].as_str()), (vec![1, 2, 3], Some("example.com/v2")));
    let asked = server.take(CONVERT);
    assert_eq!(asked.len(), 1, "one question for all of a list");
    assert_eq!(asked[0]["objects"].as_array().unwrap().len(), 2, "what was converted is remembered");
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = cluster.send("GET", V2, &table, "").await.expect(200).json();
    assert_eq!(table["rows"][2]["cells"], json!(["c", 3]));
    let partial = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let partial = cluster.send("GET", V2, &partial, "").await.expect(200).json();
    assert_eq!(partial["items"][0]["metadata"]["annotations"]["converted-to"], "example.com/v2");
    let selected = cluster.get(&format!("{V2}?fieldSelector=spec.bounds.size%3D2")).await.expect(200).json();
    assert_eq!(
        (selected["items"].as_array().unwrap().len(), &selected["items"][0]["metadata"]["name"]),
        (1, &json!("b"))
    );
    let page = cluster.get(&format!("{V2}?limit=2")).await.expect(200).json();
    let rest = page["metadata"]["continue"].as_str().unwrap();
    let rest = cluster.get(&format!("{V2}?limit=2&continue={rest}")).await.expect(200).json();
    assert_eq!(rest["items"][0]["spec"]["bounds"]["size"], 3);
    assert!(server.take(CONVERT).is_empty(), "all of it was remembered");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_tell_of_converted_objects() {
    let (cluster, _server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let mut all = Lines::of(&cluster, &format!("{V2}?watch=true"), "application/json").await;
    let path = format!("{V2}?watch=true&fieldSelector=spec.bounds.size%3D7");
    let mut sevens = Lines::of(&cluster, &path, "application/json").await;
    let tables = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let mut tables = Lines::of(&cluster, &format!("{V2}?watch=true"), tables).await;
    let told = async |lines: &mut Lines| {
        let event = lines.next().await.unwrap();
        let object = &event["object"];
        (
            event["type"].as_str().unwrap().to_owned(),
            object["apiVersion"].clone(),
            object["spec"]["bounds"]["size"].clone(),
        )
    };
    let of = |kind: &str, size: i64| (kind.to_owned(), json!("example.com/v2"), json!(size));
    assert_eq!(told(&mut all).await, of("ADDED", 1));
    cluster.patch("merge", &format!("{V1}/a"), json!({"spec": {"size": 7}})).await.expect(200);
    assert_eq!(told(&mut all).await, of("MODIFIED", 7));
    assert_eq!(told(&mut sevens).await, of("ADDED", 7));
    cluster.patch("merge", &format!("{V1}/a"), json!({"spec": {"size": 8}})).await.expect(200);
    assert_eq!(told(&mut all).await, of("MODIFIED", 8));
    assert_eq!(told(&mut sevens).await, of("DELETED", 7));
    cluster.delete(&format!("{V1}/a")).await.expect(200);
    assert_eq!(told(&mut all).await, of("DELETED", 8));
    for size in [1, 7, 8] {
        let event = tables.next().await.unwrap();
        assert_eq!(event["object"]["rows"][0]["cells"], json!(["a", size]));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changes_its_webhook_begins_anew() {
    let (cluster, _first) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    cluster.get(&format!("{V2}/a")).await.expect(200);
    let mut watch = Lines::of(&cluster, &format!("{V2}?watch=true&resourceVersion=0"), "application/json").await;
    watch.next().await.unwrap();
    let other = Hooks::start().await;
    let inches = |object: &Value, wanted: &str| {
        let mut made = converted(object, wanted);
        made["spec"]["bounds"]["unit"] = json!("inch");
        made
    };
    other.set(CONVERT, makes(move |review| answer(review, inches)));
    redefine(&cluster, |own| own["spec"]["conversion"]["webhook"]["clientConfig"] = other.client(CONVERT)).await;
    until(&cluster, &format!("{V2}/a"), "the other webhook", |_, own| own["spec"]["bounds"]["unit"] == "inch").await;
    let ended = watch.next().await.unwrap();
    assert_eq!((&ended["type"], &ended["object"]["code"]), (&json!("ERROR"), &json!(410)));
    cluster.shutdown().await;
}
