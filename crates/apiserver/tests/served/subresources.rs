//! Status, scale, binding, eviction, finalize, token, reviews, and what services are given.

use crate::cluster::Cluster;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

async fn account(cluster: &Cluster) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    cluster.post(accounts, json!({"metadata": {"name": "default"}})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_spec_are_written_apart() {
    let cluster = Cluster::start().await;
    account(&cluster).await;
    cluster.post(PODS, pod("p")).await.expect(201);
    let status = json!({"status": {"phase": "Running"}, "metadata": {"labels": {"app": "y"}}});
    let patched = cluster.patch("strategic-merge", &format!("{PODS}/p/status"), status).await.expect(200).json();
    assert_eq!(patched["status"]["phase"], "Running");
    let sneaked =
        cluster.patch("merge", &format!("{PODS}/p"), json!({"status": {"phase": "Failed"}})).await.expect(200);
    assert_eq!(sneaked.json()["status"]["phase"], "Running");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_bound_once_and_leaves_with_its_grace() {
    let cluster = Cluster::start().await;
    account(&cluster).await;
    cluster.post(PODS, pod("p")).await.expect(201);
    let binding = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    cluster.post(&format!("{PODS}/p/binding"), binding("n1")).await.expect(201);
    let again = cluster.post(&format!("{PODS}/p/binding"), binding("n2")).await.expect(409);
    assert!(again.message().ends_with("pod p is already assigned to node \"n1\""), "{}", again.message());
    let bound = cluster.get(&format!("{PODS}?fieldSelector=spec.nodeName%3Dn1")).await.expect(200).json();
    assert_eq!(bound["items"][0]["status"]["conditions"][0]["type"], "PodScheduled");

    let leaving = cluster.delete(&format!("{PODS}/p?gracePeriodSeconds=30")).await.expect(200).json();
    assert_eq!(leaving["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(leaving["metadata"]["generation"], 2);
    cluster.get(&format!("{PODS}/p")).await.expect(200);
    cluster.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await.expect(200);
    cluster.get(&format!("{PODS}/p")).await.expect(404);
    cluster.post(PODS, pod("unbound")).await.expect(201);
    cluster.delete(&format!("{PODS}/unbound")).await.expect(200);
    cluster.get(&format!("{PODS}/unbound")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_and_preconditions_are_honoured() {
    let cluster = Cluster::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let held = json!({"metadata": {"name": "h", "finalizers": ["example.com/hold"]}});
    let created = cluster.post(maps, held).await.expect(201).json();
    let options = |body: Value| {
        cluster.send(
            "DELETE",
            "/api/v1/namespaces/default/configmaps/h",
            &[("content-type", "application/json")],
            body.to_string(),
        )
    };
    let wrong = options(json!({"preconditions": {"uid": "other"}})).await.expect(409);
    assert!(wrong.message().contains("the UID in the precondition (other) does not match the UID in record"));
    let marked = options(json!({"propagationPolicy": "Foreground"})).await.expect(200).json();
    assert_eq!(marked["metadata"]["finalizers"], json!(["example.com/hold", "foregroundDeletion"]));
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["uid"], created["metadata"]["uid"]);
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    let more = cluster.patch("merge", &format!("{maps}/h"), more).await.expect(422);
    assert!(more.message().contains("no new finalizers can be added if the object is being deleted"));
    cluster.patch("merge", &format!("{maps}/h"), json!({"metadata": {"finalizers": null}})).await.expect(200);
    cluster.get(&format!("{maps}/h")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_scales() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "d"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    cluster.post(DEPLOYMENTS, body).await.expect(201);
    let mut scale = cluster.get(&format!("{DEPLOYMENTS}/d/scale")).await.expect(200).json();
    assert_eq!((scale["kind"].as_str(), scale["spec"]["replicas"].as_i64()), (Some("Scale"), Some(2)));
    assert_eq!(scale["status"]["selector"], "app=x");
    scale["spec"]["replicas"] = json!(5);
    cluster.put(&format!("{DEPLOYMENTS}/d/scale"), scale.clone()).await.expect(200);
    cluster.put(&format!("{DEPLOYMENTS}/d/scale"), scale).await.expect(409);
    let patched = cluster.patch("merge", &format!("{DEPLOYMENTS}/d/scale"), json!({"spec": {"replicas": 7}})).await;
    assert_eq!(patched.expect(200).json()["spec"]["replicas"], 7);
    let read = cluster.get(&format!("{DEPLOYMENTS}/d")).await.expect(200).json();
    assert_eq!((read["spec"]["replicas"].as_i64(), read["metadata"]["generation"].as_i64()), (Some(7), Some(3)));
    let negative = cluster.patch("merge", &format!("{DEPLOYMENTS}/d/scale"), json!({"spec": {"replicas": -1}})).await;
    assert!(negative.expect(422).message().starts_with("Scale.autoscaling \"d\" is invalid: spec.replicas"));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_asks_the_budget() {
    let cluster = Cluster::start().await;
    account(&cluster).await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    cluster.post(budgets, budget).await.expect(201);
    for name in ["p", "q"] {
        cluster.post(PODS, pod(name)).await.expect(201);
        let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        cluster.patch("merge", &format!("{PODS}/{name}/status"), running).await.expect(200);
    }
    let evict = |name: &str| {
        cluster.post(
            match name {
                "p" => "/api/v1/namespaces/default/pods/p/eviction",
                _ => "/api/v1/namespaces/default/pods/q/eviction",
            },
            json!({"metadata": {"name": name}}),
        )
    };
    let early = evict("p").await.expect(429);
    assert_eq!(early.header("retry-after"), "10");
    assert_eq!(early.message(), "Cannot evict pod as it would violate the pod's disruption budget.");
    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2,
        "desiredHealthy": 1, "expectedPods": 2}});
    cluster.patch("merge", &format!("{budgets}/b/status"), status).await.expect(200);
    evict("p").await.expect(201);
    cluster.get(&format!("{PODS}/p")).await.expect(404);
    evict("q").await.expect(429);
    let charged = cluster.get(&format!("{budgets}/b")).await.expect(200).json();
    assert_eq!(charged["status"]["disruptionsAllowed"], 0);
    assert!(charged["status"]["disruptedPods"]["p"].is_string());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_when_it_is_finalized() {
    let cluster = Cluster::start().await;
    let namespaces = "/api/v1/namespaces";
    cluster.post(namespaces, json!({"metadata": {"name": "gone"}})).await.expect(201);
    let leaving = cluster.delete(&format!("{namespaces}/gone")).await.expect(200).json();
    assert_eq!(leaving["status"]["phase"], "Terminating");
    let maps = format!("{namespaces}/gone/configmaps");
    let refused = cluster.post(&maps, json!({"metadata": {"name": "late"}})).await.expect(403);
    assert!(refused.message().contains("because it is being terminated"), "{}", refused.message());
    let mut body = cluster.get(&format!("{namespaces}/gone")).await.expect(200).json();
    body["spec"]["finalizers"] = json!([]);
    cluster.put(&format!("{namespaces}/gone/finalize"), body).await.expect(200);
    cluster.get(&format!("{namespaces}/gone")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_get_addresses_and_give_them_back() {
    let cluster = Cluster::start().await;
    let service = |name: &str, ip: &str| {
        json!({"metadata": {"name": name},
        "spec": {"type": "NodePort", "clusterIP": ip, "ports": [{"port": 80}]}})
    };
    let first = cluster.post(SERVICES, service("a", "")).await.expect(201).json();
    let ip = first["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert_eq!(first["spec"]["clusterIPs"], json!([ip]));
    assert_eq!(first["spec"]["ipFamilyPolicy"], "SingleStack");
    assert!(first["spec"]["ports"][0]["nodePort"].as_i64().unwrap() >= 30_000);
    let taken = cluster.post(SERVICES, service("b", &ip)).await.expect(422);
    assert!(taken.message().contains("provided IP is already allocated"), "{}", taken.message());
    cluster.delete(&format!("{SERVICES}/a")).await.expect(200);
    cluster.post(SERVICES, service("b", &ip)).await.expect(201);
    cluster.post(&format!("{SERVICES}?dryRun=All"), service("c", "10.43.0.77")).await.expect(201);
    cluster.post(SERVICES, service("c", "10.43.0.77")).await.expect(201);
    let changed = cluster.patch("merge", &format!("{SERVICES}/c"), json!({"spec": {"type": "ClusterIP"}})).await;
    assert!(changed.expect(200).json()["spec"]["ports"][0].get("nodePort").is_none());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_reviews_agree() {
    let cluster = Cluster::start().await;
    account(&cluster).await;
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = cluster.post(path, json!({"spec": {"expirationSeconds": 600}})).await.expect(201).json();
    let token = request["status"]["token"].as_str().unwrap().to_owned();
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = cluster.post(reviews, json!({"spec": {"token": token}})).await.expect(201).json();
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:default");
    let bearer = format!("Bearer {token}");
    let nobody = crate::cluster::http(&cluster.pki, None);
    let response = cluster.open(&nobody, "GET", PODS, &[("authorization", &bearer)], "").await;
    assert_eq!(response.status(), 403);
    let access = |user: &str| {
        json!({"spec": {"user": user,
        "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}})
    };
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    assert_eq!(cluster.post(path, access("jane")).await.expect(201).json()["status"]["allowed"], false);
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let own = cluster.post(path, json!({})).await.expect(201).json();
    assert_eq!(own["status"]["userInfo"]["username"], "kubernetes-admin");
    cluster.get(path).await.expect(405);
    cluster.shutdown().await;
}
