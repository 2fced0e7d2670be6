//! What small plugins do to writes, through the API.

use crate::cluster::Cluster;
use serde_json::{Value, json};

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn claim(name: &str, class: &str, size: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "resources": {"requests": {"storage": size}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_protected_and_grow_only_by_their_class() {
    let cluster = Cluster::start().await;
    for (name, grows) in [("rigid", false), ("elastic", true)] {
        let class = json!({"metadata": {"name": name}, "provisioner": "x", "allowVolumeExpansion": grows});
        cluster.post("/apis/storage.k8s.io/v1/storageclasses", class).await.expect(201);
        let made = cluster.post(CLAIMS, claim(name, name, "1Gi")).await.expect(201).json();
        assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    }
    let merge = [("content-type", "application/merge-patch+json")];
    let bigger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}).to_string();
    let resize = async |name: &str| cluster.send("PATCH", &format!("{CLAIMS}/{name}"), &merge, bigger.clone()).await;
    // What is not bound is refused by the kind's own rules before any plugin is asked.
    for name in ["rigid", "elastic"] {
        assert_eq!(resize(name).await.code, 422);
        let bound = json!({"status": {"phase": "Bound"}}).to_string();
        cluster.send("PATCH", &format!("{CLAIMS}/{name}/status"), &merge, bound).await.expect(200);
    }
    assert_eq!(
        resize("rigid").await.expect(403).message(),
        "persistentvolumeclaims \"rigid\" is forbidden: only dynamically provisioned pvc can be resized and the \
         storageclass that provisions the pvc must support resize"
    );
    resize("elastic").await.expect(200);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_is_tainted_and_its_pods_know_its_zone() {
    let cluster = Cluster::start().await;
    let node = json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1", "other": "x"}}});
    let node = cluster.post("/api/v1/nodes", node).await.expect(201).json();
    assert_eq!(node["spec"]["taints"], json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]));
    let account = json!({"metadata": {"name": "default"}});
    cluster.post("/api/v1/namespaces/default/serviceaccounts", account).await.expect(201);
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    cluster.post(pods, pod).await.expect(201);
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    cluster.post(&format!("{pods}/p/binding"), binding).await.expect(201);
    let bound = cluster.get(&format!("{pods}/p")).await.expect(200).json();
    assert_eq!(bound["metadata"]["labels"], json!({"topology.kubernetes.io/zone": "z1"}));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_is_warned_of() {
    let cluster = Cluster::start().await;
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}], "externalName": "x"}});
    let answer = cluster.post("/api/v1/namespaces/default/services", service).await.expect(201);
    let text = "spec.externalName is ignored when spec.type is not \\\"ExternalName\\\"";
    assert!(answer.header("warning").contains(text), "{}", answer.header("warning"));
    cluster.shutdown().await;
}
