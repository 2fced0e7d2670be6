//! Answers in the form that suits who reads them, and patches that are read as strictly as objects.

use crate::cluster::{Answer, Cluster};
use crate::custom::{WIDGETS, definition, establish, widget};
use api::schema::proto;
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use serde_json::json;
use std::io::Read;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn unzipped(answer: &Answer) -> String {
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut text = String::new();
    GzDecoder::new(&*answer.body).read_to_string(&mut text).unwrap();
    text
}

/// The server writes objects of its own meanwhile, and a list has the newest revision.
fn without_revision(json: &[u8]) -> serde_json::Value {
    let mut read: serde_json::Value = serde_json::from_slice(json).unwrap();
    read["metadata"] = json!(null);
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_compressed_for_who_takes_it() {
    let cluster = Cluster::start().await;
    let gzip = [("accept-encoding", "gzip")];
    for name in ["a", "b", "c"] {
        let body = json!({"metadata": {"name": name}, "data": {"text": "lorem ipsum ".repeat(10_000)}});
        cluster.post(MAPS, body).await.expect(201);
    }
    for path in [MAPS, "/openapi/v2", "/openapi/v3/api/v1"] {
        let plain = cluster.get(path).await.expect(200);
        let varies = plain.headers.get_all("vary").iter().any(|value| value == "Accept-Encoding");
        assert_eq!((plain.header("content-encoding"), varies), ("", true), "{path}");
        let zipped = cluster.send("GET", path, &gzip, "").await.expect(200);
        assert!(zipped.body.len() < plain.body.len() / 2, "{path}: {} bytes", zipped.body.len());
        assert_eq!(without_revision(unzipped(&zipped).as_bytes()), without_revision(&plain.body), "{path}");
    }
    let small = cluster.send("GET", "/api/v1/namespaces/default", &gzip, "").await.expect(200);
    assert_eq!(small.header("content-encoding"), "");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_a_line_for_each_value() {
    let cluster = Cluster::start().await;
    let path = "/api/v1/namespaces/default";
    let compact = cluster.get(path).await.expect(200);
    let curl = [("user-agent", "curl/8.5.0")];
    for (query, headers) in [("?pretty=true", &[][..]), ("?pretty=1", &[]), ("", &curl)] {
        let pretty = cluster.send("GET", &format!("{path}{query}"), headers, "").await.expect(200);
        assert!(pretty.body.starts_with(b"{\n  \"apiVersion\": \"v1\",\n"), "{:?}", pretty.body);
        assert_eq!(pretty.json(), compact.json());
    }
    let plain = cluster.send("GET", &format!("{path}?pretty=false"), &curl, "").await.expect(200);
    assert_eq!(plain.body, compact.body);
    let list = cluster.get(&format!("{MAPS}?pretty=true")).await.expect(200);
    assert!(list.body.starts_with(b"{\n  \"kind\": \"ConfigMapList\""), "{:?}", list.body);
    let refused = cluster.get(&format!("{MAPS}/none?pretty=true")).await.expect(404);
    assert!(refused.body.starts_with(b"{\n"), "{:?}", refused.body);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_are_read_as_strictly_as_objects() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "a"}, "data": {"k": "0"}})).await.expect(201);
    let twice = r#"{"data":{"k":"1","k":"2"}}"#;
    for kind in ["merge", "strategic-merge"] {
        let content = format!("application/{kind}-patch+json");
        let content = [("content-type", content.as_str())];
        let strict = format!("{MAPS}/a?fieldValidation=Strict");
        let refused = cluster.send("PATCH", &strict, &content, twice).await.expect(422);
        let message = refused.message();
        assert!(message.starts_with(" \"\" is invalid: patch: Invalid value: "), "{message}");
        assert!(message.ends_with("strict decoding error: duplicate field \"data.k\""), "{message}");
        let unknown = cluster.send("PATCH", &strict, &content, r#"{"dat":{}}"#).await.expect(422).message();
        assert!(unknown.ends_with("strict decoding error: unknown field \"dat\""), "{unknown}");
        let warned = cluster.send("PATCH", &format!("{MAPS}/a"), &content, twice).await.expect(200);
        assert_eq!(warned.header("warning"), r#"299 - "duplicate field \"data.k\"""#);
        let ignored = format!("{MAPS}/a?fieldValidation=Ignore");
        let ignored = cluster.send("PATCH", &ignored, &content, twice).await.expect(200);
        assert_eq!(ignored.header("warning"), "");
        assert_eq!(ignored.json()["data"], json!({"k": "2"}));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_kind_scales_without_a_version() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    cluster.post(WIDGETS, widget("w", json!({"size": 1, "replicas": 1}))).await.expect(201);
    let path = format!("{WIDGETS}/w/scale");
    let mut wanted = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "w", "namespace": "default"}, "spec": {"replicas": 3}});
    let scaled = cluster.put(&path, wanted.clone()).await.expect(200).json();
    assert_eq!(scaled["spec"]["replicas"], 3);
    wanted["metadata"]["resourceVersion"] = json!("1");
    cluster.put(&path, wanted).await.expect(409);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_to_who_asks_for_the_head() {
    let cluster = Cluster::start().await;
    let answer = cluster.send("HEAD", "/livez", &[], "").await.expect(200);
    assert!(answer.body.is_empty(), "{:?}", answer.body);
    let report = cluster.get("/livez?verbose&exclude=nothing").await.expect(200);
    let text = String::from_utf8(report.body.to_vec()).unwrap();
    assert!(text.contains("warn: some health checks cannot be excluded: no matches for \"nothing\"\n"), "{text}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_alone_has_a_protobuf_form_for_every_kind() {
    const MESSAGE: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata";
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let body = json!({"metadata": {"name": "w", "labels": {"a": "b"}}, "data": {"k": "v"}});
    cluster.post(MAPS, body).await.expect(201);
    cluster.post(WIDGETS, widget("w", json!({"size": 1}))).await.expect(201);
    for path in [MAPS, WIDGETS] {
        let form = |media: &str, list: &str| format!("{media};as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1");
        let get = async |path: &str, media: &str, list: &str| {
            cluster.send("GET", path, &[("accept", &form(media, list))], "").await.expect(200)
        };
        let (json, protobuf) = ("application/json", "application/vnd.kubernetes.protobuf");
        let one = format!("{path}/w");
        let wanted = get(&one, json, "").await.json();
        let answer = get(&one, protobuf, "").await;
        assert_eq!(answer.header("content-type"), protobuf);
        assert_eq!(proto::decode(MESSAGE, &answer.body).unwrap(), wanted, "{path}");

        let selected = format!("{path}?fieldSelector=metadata.name%3Dw");
        let answer = get(&selected, protobuf, "List").await;
        let list = proto::decode(&format!("{MESSAGE}List"), &answer.body).unwrap();
        assert_eq!(
            (&list["kind"], &list["apiVersion"]),
            (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1"))
        );
        assert_eq!(list["items"], json!([{"metadata": wanted["metadata"]}]), "{path}");

        let watch = format!("{selected}&watch=true");
        let accept = form(protobuf, "");
        let mut response = cluster.open(&cluster.http, "GET", &watch, &[("accept", &accept)], "").await;
        assert_eq!(response.headers()["content-type"], format!("{protobuf};stream=watch"));
        let wanted = proto::watch_frame("ADDED", &proto::encode(MESSAGE, &wanted).unwrap());
        let mut seen = Vec::new();
        while seen.len() < wanted.len() {
            let frame = response.body_mut().frame().await.expect("the watch goes on").unwrap();
            seen.extend_from_slice(&frame.into_data().unwrap());
        }
        assert_eq!(seen, wanted, "{path}");
    }
    cluster.shutdown().await;
}
