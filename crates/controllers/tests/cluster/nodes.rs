//! Nodes: ranges of pod addresses.

use crate::Cluster;
use k8s_openapi::api::core::v1::{Event, Node};
use serde_json::json;

use api::k8s_openapi;

fn cidr(cluster: &Cluster, node: &str) -> Option<String> {
    let spec = cluster.get::<Node>("", node)?.spec?;
    assert_eq!(spec.pod_cidrs, spec.pod_cidr.clone().map(|one| vec![one]));
    spec.pod_cidr
}

#[tokio::test(start_paused = true)]
async fn every_node_gets_a_range_of_its_own_and_a_range_is_used_again() {
    let cluster = Cluster::start_lagging();
    cluster.create::<Node>(json!({"metadata": {"name": "old"}, "spec": {"podCIDR": "10.42.0.0/22", "podCIDRs": ["10.42.0.0/22"]}})).await;
    cluster.create::<Node>(json!({"metadata": {"name": "new"}})).await;
    cluster.create::<Node>(json!({"metadata": {"name": "late"}})).await;
    cluster.settle().await;
    let mut given = [cidr(&cluster, "new"), cidr(&cluster, "late")];
    given.sort();
    assert_eq!(given, [None, Some("10.42.4.0/22".to_owned())], "the range has room for two");
    let events = cluster.fake.all::<Event>();
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("CIDRNotAvailable")), "{events:?}");
    cluster.delete::<Node>("", "old", None).await;
    cluster.settle().await;
    let mut given = [cidr(&cluster, "new"), cidr(&cluster, "late")];
    given.sort();
    assert_eq!(given, [Some("10.42.0.0/22".to_owned()), Some("10.42.4.0/22".to_owned())]);
    cluster.stop().await;
}
