//! Deployments and replica sets against an in-memory server, with the controllers as the program starts them.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use api::k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use api::k8s_openapi::api::core::v1::{Event, Pod};
use client::Client;
use client::testing::Fake;
use controllers::{Handle, Options};
use serde_json::{Value, json};
use std::time::Duration;

fn start(fake: &Fake, client: &Client) -> Handle {
    let server = fake.clone();
    controllers::start(client.clone(), reconcile::Clock::new(move || server.now()), Options::default())
}

fn deployment(name: &str, replicas: i32, image: &str) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    }))
    .unwrap()
}

/// A node's part: every pod becomes ready at once, and goes when it is told to.
fn run_pods(client: &Client) -> tokio::task::JoinHandle<()> {
    let client = client.clone();
    tokio::spawn(async move {
        let mut changes = client.cache::<Pod>().changes();
        loop {
            let Some(pod) = changes.next().await.new else { continue };
            if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running") {
                continue;
            }
            let (namespace, name) = (pod.metadata.namespace.clone().unwrap(), pod.metadata.name.clone().unwrap());
            let status = json!({"status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
            let patched: Result<Pod, _> = client
                .patch(&namespace, &name, client::PatchType::Merge, Some(api::Subresource::Status), &status)
                .await;
            if let Err(status) = patched {
                assert_eq!(status.reason, api::Reason::NotFound, "{status}");
            }
        }
    })
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(300)).await;
}

fn available(fake: &Fake, name: &str) -> i32 {
    let found = fake.get::<Deployment>("default", name).unwrap();
    found.status.and_then(|status| status.available_replicas).unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_replicas_come_up_once_each_however_the_watch_lags() {
    let (fake, client) = Fake::start();
    fake.set_lag(|resource, revision| {
        Duration::from_millis((revision * 7919 + resource.len() as u64 * 104_729) % 3000)
    });
    let handle = start(&fake, &client);
    let pods = run_pods(&client);
    client.create(&deployment("web", 1000, "v1")).await.unwrap();
    fake.until("all available", |fake| available(fake, "web") == 1000).await;
    settle().await;
    assert_eq!(fake.len::<Pod>(), 1000);
    assert_eq!(fake.calls("create pods"), 1000, "not one too many was ever made");
    assert_eq!(fake.calls("delete pods"), 0);
    let mut found: Deployment = fake.get("default", "web").unwrap();
    found.spec.replicas = Some(10);
    client.update(&found).await.unwrap();
    settle().await;
    assert_eq!(fake.len::<Pod>(), 10);
    assert_eq!(fake.calls("delete pods"), 990);
    assert!(fake.len::<Event>() < 60, "events are combined: {}", fake.len::<Event>());
    let mut metrics = String::new();
    handle.metrics()(&mut metrics);
    assert!(metrics.contains("workqueue_depth{name=\"replicaset\"} 0"));
    pods.abort();
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_never_leaves_its_bounds() {
    let (fake, client) = Fake::start();
    fake.set_lag(|_, revision| Duration::from_millis(revision * 7919 % 700));
    let handle = start(&fake, &client);
    let pods = run_pods(&client);
    client.create(&deployment("web", 20, "v1")).await.unwrap();
    settle().await;
    assert_eq!(available(&fake, "web"), 20);
    let before = fake.history::<Pod>().len();
    let mut found: Deployment = fake.get("default", "web").unwrap();
    found.spec.template = deployment("web", 20, "v2").spec.template;
    client.update(&found).await.unwrap();
    settle().await;
    let images: Vec<String> =
        fake.all::<Pod>().iter().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()).collect();
    assert_eq!(images, vec!["v2"; 20]);
    let (mut all, mut ready) = (0i32, 0i32);
    let is_ready = |pod: &Option<Pod>| {
        let status = pod.as_ref().and_then(|pod| pod.status.as_ref());
        status.and_then(|status| status.phase.as_deref()) == Some("Running")
    };
    for (index, (old, new)) in fake.history::<Pod>().iter().enumerate() {
        all += i32::from(new.is_some()) - i32::from(old.is_some());
        ready += i32::from(is_ready(new)) - i32::from(is_ready(old));
        if index >= before {
            assert!(all <= 25 && ready >= 15, "{all} pods, {ready} ready at commit {index}");
        }
    }
    pods.abort();
    handle.stop().await;
}

fn pod(name: &str, labels: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": {"containers": []},
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn orphans_are_adopted_and_strangers_released() {
    let (fake, client) = Fake::start();
    let handle = start(&fake, &client);
    client.create(&pod("orphan", json!({"app": "web"}))).await.unwrap();
    client.create(&pod("stranger", json!({"app": "db"}))).await.unwrap();
    let set: ReplicaSet = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
    }))
    .unwrap();
    let set = client.create(&set).await.unwrap();
    settle().await;
    let owner = |name: &str| {
        let pod: Pod = fake.get("default", name).unwrap();
        pod.metadata.owner_references.map(|owners| owners[0].uid.clone())
    };
    assert_eq!(owner("orphan"), set.metadata.uid);
    assert_eq!(owner("stranger"), None);
    assert_eq!(fake.len::<Pod>(), 3);
    let mut adopted: Pod = fake.get("default", "orphan").unwrap();
    adopted.metadata.labels = Some([("app".to_owned(), "debug".to_owned())].into());
    client.update(&adopted).await.unwrap();
    settle().await;
    assert_eq!(owner("orphan"), None, "a pod that no longer matches is let go");
    assert_eq!(fake.len::<Pod>(), 4, "and replaced");
    let status = fake.get::<ReplicaSet>("default", "web").unwrap().status.unwrap();
    assert_eq!((status.replicas, status.fully_labeled_replicas), (2, Some(2)));
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_set_of_the_same_template_is_adopted_and_not_made_anew() {
    let (fake, client) = Fake::start();
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}});
    let mut labelled = template.clone();
    labelled["metadata"]["labels"]["pod-template-hash"] = "from-elsewhere".into();
    let set: ReplicaSet = serde_json::from_value(json!({
        "metadata": {"name": "web-from-elsewhere", "namespace": "default", "labels": labelled["metadata"]["labels"]},
        "spec": {"replicas": 3, "selector": {"matchLabels": labelled["metadata"]["labels"]}, "template": labelled},
    }))
    .unwrap();
    client.create(&set).await.unwrap();
    client.create(&deployment("web", 3, "v1")).await.unwrap();
    let handle = start(&fake, &client);
    settle().await;
    assert_eq!((fake.len::<ReplicaSet>(), fake.len::<Pod>()), (1, 3));
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn refused_pods_are_reported_and_tried_again_with_patience() {
    let (fake, client) = Fake::start();
    let handle = start(&fake, &client);
    fake.set_fault(|request| {
        let refused = request.verb == client::Verb::Create && request.def.plural == "pods";
        refused.then(|| api::Status::forbidden(request.def, "", "exceeded quota"))
    });
    client.create(&deployment("web", 100, "v1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let tries = fake.calls("create pods");
    assert!((10..200).contains(&tries), "{tries}");
    let found = fake.get::<Deployment>("default", "web").unwrap();
    let failure =
        found.status.unwrap().conditions.unwrap().into_iter().find(|c| c.type_.as_deref() == Some("ReplicaFailure"));
    let failure = failure.unwrap();
    assert_eq!(failure.reason.as_deref(), Some("FailedCreate"));
    assert!(failure.message.unwrap().contains("exceeded quota"));
    fake.clear_fault();
    settle().await;
    assert_eq!(fake.len::<Pod>(), 100);
    handle.stop().await;
}
