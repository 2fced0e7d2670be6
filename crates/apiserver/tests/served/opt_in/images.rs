//! AlwaysPullImages and ImagePolicyWebhook.

use super::{PODS, pod, with};
use crate::cluster::Cluster;
use crate::webhooks::server::{Answer, Hooks};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

#[tokio::test(flavor = "multi_thread")]
async fn images_are_always_pulled() {
    let cluster = with(&["AlwaysPullImages"], "").await;
    let own = json!({"containers": [{"name": "c", "image": "i:1", "imagePullPolicy": "Never"}],
        "initContainers": [{"name": "d", "image": "j:1", "imagePullPolicy": "IfNotPresent"}],
        "volumes": [{"name": "v", "image": {"reference": "k:1", "pullPolicy": "Never"}}]});
    let made = cluster.post(PODS, pod("p", own)).await.expect(201).json();
    for pointer in ["/containers/0/imagePullPolicy", "/initContainers/0/imagePullPolicy"] {
        assert_eq!(made["spec"].pointer(pointer).unwrap(), "Always", "{pointer}");
    }
    let volumes = made["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.iter().find(|own| own["name"] == "v").unwrap()["image"]["pullPolicy"], "Always");
    let labelled = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:2"}]}});
    let changed = cluster.patch("strategic-merge", &format!("{PODS}/p"), labelled).await.expect(200).json();
    assert_eq!(changed["spec"]["containers"][0]["image"], "i:2");
    cluster.shutdown().await;
}

/// What a server for images was asked, and what it is to say.
struct Images {
    hooks: Hooks,
    asked: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<Value>>,
}

impl Images {
    async fn start() -> Images {
        let hooks = Hooks::start().await;
        let (asked, status) = (Arc::default(), Arc::new(Mutex::new(json!({"allowed": true}))));
        let (book, says): (Arc<Mutex<Vec<Value>>>, Arc<Mutex<Value>>) = (Arc::clone(&asked), Arc::clone(&status));
        let make = move |review: &Value| {
            book.lock().unwrap().push(review.clone());
            json!({"apiVersion": "imagepolicy.k8s.io/v1alpha1", "kind": "ImageReview", "status": *says.lock().unwrap()})
        };
        hooks.set("images", Answer::Made(Arc::new(make)));
        Images { hooks, asked, status }
    }

    async fn cluster(&self, more: &str) -> (Cluster, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.kubeconfig");
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.hooks.url("images"),
                "certificate-authority-data": self.hooks.ca_bundle}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        let own = format!(
            "- name: ImagePolicyWebhook\n  configuration: {{imagePolicy: {{kubeConfigFile: {file:?}, {more}}}}}\n"
        );
        (with(&["ImagePolicyWebhook"], &own).await, folder)
    }

    fn say(&self, status: Value) {
        *self.status.lock().unwrap() = status;
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn of_image(name: &str, image: &str) -> Value {
    pod(name, json!({"containers": [{"name": "c", "image": image}]}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_decides_which_images_may_run() {
    let images = Images::start().await;
    let (cluster, _folder) = images.cluster("allowTTL: 60, denyTTL: -1").await;
    let mut own = of_image("a", "good:1");
    own["metadata"]["annotations"] = json!({"own.image-policy.k8s.io/ticket": "7", "other": "x"});
    cluster.post(PODS, own).await.expect(201);
    let asked = images.take();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (&asked[0]["apiVersion"], &asked[0]["kind"]),
        (&json!("imagepolicy.k8s.io/v1alpha1"), &json!("ImageReview"))
    );
    assert_eq!(
        asked[0]["spec"],
        json!({"containers": [{"image": "good:1"}], "annotations": {"own.image-policy.k8s.io/ticket": "7"},
            "namespace": "default"})
    );
    cluster.post(PODS, of_image("b", "good:1")).await.expect(201);
    cluster.post(PODS, of_image("c", "good:1")).await.expect(201);
    assert_eq!(images.take().len(), 1, "another question once, without the annotation; then it is remembered");
    images.say(json!({"allowed": false, "reason": "latest is not allowed"}));
    for _ in 0..2 {
        let refused = cluster.post(PODS, of_image("d", "bad:latest")).await.expect(403).message();
        assert_eq!(
            refused,
            "pods \"d\" is forbidden: image policy webhook backend denied one or more images: latest is not allowed"
        );
    }
    assert_eq!(images.take().len(), 2, "refusals are not remembered here");
    images.say(json!({"allowed": false}));
    let refused = cluster.post(PODS, of_image("d", "bad:2")).await.expect(403).message();
    assert!(refused.ends_with(": one or more images rejected by webhook backend"), "{refused}");
    let ephemeral = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "debug:1"}]}});
    images.take();
    cluster.patch("strategic-merge", &format!("{PODS}/a/ephemeralcontainers"), ephemeral).await.expect(403);
    assert_eq!(images.take()[0]["spec"]["containers"], json!([{"image": "debug:1"}]));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_for_images_that_does_not_answer_refuses_unless_told_otherwise() {
    let images = Images::start().await;
    images.hooks.raw("images", 404, "gone");
    let (cluster, _folder) = images.cluster("defaultAllow: false").await;
    cluster.post(PODS, of_image("a", "i:1")).await.expect(403);
    cluster.shutdown().await;
    let (cluster, _folder) = images.cluster("defaultAllow: true").await;
    cluster.post(PODS, of_image("a", "i:1")).await.expect(201);
    cluster.shutdown().await;
}
