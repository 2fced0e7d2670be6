//! Where pods may go: PodNodeSelector, PodTolerationRestriction, ExtendedResourceToleration and
//! LimitPodHardAntiAffinityTopology.

use super::{PODS, account, pod, with};
use crate::cluster::Cluster;
use serde_json::{Value, json};

const SELECTORS: &str = "
- name: PodNodeSelector
  configuration:
    podNodeSelectorPluginConfig:
      clusterDefaultNodeSelector: env=dev
      narrow: env=dev,disk=fast
";
const TOLERATIONS: &str = "
- name: PodTolerationRestriction
  configuration:
    apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1
    kind: Configuration
    default: [{key: shared, operator: Exists}]
    whitelist: [{key: shared, operator: Exists}, {key: own, operator: Exists},
      {key: node.kubernetes.io/memory-pressure, operator: Exists}, {key: node.kubernetes.io/not-ready, operator: Exists},
      {key: node.kubernetes.io/unreachable, operator: Exists}]
";

async fn namespace(cluster: &Cluster, name: &str, annotations: Value) {
    let namespace = json!({"metadata": {"name": name, "annotations": annotations}});
    cluster.post("/api/v1/namespaces", namespace).await.expect(201);
    account(cluster, name).await;
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_go_to_the_nodes_of_their_namespace() {
    let cluster = with(&["PodNodeSelector"], SELECTORS).await;
    namespace(&cluster, "west", json!({"scheduler.alpha.kubernetes.io/node-selector": "region=west"})).await;
    namespace(&cluster, "narrow", json!({})).await;
    namespace(&cluster, "broken", json!({"scheduler.alpha.kubernetes.io/node-selector": "region"})).await;
    let selector = |labels: Value| json!({"nodeSelector": labels});
    for (space, own, left) in [
        ("default", json!({}), json!({"env": "dev"})),
        ("default", json!({"disk": "slow"}), json!({"disk": "slow", "env": "dev"})),
        ("west", json!({}), json!({"region": "west"})),
        ("narrow", json!({"disk": "fast"}), json!({"disk": "fast", "env": "dev"})),
    ] {
        let path = format!("{}?dryRun=All", pods(space));
        let made = cluster.post(&path, pod("p", selector(own.clone()))).await.expect(201).json();
        assert_eq!(made["spec"]["nodeSelector"], left, "{space} {own}");
    }
    for (space, own, says) in [
        ("default", json!({"env": "live"}), "pod node label selector conflicts with its namespace node label selector"),
        ("narrow", json!({"disk": "slow"}), "pod node label selector labels conflict with its namespace whitelist"),
    ] {
        let refused = cluster.post(&pods(space), pod("p", selector(own))).await.expect(403).message();
        assert_eq!(refused, format!("pods \"p\" is forbidden: {says}"));
    }
    let refused = cluster.post(&pods("broken"), pod("p", json!({}))).await.expect(500).message();
    assert_eq!(refused, "invalid selector: [region]");
    cluster.shutdown().await;
}

/// Keys of the tolerations that a tried pod is left with.
async fn keys(cluster: &Cluster, space: &str, spec: Value) -> Vec<String> {
    let path = format!("{}?dryRun=All", pods(space));
    let made = cluster.post(&path, pod("p", spec)).await.expect(201).json();
    let all = made["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let keys = all.iter().map(|own| own["key"].as_str().unwrap_or_default().to_owned());
    // Those of every pod are not these plugins'.
    keys.filter(|key| !key.ends_with("not-ready") && !key.ends_with("unreachable")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_tolerate_what_their_namespace_says_and_allows() {
    let cluster = with(&["PodTolerationRestriction"], TOLERATIONS).await;
    let defaults = json!([{"key": "own", "value": "a", "effect": "NoSchedule"}]).to_string();
    namespace(&cluster, "own", json!({"scheduler.alpha.kubernetes.io/defaultTolerations": defaults})).await;
    namespace(
        &cluster,
        "free",
        json!({"scheduler.alpha.kubernetes.io/tolerationsWhitelist": "",
        "scheduler.alpha.kubernetes.io/defaultTolerations": ""}),
    )
    .await;
    assert_eq!(keys(&cluster, "default", json!({})).await, ["shared"]);
    let wide = json!({"tolerations": [{"key": "own", "operator": "Exists"}]});
    assert_eq!(keys(&cluster, "own", wide.clone()).await, ["own"], "the wider one says it all");
    let promised = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"memory": "1Mi"}}}]});
    let keys_of_promised = keys(&cluster, "own", promised).await;
    assert_eq!(keys_of_promised, ["own", "node.kubernetes.io/memory-pressure"]);
    let other = json!({"tolerations": [{"key": "other", "operator": "Exists"}]});
    let refused = cluster.post(PODS, pod("p", other.clone())).await.expect(500).message();
    assert_eq!(
        refused,
        "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist"
    );
    assert_eq!(keys(&cluster, "free", other).await, ["other"]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_device_tolerates_its_taint() {
    let cluster = with(&["ExtendedResourceToleration"], "").await;
    let asks = |resources: Value| json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": resources, "limits": resources}}]});
    let gpu = asks(json!({"example.com/gpu": "1", "example.com/fpga": "1", "cpu": "1"}));
    let path = format!("{PODS}?dryRun=All");
    let made = cluster.post(&path, pod("p", gpu)).await.expect(201).json();
    let own: Vec<Value> = made["spec"]["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|own| own["key"].as_str().unwrap().starts_with("example.com/"))
        .cloned()
        .collect();
    let wanted = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoSchedule"});
    assert_eq!(own, [wanted("example.com/fpga"), wanted("example.com/gpu")]);
    assert_eq!(keys(&cluster, "default", asks(json!({"cpu": "1"}))).await, Vec::<String>::new());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_keep_others_off_their_node_and_no_more() {
    let cluster = with(&["LimitPodHardAntiAffinityTopology"], "").await;
    let apart = |key: &str| {
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": key, "labelSelector": {"matchLabels": {"a": "b"}}}]}}})
    };
    let refused = cluster.post(PODS, pod("p", apart("zone"))).await.expect(403).message();
    assert_eq!(
        refused,
        "pods \"p\" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key \
         kubernetes.io/hostname is allowed"
    );
    cluster.post(PODS, pod("p", apart("kubernetes.io/hostname"))).await.expect(201);
    cluster.shutdown().await;
}
