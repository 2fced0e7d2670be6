//! The in-process client beside the one over TLS: one state, whoever writes.

use crate::cluster::Cluster;
use api::Reason;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}})).unwrap()
}

/// Waits for one change; others may come first.
async fn heard(changes: &mut client::Changes<ConfigMap>, wanted: &str) {
    loop {
        let change = changes.next().await;
        let sign = if change.new.is_some() { '+' } else { '-' };
        if format!("{sign}{}", change.key) == wanted {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_shares_the_state_with_outside_clients() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    let cache = client.cache::<ConfigMap>();
    cache.synced().await;
    let mut changes = cache.changes();
    while changes.try_next().is_some() {}
    let created = client.create(&map("inside")).await.unwrap();
    let seen = cluster.get(&format!("{MAPS}/inside")).await.expect(200).json();
    assert_eq!(seen["metadata"]["uid"].as_str(), created.metadata.uid.as_deref());
    heard(&mut changes, "+default/inside").await;
    cluster.post(MAPS, json!({"metadata": {"name": "outside"}})).await.expect(201);
    heard(&mut changes, "+default/outside").await;
    cluster.delete(&format!("{MAPS}/inside")).await.expect(200);
    heard(&mut changes, "-default/inside").await;
    assert_eq!(client.create(&map("outside")).await.unwrap_err().reason, Reason::AlreadyExists);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_goes_in_and_out() {
    let cluster = Cluster::start().await;
    let message = "k8s.io.api.core.v1.ConfigMap";
    let proto = "application/vnd.kubernetes.protobuf";
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"k": "v"}});
    let body = api::schema::proto::encode(message, &object).unwrap();
    let created = cluster.send("POST", MAPS, &[("content-type", proto), ("accept", proto)], body).await.expect(201);
    assert_eq!(created.header("content-type"), proto);
    let read = cluster.send("GET", &format!("{MAPS}/p"), &[("accept", proto)], "").await.expect(200);
    let value = api::schema::proto::decode(message, &read.body).unwrap();
    assert_eq!(value, cluster.get(&format!("{MAPS}/p")).await.expect(200).json());
    let list = cluster.send("GET", MAPS, &[("accept", proto)], "").await.expect(200);
    let list = api::schema::proto::decode(&format!("{message}List"), &list.body).unwrap();
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["metadata"]["name"] == "p"), "{list}");
    cluster.send("POST", MAPS, &[("content-type", proto)], "no protobuf").await.expect(400);
    cluster.shutdown().await;
}
