//! A hollow node: everything that the API sees of a machine, and no machine.
//!
//! It registers, renews its lease, runs the pods bound to it (they are Running and Ready at once, with an address of
//! the node's own range) and confirms their deletion. Invariants: no two of its pods have one address; what it ran
//! outlives its loss, as containers outlive their kubelet; a lost node does and answers nothing, also not what it had
//! half done. Bound: one entry per pod, `WRITES_MAX` writes under way.

mod pods;
mod registration;

pub use pods::Containers;
pub use registration::{Heartbeats, Room, register};

use api::Status;
use client::{CacheScope, Client};
use k8s_openapi::api::core::v1::Node;
use pods::Pods;
use registration::Heart;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Status writes and confirmations of one node under way at once.
pub(crate) const WRITES_MAX: usize = 16;

/// A hollow node that is up. Dropped, it is lost.
pub struct HollowNode {
    /// Its end is the node's.
    alive: watch::Sender<()>,
    task: JoinHandle<Result<Containers, Status>>,
}

impl HollowNode {
    /// Registers, is heard of every `heartbeat`, and runs its pods; `containers` is what an earlier life left.
    ///
    /// # Errors
    /// What the API refused of the registration.
    pub async fn start(
        client: &Client,
        name: &str,
        heartbeat: Duration,
        room: &Room,
        containers: Containers,
    ) -> Result<HollowNode, Status> {
        // Caches of its own, which end with the node.
        let client = Client::new(client.transport().clone());
        register(&client, name, room).await?;
        let mut heart = Heart::new(client.clone(), name, heartbeat);
        heart.beat().await?;
        let (alive, mut lost) = watch::channel(());
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            let mut pods = Pods::new(client, name, containers);
            let failed = tokio::select! {
                failed = heart.run() => failed,
                failed = pods.run() => failed,
                _ = lost.changed() => return Ok(pods.into_containers()),
            };
            // Whoever waits for the node's pods should read why they do not come.
            Err(failed.map_or_else(
                |status| {
                    eprintln!("a hollow node ended: {status}");
                    status
                },
                |never| match never {},
            ))
        });
        Ok(HollowNode { alive, task })
    }

    /// The machine is gone, in the middle of whatever it did; what it ran is for its next life.
    ///
    /// # Errors
    /// What had ended it before.
    pub async fn lose(self) -> Result<Containers, Status> {
        drop(self.alive);
        self.task.await.unwrap_or_else(|error| Err(Status::internal(format!("a hollow node's task: {error}"))))
    }
}

/// The node's own object, followed.
pub(crate) fn own_node(client: &Client, name: &str) -> client::Cache<Node> {
    client.cache_of(CacheScope { field_selector: format!("metadata.name={name}"), ..CacheScope::default() })
}

/// What a loop that only its failure ends answers.
pub(crate) type Endless = Result<Infallible, Status>;
