//! A hollow node's object and its heartbeat.

use super::Endless;
use api::{Reason, Status, Subresource};
use client::{Client, PatchType};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;

const LEASE_NAMESPACE: &str = "kube-node-lease";

/// What a node offers and how it is labelled, beside its host name.
#[derive(Clone, Debug)]
pub struct Room {
    pub cpu: &'static str,
    pub memory: &'static str,
    pub pods: usize,
    pub labels: BTreeMap<String, String>,
}

impl Default for Room {
    fn default() -> Room {
        Room { cpu: "32", memory: "256Gi", pods: 110, labels: BTreeMap::new() }
    }
}

/// Makes the node's object, or takes the one of an earlier life, and reports it ready.
///
/// # Errors
/// What the API refused.
pub async fn register(client: &Client, name: &str, room: &Room) -> Result<(), Status> {
    let mut labels = room.labels.clone();
    labels.insert("kubernetes.io/hostname".to_owned(), name.to_owned());
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    match client.create(&Node { metadata, ..Node::default() }).await {
        Err(status) if status.reason == Reason::AlreadyExists => {}
        made => made.map(drop)?,
    }
    let patch = serde_json::json!({"status": status(room)});
    client.patch::<Node>("", name, PatchType::Merge, Some(Subresource::Status), &patch).await.map(drop)
}

fn status(room: &Room) -> NodeStatus {
    let amounts = [("cpu", room.cpu.to_owned()), ("memory", room.memory.to_owned()), ("pods", room.pods.to_string())];
    let amounts: BTreeMap<String, Quantity> =
        amounts.into_iter().map(|(what, amount)| (what.to_owned(), Quantity(amount))).collect();
    let now = Time(Timestamp::now());
    NodeStatus {
        capacity: Some(amounts.clone()),
        allocatable: Some(amounts),
        conditions: Some(vec![NodeCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            reason: Some("KubeletReady".to_owned()),
            message: Some("the hollow node is ready".to_owned()),
            last_heartbeat_time: Some(now.clone()),
            last_transition_time: Some(now),
        }]),
        ..NodeStatus::default()
    }
}

/// Renews the node's lease.
pub(crate) struct Heart {
    client: Client,
    name: String,
    every: Duration,
}

impl Heart {
    pub(crate) fn new(client: Client, name: &str, every: Duration) -> Heart {
        Heart { client, name: name.to_owned(), every }
    }

    pub(crate) async fn run(&mut self) -> Endless {
        loop {
            tokio::time::sleep(self.every).await;
            match self.beat().await {
                // The server is away; the next beat may reach it.
                Err(status) if status.reason == Reason::ServiceUnavailable || status.reason == Reason::Timeout => {}
                beaten => beaten?,
            }
        }
    }

    pub(crate) async fn beat(&self) -> Result<(), Status> {
        let spec = LeaseSpec {
            holder_identity: Some(self.name.clone()),
            lease_duration_seconds: i32::try_from(self.every.as_secs().max(1) * 4).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        };
        let patch = serde_json::json!({"spec": spec});
        match self.client.patch::<Lease>(LEASE_NAMESPACE, &self.name, PatchType::Merge, None, &patch).await {
            Err(status) if status.reason == Reason::NotFound => {}
            renewed => return renewed.map(drop),
        }
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(LEASE_NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        };
        self.client.create(&Lease { metadata, spec: Some(spec) }).await.map(drop)
    }
}

/// Renews the leases of many registered nodes from one place; ends when dropped.
pub struct Heartbeats {
    task: JoinHandle<()>,
}

impl Heartbeats {
    /// Each node is heard of every `every`, one after the other.
    pub fn start(client: Client, names: Vec<String>, every: Duration) -> Heartbeats {
        let mut ticks = tokio::time::interval(every / u32::try_from(names.len().max(1)).unwrap_or(u32::MAX));
        let task = tokio::spawn(async move {
            for name in names.iter().cycle() {
                ticks.tick().await;
                if let Err(status) = Heart::new(client.clone(), name, every).beat().await {
                    eprintln!("the lease of node {name} was not renewed: {status}");
                }
            }
        });
        Heartbeats { task }
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.task.abort();
    }
}
