//! One object's life: create, read, change, delete, and every refusal on the way.

use crate::cluster::{Cluster, http};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_lives() {
    let cluster = Cluster::start().await;
    let created = cluster.post(MAPS, map("a", json!({"k": "1"}))).await.expect(201).json();
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    let read = cluster.get(&format!("{MAPS}/a")).await.expect(200);
    assert_eq!(read.header("content-type"), "application/json");
    assert_eq!(read.json(), created);

    let mut changed = created.clone();
    changed["data"]["k"] = json!("2");
    let updated = cluster.put(&format!("{MAPS}/a"), changed.clone()).await.expect(200).json();
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    changed["data"]["k"] = json!("3");
    let stale = cluster.put(&format!("{MAPS}/a"), changed.clone()).await.expect(409);
    assert_eq!(
        stale.message(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );
    let same = cluster.put(&format!("{MAPS}/a"), updated.clone()).await.expect(200).json();
    assert_eq!(same, updated, "a write that changes nothing keeps the revision");

    let merged = cluster.patch("merge", &format!("{MAPS}/a"), json!({"data": {"n": "x", "k": null}})).await;
    assert_eq!(merged.expect(200).json()["data"], json!({"n": "x"}));
    let operations = json!([{"op": "test", "path": "/data/n", "value": "x"},
        {"op": "add", "path": "/data/m", "value": "y"}]);
    let patched = cluster.patch("json", &format!("{MAPS}/a"), operations.clone()).await.expect(200).json();
    assert_eq!(patched["data"], json!({"n": "x", "m": "y"}));
    let missing = json!([{"op": "remove", "path": "/data/none"}]);
    cluster.patch("json", &format!("{MAPS}/a"), missing).await.expect(422);
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    cluster.patch("strategic-merge", &format!("{MAPS}/a"), labelled).await.expect(200);

    let gone = cluster.delete(&format!("{MAPS}/a")).await.expect(200).json();
    assert_eq!(gone["status"], "Success");
    assert_eq!(gone["details"]["uid"], created["metadata"]["uid"]);
    let absent = cluster.get(&format!("{MAPS}/a")).await.expect(404);
    assert_eq!(absent.message(), "configmaps \"a\" not found");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_apart() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, map("a", json!({}))).await.expect(201);
    let again = cluster.post(MAPS, map("a", json!({}))).await.expect(409);
    assert_eq!(again.json()["reason"], "AlreadyExists");
    let unnamed = cluster.post(MAPS, json!({"metadata": {}})).await.expect(422);
    assert!(unnamed.message().contains("name or generateName is required"), "{}", unnamed.message());
    cluster.post(MAPS, map("Bad_Name", json!({}))).await.expect(422);
    let elsewhere = json!({"metadata": {"name": "x", "namespace": "other"}});
    let elsewhere = cluster.post(MAPS, elsewhere).await.expect(400);
    assert!(elsewhere.message().contains("does not match the namespace sent on the request"));
    let other = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}});
    cluster.post(MAPS, other).await.expect(400);
    let version = json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let version = cluster.post(MAPS, version).await.expect(400).message();
    assert_eq!(version, "the API version in the data (v2) does not match the expected API version (v1)");
    cluster.send("POST", MAPS, &[("content-type", "application/json")], "{").await.expect(400);
    cluster.send("POST", MAPS, &[("content-type", "text/plain")], "{}").await.expect(415);
    cluster.send("GET", MAPS, &[("accept", "text/html")], "").await.expect(406);
    cluster.send("OPTIONS", MAPS, &[], "").await.expect(405);
    cluster.post(&format!("{MAPS}/a"), json!({})).await.expect(405);
    cluster.get("/api/v1/namespaces/default/nothings").await.expect(404);
    cluster.get("/nowhere").await.expect(404);
    let nowhere = "/api/v1/namespaces/nowhere/configmaps";
    let absent = cluster.post(nowhere, map("x", json!({}))).await.expect(404);
    assert_eq!(absent.message(), "namespaces \"nowhere\" not found");
    let large = map("x", json!({"k": "x".repeat(3 << 20)}));
    let large = cluster.post(MAPS, large).await.expect(413);
    assert_eq!(large.message(), "Request entity too large: limit is 3145728");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_ignored_warned_of_or_refused() {
    let cluster = Cluster::start().await;
    let odd = r#"{"metadata":{"name":"NAME"},"nonsense":1,"data":{"k":"1","k":"2"}}"#;
    let body = |name: &str| odd.replace("NAME", name);
    let json = [("content-type", "application/json")];
    let warned = cluster.send("POST", MAPS, &json, body("w")).await.expect(201);
    let warnings: Vec<_> = warned.headers.get_all("warning").iter().collect();
    assert_eq!(warnings, [r#"299 - "unknown field \"nonsense\"""#, r#"299 - "duplicate field \"data.k\"""#]);
    let ignored = cluster.send("POST", &format!("{MAPS}?fieldValidation=Ignore"), &json, body("i")).await.expect(201);
    assert!(ignored.headers.get("warning").is_none());
    let strict = cluster.send("POST", &format!("{MAPS}?fieldValidation=Strict"), &json, body("s")).await.expect(400);
    assert_eq!(
        strict.message(),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
         unknown field \"nonsense\", duplicate field \"data.k\""
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_nothing_behind() {
    let cluster = Cluster::start().await;
    let tried = cluster.post(&format!("{MAPS}?dryRun=All"), map("d", json!({"k": "1"}))).await.expect(201).json();
    assert!(tried["metadata"]["uid"].is_string());
    assert!(tried["metadata"]["resourceVersion"].is_null());
    cluster.get(&format!("{MAPS}/d")).await.expect(404);
    cluster.post(&format!("{MAPS}?dryRun=Some"), map("d", json!({}))).await.expect(422);
    cluster.post(MAPS, map("d", json!({"k": "1"}))).await.expect(201);
    let tried = cluster.patch("merge", &format!("{MAPS}/d?dryRun=All"), json!({"data": {"k": "2"}})).await;
    assert_eq!(tried.expect(200).json()["data"]["k"], "2");
    cluster.delete(&format!("{MAPS}/d?dryRun=All")).await.expect(200);
    let read = cluster.get(&format!("{MAPS}/d")).await.expect(200).json();
    assert_eq!(read["data"]["k"], "1");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_is_read_and_written() {
    let cluster = Cluster::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  k: \"1\"\n";
    cluster.send("POST", MAPS, &[("content-type", "application/yaml")], yaml).await.expect(201);
    let read = cluster.send("GET", &format!("{MAPS}/yaml"), &[("accept", "application/yaml")], "").await.expect(200);
    assert_eq!(read.header("content-type"), "application/yaml");
    assert!(String::from_utf8_lossy(&read.body).contains("kind: ConfigMap\n"));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_only_what_is_public() {
    let cluster = Cluster::start().await;
    let nobody = http(&cluster.pki, None);
    for (path, code) in [("/version", 200), ("/readyz", 200), (MAPS, 403), ("/metrics", 403)] {
        let response = cluster.open(&nobody, "GET", path, &[], "").await;
        assert_eq!(response.status().as_u16(), code, "{path}");
        if path == MAPS {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let status: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                status["message"],
                "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API \
                 group \"\" in the namespace \"default\""
            );
        }
    }
    let wrong = cluster.open(&nobody, "GET", MAPS, &[("authorization", "Bearer wrong")], "").await;
    assert_eq!(wrong.status(), 401);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_creates_and_replaces_as_its_kind_allows() {
    let cluster = Cluster::start().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = |holder: &str| json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": holder}});
    let mut known = lease("a");
    known["metadata"]["uid"] = json!("u");
    cluster.put(&format!("{leases}/l"), known).await.expect(409);
    let created = cluster.put(&format!("{leases}/l"), lease("a")).await.expect(201).json();
    let refused = cluster.put(&format!("{leases}/l"), lease("b")).await.expect(422);
    assert_eq!(
        refused.message(),
        "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for \
         an update"
    );
    let mut next = created;
    next["spec"]["holderIdentity"] = json!("b");
    cluster.put(&format!("{leases}/l"), next).await.expect(200);
    cluster.put(&format!("{MAPS}/none"), map("none", json!({}))).await.expect(404);
    cluster.post(MAPS, map("m", json!({}))).await.expect(201);
    cluster.put(&format!("{MAPS}/m"), map("m", json!({"k": "v"}))).await.expect(200);
    cluster.shutdown().await;
}
