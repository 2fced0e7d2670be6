//! Lists: selectors, pages of one revision, tables, metadata only, deletion as a whole.

use crate::cluster::Cluster;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn make(cluster: &Cluster, count: usize) {
    for index in 0..count {
        let parity = if index % 2 == 0 { "even" } else { "odd" };
        let body = json!({"metadata": {"name": format!("m-{index}"), "labels": {"parity": parity}}});
        cluster.post(MAPS, body).await.expect(201);
    }
}

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_select() {
    let cluster = Cluster::start().await;
    make(&cluster, 5).await;
    for (query, wanted) in [
        ("labelSelector=parity%3Dodd", vec!["m-1", "m-3"]),
        ("labelSelector=parity+in+(even)", vec!["m-0", "m-2", "m-4"]),
        ("labelSelector=parity&fieldSelector=metadata.name%3Dm-3", vec!["m-3"]),
        ("labelSelector=parity&fieldSelector=metadata.name!%3Dm-3", vec!["m-0", "m-1", "m-2", "m-4"]),
    ] {
        let list = cluster.get(&format!("{MAPS}?{query}")).await.expect(200).json();
        assert_eq!(names(&list), wanted, "{query}");
    }
    cluster.get(&format!("{MAPS}?fieldSelector=spec.x%3D1")).await.expect(400);
    cluster.get(&format!("{MAPS}?labelSelector=a+b+c")).await.expect(400);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_revision() {
    let cluster = Cluster::start().await;
    make(&cluster, 7).await;
    let selector = "labelSelector=parity";
    let all = cluster.get(&format!("{MAPS}?{selector}")).await.expect(200).json();
    let first = cluster.get(&format!("{MAPS}?limit=3")).await.expect(200).json();
    let total = cluster.get(MAPS).await.expect(200).json()["items"].as_array().unwrap().len();
    assert_eq!(first["metadata"]["remainingItemCount"], total - 3);
    let mut seen = names(&first);
    let mut token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    cluster.delete(&format!("{MAPS}/m-5")).await.expect(200);
    cluster.post(MAPS, json!({"metadata": {"name": "m-9"}})).await.expect(201);
    while !token.is_empty() {
        let page = cluster.get(&format!("{MAPS}?limit=3&continue={token}")).await.expect(200).json();
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&page));
        token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    }
    for name in names(&all) {
        assert!(seen.contains(&name), "{name} was there when the list began: {seen:?}");
    }
    assert!(!seen.contains(&"m-9".to_owned()), "{seen:?}");
    cluster.get(&format!("{MAPS}?limit=3&continue=x")).await.expect(400);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_lists_arrive_whole() {
    let cluster = Cluster::start().await;
    for index in 0..12 {
        let body = json!({"metadata": {"name": format!("l-{index}")}, "data": {"k": "x".repeat(200_000)}});
        cluster.post(MAPS, body).await.expect(201);
    }
    let answer = cluster.get(MAPS).await.expect(200);
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let list = answer.json();
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(names(&list).iter().filter(|name| name.starts_with("l-")).count(), 12);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_as_tables_and_as_metadata() {
    let cluster = Cluster::start().await;
    make(&cluster, 2).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let path = format!("{MAPS}?labelSelector=parity");
    let table = cluster.send("GET", &path, &[("accept", accept)], "").await.expect(200).json();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][1]["cells"][0], "m-1");
    assert_eq!(table["rows"][1]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["rows"][1]["object"]["metadata"]["labels"]["parity"], "odd");
    let bare = format!("{path}&includeObject=None");
    let bare = cluster.send("GET", &bare, &[("accept", accept)], "").await.expect(200).json();
    assert!(bare["rows"][0].get("object").is_none());
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let partial = cluster.send("GET", &path, &[("accept", accept)], "").await.expect(200).json();
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert!(partial["items"][0]["metadata"]["resourceVersion"].is_string());
    assert!(partial["items"][0].get("data").is_none());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_deleted_by_selector() {
    let cluster = Cluster::start().await;
    make(&cluster, 6).await;
    let deleted = cluster.delete(&format!("{MAPS}?labelSelector=parity%3Deven")).await.expect(200).json();
    assert_eq!(names(&deleted), ["m-0", "m-2", "m-4"]);
    let left = cluster.get(&format!("{MAPS}?labelSelector=parity")).await.expect(200).json();
    assert_eq!(names(&left), ["m-1", "m-3", "m-5"]);
    cluster.shutdown().await;
}
