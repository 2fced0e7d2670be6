//! What an administrator tells admission, by flags and by a file, and what becomes of writes then.

use crate::cluster::{Cluster, http};
use apiserver::admission::AdmissionOptions;
use serde_json::{Value, json};

const CONFIGURATION: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, warn: restricted}
    exemptions: {usernames: [], runtimeClasses: [vm], namespaces: [trusted]}
- name: ResourceQuota
  path: quota.yaml
";
const QUOTA: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: ResourceQuotaConfiguration
limitedResources:
- {resource: pods, matchScopes: [{scopeName: PriorityClass, operator: In, values: [high]}]}
- {resource: persistentvolumeclaims, matchContains: [requests.storage]}
";

/// A cluster that was told this, with namespaces that pods can be in.
async fn start(disable: &[&str]) -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admission.yaml");
    std::fs::write(&file, CONFIGURATION).unwrap();
    std::fs::write(folder.path().join("quota.yaml"), QUOTA).unwrap();
    let disable = disable.iter().map(|&name| name.to_owned()).collect();
    let options = AdmissionOptions { disable, config_file: Some(file), ..AdmissionOptions::default() };
    let cluster = Cluster::told(options.read().unwrap()).await;
    for name in ["trusted", "plain"] {
        cluster.post("/api/v1/namespaces", json!({"metadata": {"name": name}})).await.expect(201);
        let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
        cluster.post(&accounts, json!({"metadata": {"name": "default"}})).await.expect(201);
    }
    cluster
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_secured_where_labels_say_nothing() {
    let cluster = start(&[]).await;
    let host = json!({"hostNetwork": true});
    let refused = cluster.post(&pods("plain"), pod("p", host.clone())).await.expect(403);
    assert_eq!(
        refused.message(),
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
    );
    let warned = cluster.post(&pods("plain"), pod("q", json!({}))).await.expect(201);
    assert!(warned.header("warning").contains("would violate PodSecurity"), "{}", warned.header("warning"));
    let exempt = cluster.post(&pods("trusted"), pod("p", host.clone())).await.expect(201);
    assert_eq!(exempt.header("warning"), "");
    let class = json!({"metadata": {"name": "vm"}, "handler": "vm"});
    cluster.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.expect(201);
    let in_vm = json!({"hostNetwork": true, "runtimeClassName": "vm"});
    cluster.post(&pods("plain"), pod("vm", in_vm)).await.expect(201);
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let labelled = cluster.patch("merge", "/api/v1/namespaces/trusted", labels).await.expect(200);
    assert_eq!(
        labelled.header("warning"),
        "299 - \"namespace \\\"trusted\\\" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be \
         ignored\""
    );
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    cluster.patch("merge", "/api/v1/namespaces/plain", labels).await.expect(200);
    cluster.post(&pods("plain"), pod("p", host)).await.expect(201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_limited_needs_a_quota() {
    let cluster = start(&[]).await;
    let class = json!({"metadata": {"name": "high"}, "value": 1000});
    cluster.post("/apis/scheduling.k8s.io/v1/priorityclasses", class).await.expect(201);
    let high = json!({"priorityClassName": "high"});
    let refused = cluster.post(&pods("plain"), pod("p", high.clone())).await.expect(500);
    assert_eq!(refused.message(), "insufficient quota to match these scopes: [{PriorityClass In [high]}]");
    cluster.post(&pods("plain"), pod("other", json!({}))).await.expect(201);
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    let claims = "/api/v1/namespaces/plain/persistentvolumeclaims";
    let refused = cluster.post(claims, claim.clone()).await.expect(403);
    assert_eq!(
        refused.message(),
        "persistentvolumeclaims \"c\" is forbidden: insufficient quota to consume: requests.storage"
    );
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}});
    let quotas = "/api/v1/namespaces/plain/resourcequotas";
    cluster.post(quotas, quota).await.expect(201);
    let storage = json!({"metadata": {"name": "s"}, "spec": {"hard": {"requests.storage": "1Gi"}}});
    cluster.post(quotas, storage).await.expect(201);
    cluster.post(&pods("plain"), pod("p", high.clone())).await.expect(201);
    let second = cluster.post(&pods("plain"), pod("q", high)).await.expect(403);
    assert!(second.message().contains("exceeded quota: q"), "{}", second.message());
    cluster.post(claims, claim).await.expect(201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_turned_off_does_not_judge() {
    let cluster = start(&["PodSecurity", "StorageObjectInUseProtection"]).await;
    cluster.post(&pods("plain"), pod("p", json!({"hostNetwork": true}))).await.expect(201);
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"}}});
    let made = cluster.post("/api/v1/persistentvolumes", volume).await.expect(201).json();
    assert!(made["metadata"]["finalizers"].is_null(), "{made}");
    let nobody = http(&cluster.pki, None);
    let answer = cluster.open(&nobody, "GET", "/api/v1/pods", &[], "").await;
    assert_eq!(answer.status(), 403, "who may is asked all the same");
    cluster.shutdown().await;
}
