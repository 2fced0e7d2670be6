//! What a new kubelet makes of the pods of the one before.

use crate::support::node;
use client::DeleteOptions;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

#[tokio::test]
async fn running_containers_go_on_and_ends_are_reported() {
    let Some(node) = node("restart") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: web}, spec: {restartPolicy: OnFailure, containers: [{name: a, image: 'busybox:1'}, {name: b, image: 'busybox:1'}]}}").await;
    let before = node.until_ready("web").await.container_statuses.unwrap();
    kubelet.shutdown().await;
    assert_eq!(node.runtime.held.lock().unwrap().stops, [], "containers run on");
    node.runtime.exit("b", 42, "");

    let kubelet = node.start().await;
    let status = node
        .until("web", "the restart of b", |status| {
            status.container_statuses.iter().flatten().any(|one| one.name == "b" && one.restart_count == 1 && one.ready)
        })
        .await;
    let after = status.container_statuses.unwrap();
    assert_eq!(after[0].container_id, before[0].container_id);
    assert_eq!(after[0].state, before[0].state, "with its start time");
    assert_eq!(after[1].last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 42);
    kubelet.shutdown().await;
}

#[tokio::test]
async fn what_is_being_made_is_made_before_the_node_ends() {
    let Some(node) = node("making") else { return };
    let kubelet = node.start().await;
    let turns = Arc::new(Semaphore::new(0));
    *node.runtime.turns.lock().unwrap() = Some(turns.clone());
    node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1'}]}}").await;
    node.runtime.until("the runtime to be asked for a sandbox", |held| held.asked == 1).await;
    let mut ending = std::pin::pin!(kubelet.shutdown());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ending).await;
    assert!(early.is_err(), "the node ended before the runtime had answered");
    turns.add_permits(1);
    ending.await;
    assert_eq!(node.runtime.held.lock().unwrap().sandboxes.len(), 1, "the call was not broken off");

    let kubelet = node.start().await;
    node.until_ready("web").await;
    assert_eq!(node.runtime.held.lock().unwrap().asked, 1, "the next node goes on with that sandbox");
    kubelet.shutdown().await;
}

#[tokio::test]
async fn pods_that_were_deleted_meanwhile_are_removed() {
    let Some(node) = node("orphan") else { return };
    let kubelet = node.start().await;
    let pod = node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1'}]}}").await;
    node.until_ready("web").await;
    kubelet.shutdown().await;
    let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    node.client.delete::<Pod>("default", "web", &options).await.unwrap();
    node.until_gone("web").await;

    let kubelet = node.start().await;
    node.runtime.until("the orphan to be gone", |held| held.containers.is_empty() && held.sandboxes.is_empty()).await;
    let directory = node.data.path().join("kubelet/pods").join(pod.metadata.uid.unwrap());
    let waiting = async {
        while directory.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.is_ok());
    kubelet.shutdown().await;
}
