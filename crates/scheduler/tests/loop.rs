//! The scheduler at work against an in-memory server.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use api::k8s_openapi::api::core::v1::{Event, Node, Pod};
use client::testing::Fake;
use client::{Client, DeleteOptions, Verb};
use reconcile::{Clock, Recorder};
use scheduler::{Handle, Options};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn start(fake: &Fake, client: &Client) -> Handle {
    let server = fake.clone();
    let clock = Clock::new(move || server.now());
    let events = Recorder::start(client.clone(), clock.clone(), "default-scheduler", "");
    scheduler::start(client.clone(), clock, events, Options::default())
}

async fn create_node(client: &Client, name: &str, cpu: &str) {
    let node: Node =
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}}))
        .unwrap();
    client.create(&node).await.unwrap();
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

async fn create(client: &Client, pod: Value) {
    client.create::<Pod>(&serde_json::from_value(pod).unwrap()).await.unwrap();
}

fn node_of(fake: &Fake, name: &str) -> Option<String> {
    fake.get::<Pod>("default", name).unwrap().spec.unwrap().node_name
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(30)).await;
}

fn per_node(fake: &Fake) -> HashMap<String, usize> {
    let mut count = HashMap::new();
    for pod in fake.all::<Pod>() {
        *count.entry(pod.spec.unwrap().node_name.unwrap_or_default()).or_default() += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn pods_are_bound_within_what_nodes_have_however_the_watch_lags() {
    let (fake, client) = Fake::start();
    fake.set_lag(|_, revision| Duration::from_millis(revision * 7919 % 2000));
    for n in 0..10 {
        create_node(&client, &format!("n{n}"), "10").await;
    }
    let handle = start(&fake, &client);
    for n in 0..120 {
        create(&client, pod(&format!("p{n}"), "1")).await;
    }
    settle().await;
    let mut count = per_node(&fake);
    assert_eq!(count.remove(""), Some(20), "what does not fit waits");
    assert!(count.values().all(|pods| *pods == 10), "{count:?}");
    assert_eq!(fake.calls("create pods/binding"), 100);
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unschedulable_pod_says_why_and_goes_on_when_help_comes() {
    let (fake, client) = Fake::start();
    create_node(&client, "small", "1").await;
    let handle = start(&fake, &client);
    create(&client, pod("big", "2")).await;
    settle().await;
    let text = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful \
                for scheduling.";
    let waiting: Pod = fake.get("default", "big").unwrap();
    let condition = waiting.status.unwrap().conditions.unwrap().remove(0);
    assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("PodScheduled", "False"));
    assert_eq!((condition.reason.as_deref(), condition.message.as_deref()), (Some("Unschedulable"), Some(text)));
    let writes = fake.calls("patch pods/status");
    create_node(&client, "also-small", "1").await;
    settle().await;
    assert_eq!(fake.calls("patch pods/status"), writes, "a node that does not help wakes nobody");
    create_node(&client, "large", "4").await;
    fake.until("the pod is bound", |fake| node_of(fake, "big").is_some()).await;
    settle().await;
    let events: Vec<(String, String)> =
        fake.all::<Event>().into_iter().map(|e| (e.reason.unwrap(), e.message.unwrap())).collect();
    assert!(events.contains(&("FailedScheduling".to_owned(), text.to_owned())), "{events:?}");
    assert!(
        events.contains(&("Scheduled".to_owned(), "Successfully assigned default/big to large".to_owned())),
        "{events:?}"
    );
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_leaves_makes_room() {
    let (fake, client) = Fake::start();
    create_node(&client, "n", "1").await;
    let handle = start(&fake, &client);
    create(&client, pod("first", "1")).await;
    settle().await;
    create(&client, pod("second", "1")).await;
    settle().await;
    assert_eq!(node_of(&fake, "second"), None);
    let now = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    client.delete::<Pod>("default", "first", &now).await.unwrap();
    fake.until("the second is bound", |fake| node_of(fake, "second").is_some()).await;
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_binding_is_forgotten_and_tried_again() {
    let (fake, client) = Fake::start();
    create_node(&client, "n", "1").await;
    let tries = AtomicUsize::new(0);
    fake.set_fault(move |request| {
        let binding = request.verb == Verb::Create && request.subresource == Some(api::Subresource::Binding);
        (binding && tries.fetch_add(1, Ordering::SeqCst) < 2).then(|| api::Status::unavailable("not now"))
    });
    let handle = start(&fake, &client);
    create(&client, pod("p", "1")).await;
    settle().await;
    assert_eq!(node_of(&fake, "p").as_deref(), Some("n"));
    assert_eq!(fake.calls("create pods/binding"), 3);
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_own_and_ungated_pods_are_placed() {
    let (fake, client) = Fake::start();
    create_node(&client, "n", "4").await;
    let handle = start(&fake, &client);
    let mut other = pod("other", "1");
    other["spec"]["schedulerName"] = "mine".into();
    create(&client, other).await;
    let mut gated = pod("gated", "1");
    gated["spec"]["schedulingGates"] = json!([{"name": "wait"}]);
    create(&client, gated).await;
    create(&client, pod("plain", "1")).await;
    settle().await;
    assert_eq!(node_of(&fake, "plain").as_deref(), Some("n"));
    assert_eq!((node_of(&fake, "other"), node_of(&fake, "gated")), (None, None));
    let mut open: Pod = fake.get("default", "gated").unwrap();
    open.spec.as_mut().unwrap().scheduling_gates = None;
    client.update(&open).await.unwrap();
    fake.until("the gate is open", |fake| node_of(fake, "gated").is_some()).await;
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_made_again_under_its_name_is_another_pod() {
    let (fake, client) = Fake::start();
    create_node(&client, "n", "1").await;
    let handle = start(&fake, &client);
    create(&client, pod("p", "1")).await;
    settle().await;
    // Both changes reach the scheduler as one.
    fake.set_lag(|_, _| Duration::from_secs(5));
    let now = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    client.delete::<Pod>("default", "p", &now).await.unwrap();
    create(&client, pod("p", "1")).await;
    settle().await;
    assert_eq!(node_of(&fake, "p").as_deref(), Some("n"), "the first one's place was free");
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_important_are_placed_first() {
    let (fake, client) = Fake::start();
    let handle = start(&fake, &client);
    for (name, priority) in [("low", 1), ("high", 100), ("middle", 50)] {
        let mut pod = pod(name, "1");
        pod["spec"]["priority"] = priority.into();
        create(&client, pod).await;
    }
    settle().await;
    create_node(&client, "n", "2").await;
    settle().await;
    let placed: Vec<bool> = ["high", "middle", "low"].iter().map(|name| node_of(&fake, name).is_some()).collect();
    assert_eq!(placed, [true, true, false]);
    handle.stop().await;
}
