//! Disruption budgets, from the pods there are and the pods there should be.

use crate::Cluster;
use api::Subresource;
use api::k8s_openapi::api::apps::v1::StatefulSet;
use api::k8s_openapi::api::core::v1::{Event, Pod};
use api::k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use serde_json::{Value, json};

async fn budget(cluster: &Cluster, spec: Value) {
    cluster
        .create::<PodDisruptionBudget>(json!({"metadata": {"name": "b", "namespace": "default"}, "spec": spec}))
        .await;
}

async fn pods(cluster: &Cluster, count: usize, owner: Option<&StatefulSet>) {
    for n in 0..count {
        let owners: Vec<Value> = owner
            .iter()
            .map(|set| {
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.metadata.name,
                    "uid": set.metadata.uid, "controller": true})
            })
            .collect();
        cluster
            .create::<Pod>(
                json!({"metadata": {"name": format!("p{n}"), "namespace": "default", "labels": {"app": "db"},
                "ownerReferences": owners}, "spec": {"containers": []}}),
            )
            .await;
        let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        cluster.merge::<Pod>("default", &format!("p{n}"), Some(Subresource::Status), status).await;
    }
}

async fn set(cluster: &Cluster, replicas: i32) -> StatefulSet {
    cluster
        .create(json!({"metadata": {"name": "db", "namespace": "default"}, "spec": {"replicas": replicas,
            "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {"app": "db"}}}}}))
        .await
}

fn status(cluster: &Cluster) -> PodDisruptionBudgetStatus {
    cluster.get::<PodDisruptionBudget>("default", "b").unwrap().status.unwrap()
}

/// Expected, desired, healthy, allowed, and why.
fn numbers(cluster: &Cluster) -> ([Option<i32>; 4], String) {
    let status = status(cluster);
    let reason = status.conditions.unwrap()[0].reason.clone();
    ([status.expected_pods, status.desired_healthy, status.current_healthy, status.disruptions_allowed], reason)
}

#[tokio::test(start_paused = true)]
async fn the_pods_that_should_be_are_counted_by_their_owners_scale() {
    let cluster = Cluster::start_lagging();
    budget(&cluster, json!({"maxUnavailable": "40%", "selector": {"matchLabels": {"app": "db"}}})).await;
    let owner = set(&cluster, 5).await;
    pods(&cluster, 4, Some(&owner)).await;
    cluster.settle().await;
    assert_eq!(numbers(&cluster), ([Some(5), Some(3), Some(4), Some(1)], "SufficientPods".to_owned()));
    cluster.merge::<StatefulSet>("default", "db", None, json!({"spec": {"replicas": 10}})).await;
    cluster.settle().await;
    assert_eq!(numbers(&cluster), ([Some(10), Some(6), Some(4), Some(0)], "InsufficientPods".to_owned()));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_without_an_owner_count_only_for_a_plain_number() {
    let cluster = Cluster::start();
    budget(&cluster, json!({"minAvailable": 2, "selector": {}})).await;
    pods(&cluster, 3, None).await;
    cluster.settle().await;
    assert_eq!(numbers(&cluster), ([Some(3), Some(2), Some(3), Some(1)], "SufficientPods".to_owned()));
    cluster.merge::<PodDisruptionBudget>("default", "b", None, json!({"spec": {"minAvailable": "50%"}})).await;
    cluster.settle().await;
    let (counts, _) = numbers(&cluster);
    assert_eq!(counts[3], Some(0), "nothing is expected of pods that nobody keeps");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_led_to_nothing_is_given_back_and_told() {
    let cluster = Cluster::start();
    budget(&cluster, json!({"minAvailable": 2, "selector": {"matchLabels": {"app": "db"}}})).await;
    pods(&cluster, 3, None).await;
    cluster.settle().await;
    let taken = json!({"status": {"disruptionsAllowed": 0, "disruptedPods": {"p1": cluster.fake.now().to_string()}}});
    cluster.merge::<PodDisruptionBudget>("default", "b", Some(Subresource::Status), taken).await;
    cluster.settle().await;
    assert_eq!(numbers(&cluster).0, [Some(3), Some(2), Some(2), Some(0)], "p1 is thought to be going");
    cluster.settle().await;
    cluster.settle().await;
    assert_eq!(numbers(&cluster).0, [Some(3), Some(2), Some(3), Some(1)]);
    assert_eq!(status(&cluster).disrupted_pods, None);
    let events = cluster.fake.all::<Event>();
    let told = events.iter().find(|event| event.reason.as_deref() == Some("NotDeleted")).expect("an event");
    assert_eq!(told.involved_object.name.as_deref(), Some("p1"));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_covers_nothing_says_so() {
    let cluster = Cluster::start();
    budget(&cluster, json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "none"}}})).await;
    cluster.settle().await;
    assert_eq!(numbers(&cluster), ([Some(0), Some(1), Some(0), Some(0)], "InsufficientPods".to_owned()));
    let events = cluster.fake.all::<Event>();
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("NoPods")));
    cluster.stop().await;
}
