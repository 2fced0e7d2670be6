//! The stored version changes: objects are read of both, and written again in the new one.

use super::{CONVERT, NAME, V1, V2, first, redefine, start};
use crate::custom::{DEFINITIONS, until};
use serde_json::{Value, json};

fn store_second(own: &mut Value) {
    own["spec"]["versions"][0]["storage"] = json!(false);
    own["spec"]["versions"][1]["storage"] = json!(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_dropped_when_nothing_is_stored_in_it() {
    let (cluster, server) = start().await;
    let mut own = first("a", 1);
    own["spec"]["color"] = json!("red");
    cluster.post(V1, own).await.expect(201);
    let path = format!("{DEFINITIONS}/{NAME}");
    redefine(&cluster, store_second).await;
    let both = cluster.get(&path).await.expect(200).json();
    assert_eq!(both["status"]["storedVersions"], json!(["v1", "v2"]));
    let read = until(&cluster, &format!("{V2}/a"), "the object", |code, _| code == 200).await;
    assert_eq!(read["spec"]["bounds"]["size"], 1);
    let mut dropped = both.clone();
    dropped["spec"]["versions"].as_array_mut().unwrap().remove(0);
    let refused = cluster.put(&path, dropped).await.expect(422).message();
    let says = "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage \
                version, and must remain in spec.versions until a storage migration ensures no data remains persisted \
                in v1 and removes v1 from status.storedVersions";
    assert_eq!(refused, format!("CustomResourceDefinition.apiextensions.k8s.io \"{NAME}\" is invalid: {says}"));
    // Writing the same again stores it anew, once.
    let written = cluster.put(&format!("{V2}/a"), read.clone()).await.expect(200).json();
    assert_ne!(written["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    assert_eq!(written["metadata"]["generation"], read["metadata"]["generation"]);
    let again = cluster.put(&format!("{V2}/a"), written.clone()).await.expect(200).json();
    assert_eq!(again["metadata"]["resourceVersion"], written["metadata"]["resourceVersion"]);
    server.take(CONVERT);
    cluster.get(&format!("{V2}/a")).await.expect(200);
    assert!(server.take(CONVERT).is_empty(), "it is stored as it is shown");
    let status = json!({"status": {"storedVersions": ["v2"]}});
    cluster.patch("merge", &format!("{path}/status"), status).await.expect(200);
    let mut own = cluster.get(&path).await.expect(200).json();
    own["spec"]["versions"].as_array_mut().unwrap().remove(0);
    cluster.put(&path, own).await.expect(200);
    until(&cluster, V1, "the end of the version", |code, _| code == 404).await;
    cluster.get(&format!("{V2}/a")).await.expect(200);
    cluster.shutdown().await;
}
