//! Tokens that a node asks for: for its own pods, and for one audience that they use or that it may have.

use crate::cluster::{Answer, Cluster};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PODS: &str = "/api/v1/namespaces/default/pods";
const DEADLINE: Duration = Duration::from_secs(60);

struct Pods<'a> {
    cluster: &'a Cluster,
}

impl Pods<'_> {
    /// Makes a pod on n1; its uid.
    async fn make(&self, name: &str, spec: Value) -> String {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "n1",
            "containers": [{"name": "c", "image": "i"}]}});
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let made = self.cluster.post(PODS, pod).await.expect(201).json();
        made["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, node: &str, (name, uid): (&str, &str), audiences: &[&str]) -> Answer {
        let user = format!("system:node:{node}");
        let as_node = [
            ("impersonate-user", user.as_str()),
            ("impersonate-group", "system:nodes"),
            ("impersonate-group", "system:authenticated"),
            ("content-type", "application/json"),
        ];
        let mut spec = json!({"audiences": audiences});
        if !name.is_empty() {
            spec["boundObjectRef"] = json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        }
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        self.cluster.send("POST", path, &as_node, json!({"spec": spec}).to_string()).await
    }

    /// Asks as n1 until it is answered so: what authorizers know of pods and roles follows the writes.
    async fn settle(&self, pod: (&str, &str), audiences: &[&str], code: u16, says: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.ask("n1", pod, audiences).await;
            let message = answer.message();
            if answer.code == code && message.contains(says) {
                return;
            }
            let late = begun.elapsed() >= DEADLINE;
            assert!(!late, "{pod:?} for {audiences:?}: {} {message} is not {code} {says}", answer.code);
        }
    }
}

fn not_found(audience: &str) -> String {
    format!(
        "serviceaccounts \"default\" is forbidden: audience {audience:?} not found in pod spec volume, system:node:n1 \
         is not authorized to request tokens for this audience"
    )
}

async fn driver(cluster: &Cluster, name: &str, audience: &str) {
    let driver = json!({"metadata": {"name": name}, "spec": {"tokenRequests": [{"audience": audience}],
        "volumeLifecycleModes": ["Persistent", "Ephemeral"]}});
    cluster.post("/apis/storage.k8s.io/v1/csidrivers", driver).await.expect(201);
}

/// What is behind a claim: a volume of this driver.
async fn claim(cluster: &Cluster, name: &str, source: Value) {
    let mut volume = json!({"metadata": {"name": name}, "spec": {"capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"]}});
    volume["spec"].as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    cluster.post("/api/v1/persistentvolumes", volume).await.expect(201);
    let claim = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": name,
        "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.post("/api/v1/namespaces/default/persistentvolumeclaims", claim).await.expect(201);
}

async fn start() -> Cluster {
    let cluster = Cluster::start().await;
    let account = json!({"metadata": {"name": "default"}});
    cluster.post("/api/v1/namespaces/default/serviceaccounts", account).await.expect(201);
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_asks_for_an_audience_of_its_pod_only() {
    let cluster = start().await;
    let pods = Pods { cluster: &cluster };
    let vault = json!({"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t",
        "audience": "vault"}}]}});
    let uid = pods.make("own", json!({"automountServiceAccountToken": false, "volumes": [vault]})).await;
    let own = ("own", uid.as_str());
    pods.settle(own, &["vault"], 201, "").await;
    for (pod, audiences, says) in [
        (own, &["consul"][..], not_found("consul")),
        // None means the API server's, and the pod has no token for it.
        (own, &[], not_found("")),
        (own, &[""], not_found("")),
        (own, &["vault", "vault"], "node may only request 0 or 1 audiences".to_owned()),
        (("", ""), &["vault"], "node requested token not bound to a pod".to_owned()),
        (("own", ""), &["vault"], "node requested token with a pod binding without a uid".to_owned()),
        (("own", "other"), &["vault"], "does not match the UID in record".to_owned()),
    ] {
        let refused = pods.ask("n1", pod, audiences).await.expect(403).message();
        assert!(refused.contains(&says), "{pod:?} {audiences:?}: {refused}");
    }
    assert_eq!(pods.ask("n1", ("gone", "x"), &["vault"]).await.expect(404).message(), "pods \"gone\" not found");
    let uid = pods.make("automatic", json!({})).await;
    pods.ask("n1", ("automatic", &uid), &[]).await.expect(201);
    // Another node has a pod of the same account.
    let mut other = json!({"metadata": {"name": "other"}, "spec": {"nodeName": "n2"}});
    other["spec"]["containers"] = json!([{"name": "c", "image": "i"}]);
    cluster.post(PODS, other).await.expect(201);
    let begun = Instant::now();
    loop {
        let refused = pods.ask("n2", own, &["vault"]).await.expect(403).message();
        if refused.contains("node requested token bound to a pod scheduled on a different node") {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{refused}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drivers_of_volumes_ask_for_their_audiences() {
    let cluster = start().await;
    driver(&cluster, "inline.example.com", "inline").await;
    driver(&cluster, "claimed.example.com", "claimed").await;
    driver(&cluster, "file.csi.azure.com", "azure").await;
    claim(&cluster, "own", json!({"csi": {"driver": "claimed.example.com", "volumeHandle": "h"}})).await;
    claim(&cluster, "old", json!({"azureFile": {"shareName": "s", "secretName": "x", "secretNamespace": "y"}})).await;
    // Of the name of a pod's own, and not its own.
    claim(&cluster, "stray-tmp", json!({"csi": {"driver": "claimed.example.com", "volumeHandle": "i"}})).await;
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let pods = Pods { cluster: &cluster };
    for (name, volume, audience, has) in [
        ("inline", json!({"csi": {"driver": "inline.example.com"}}), "inline", true),
        ("unasked", json!({"csi": {"driver": "inline.example.com"}}), "claimed", false),
        ("claimed", json!({"persistentVolumeClaim": {"claimName": "own"}}), "claimed", true),
        ("migrated", json!({"persistentVolumeClaim": {"claimName": "old"}}), "azure", true),
        ("old", json!({"azureFile": {"shareName": "s", "secretName": "x"}}), "azure", true),
        ("stray", json!({"ephemeral": {"volumeClaimTemplate": template}}), "claimed", false),
        ("plain", json!({"emptyDir": {}}), "inline", false),
    ] {
        let mut volume = volume;
        volume["name"] = json!("tmp");
        let uid = pods.make(name, json!({"volumes": [volume]})).await;
        // A token of its own it always may have.
        pods.settle((name, &uid), &[], 201, "").await;
        let answer = pods.ask("n1", (name, &uid), &[audience]).await;
        match has {
            true => assert_eq!(answer.code, 201, "{name}: {}", answer.message()),
            false => assert_eq!(answer.message(), not_found(audience), "{name}"),
        }
    }
    let uid =
        pods.make("lost", json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "lost"}}]})).await;
    let refused = pods.ask("n1", ("lost", &uid), &["vault"]).await.expect(403).message();
    let says = "error validating audience \"vault\": persistentvolumeclaims \"lost\" not found";
    assert!(refused.ends_with(says), "{refused}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_lets_a_node_have_an_audience_for_an_account() {
    let cluster = start().await;
    let pods = Pods { cluster: &cluster };
    let uid = pods.make("own", json!({})).await;
    let own = ("own", uid.as_str());
    pods.settle(own, &[], 201, "").await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({"metadata": {"name": "registry"}, "rules": [{"apiGroups": [""], "resources": ["registry"],
        "resourceNames": ["default"], "verbs": ["request-serviceaccounts-token-audience"]}]});
    cluster.post(&format!("{roles}/roles"), role).await.expect(201);
    let refused = pods.ask("n1", own, &["registry"]).await.expect(403).message();
    assert_eq!(refused, not_found("registry"));
    let binding = json!({"metadata": {"name": "registry"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "registry"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]});
    cluster.post(&format!("{roles}/rolebindings"), binding).await.expect(201);
    pods.settle(own, &["registry"], 201, "").await;
    assert_eq!(pods.ask("n1", own, &["other"]).await.expect(403).message(), not_found("other"));
    cluster.delete(&format!("{roles}/rolebindings/registry")).await.expect(200);
    pods.settle(own, &["registry"], 403, &not_found("registry")).await;
    cluster.shutdown().await;
}
