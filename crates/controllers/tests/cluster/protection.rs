//! Claims and volumes that are in use.

use crate::{Cluster, names};
use api::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_claim_stays_until_no_pod_on_a_node_uses_it() {
    let cluster = Cluster::start_lagging();
    cluster.node("n1").await;
    for name in ["used", "wanted"] {
        cluster
            .create::<PersistentVolumeClaim>(json!({"metadata": {"name": name, "namespace": "default",
                "finalizers": ["kubernetes.io/pvc-protection"]}, "spec": {}}))
            .await;
    }
    let pod = |name: &str, claim: &str, node: Option<&str>| {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node, "containers": [],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}})
    };
    cluster.create::<Pod>(pod("holder", "used", Some("n1"))).await;
    cluster.create::<Pod>(pod("waiting", "wanted", None)).await;
    for name in ["used", "wanted"] {
        cluster.delete::<PersistentVolumeClaim>("default", name, None).await;
    }
    cluster.settle().await;
    assert_eq!(names(&cluster.fake.all::<PersistentVolumeClaim>()), ["used"]);
    cluster.ended("holder", "default").await;
    cluster.settle().await;
    assert_eq!(names(&cluster.fake.all::<PersistentVolumeClaim>()), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_stays_while_it_is_bound() {
    let cluster = Cluster::start_lagging();
    cluster
        .create::<PersistentVolume>(json!({"metadata": {"name": "v", "finalizers": ["kubernetes.io/pv-protection"]},
            "spec": {}, "status": {"phase": "Bound"}}))
        .await;
    cluster.delete::<PersistentVolume>("", "v", None).await;
    cluster.settle().await;
    assert_eq!(names(&cluster.fake.all::<PersistentVolume>()), ["v"]);
    let released = json!({"status": {"phase": "Released"}});
    cluster.merge::<PersistentVolume>("", "v", Some(api::Subresource::Status), released).await;
    cluster.settle().await;
    assert_eq!(names(&cluster.fake.all::<PersistentVolume>()), Vec::<String>::new());
    cluster.stop().await;
}
