//! Unmodified clients: kubectl reads and writes each version.

use super::{first, second, start};
use crate::programs::{Client, Program};
use serde_json::json;

async fn speaks_both(client: Client) {
    let (cluster, _server) = start().await;
    let Some(kubectl) = Program::of(&cluster, client) else { return };
    kubectl.file("first.yaml", first("a", 1).to_string());
    kubectl.file("second.yaml", second("b", 2).to_string());
    for file in ["first.yaml", "second.yaml"] {
        kubectl.run(&["apply", "-f", file]).await.expect_ok();
    }
    for (version, path) in [("v1", "{.spec.size}"), ("v2", "{.spec.bounds.size}")] {
        for (name, size) in [("a", "1"), ("b", "2")] {
            let resource = format!("boxes.{version}.example.com");
            let path = format!("jsonpath={{.apiVersion}} {path}");
            let said = kubectl.run(&["get", &resource, name, "-o", &path]).await.expect_ok();
            assert_eq!(said, format!("example.com/{version} {size}"));
            let table = kubectl.run(&["get", &resource]).await.expect_ok();
            assert!(table.contains("SIZE"), "{table}");
        }
    }
    kubectl.file("third.yaml", second("a", 3).to_string());
    kubectl.run(&["apply", "--server-side", "--force-conflicts", "-f", "third.yaml"]).await.expect_ok();
    let said = kubectl.run(&["get", "boxes.v1.example.com", "a", "-o", "jsonpath={.spec.size}"]).await.expect_ok();
    assert_eq!(said, "3");
    kubectl
        .run(&[
            "patch",
            "boxes.v2.example.com",
            "a",
            "--type=merge",
            "-p",
            &json!({"spec": {"bounds": {"size": 4}}}).to_string(),
        ])
        .await
        .expect_ok();
    let said = kubectl.run(&["explain", "boxes.spec.bounds", "--api-version=example.com/v2"]).await.expect_ok();
    assert!(said.contains("unit"), "{said}");
    kubectl.run(&["delete", "boxes.v2.example.com", "--all"]).await.expect_ok();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_speaks_both_versions() {
    speaks_both(Client::Kubectl132).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_kubectl_speaks_both_versions() {
    speaks_both(Client::Kubectl137).await;
}
