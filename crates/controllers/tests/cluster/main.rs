//! What a cluster's controllers do together, against an in-memory server: the world after things have settled.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod autoscalers;
mod budgets;
mod garbage;
mod migrations;
mod mirrors;
mod namespaces;
mod protection;
mod requests;
mod services;

use api::Kind;
use api::k8s_openapi::api::core::v1::{Node, Pod};
use client::Client;
use client::testing::Fake;
use controllers::{Handle, Options};
use serde_json::{Value, json};
use std::time::Duration;

/// A server and its controllers; the time is tokio's, and paused.
struct Cluster {
    fake: Fake,
    client: Client,
    handle: Handle,
}

fn options() -> Options {
    Options {
        root_ca_pem: Some("PEM".to_owned()),
        signer: Some(std::sync::Arc::new(requests::NodesOnly)),
        // Nodes here have no kubelet.
        node_monitor_grace: Duration::from_secs(1_000_000),
        ..Options::default()
    }
}

impl Cluster {
    fn start() -> Cluster {
        let (fake, client) = Fake::start();
        let server = fake.clone();
        let handle = controllers::start(client.clone(), reconcile::Clock::new(move || server.now()), options());
        Cluster { fake, client, handle }
    }

    /// As `start`, with watches that lag by up to some seconds, each differently.
    fn start_lagging() -> Cluster {
        let cluster = Cluster::start();
        cluster.fake.set_lag(|resource, revision| {
            Duration::from_millis((revision * 7919 + resource.len() as u64 * 104_729) % 2500)
        });
        cluster
    }

    async fn create<K: Kind>(&self, object: Value) -> K {
        let object: K = serde_json::from_value(object).unwrap();
        self.client.create(&object).await.unwrap()
    }

    async fn delete<K: Kind>(&self, namespace: &str, name: &str, propagation: Option<&'static str>) {
        let options = client::DeleteOptions { propagation, ..client::DeleteOptions::default() };
        self.client.delete::<K>(namespace, name, &options).await.unwrap();
    }

    async fn merge<K: Kind>(&self, namespace: &str, name: &str, subresource: Option<api::Subresource>, patch: Value) {
        let merged: Result<K, _> =
            self.client.patch(namespace, name, client::PatchType::Merge, subresource, &patch).await;
        merged.unwrap();
    }

    fn get<K: Kind>(&self, namespace: &str, name: &str) -> Option<K> {
        self.fake.get(namespace, name)
    }

    /// Long enough for every lag and every second look; the paused clock makes it quick.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    /// A node that pods may be bound to: pods of nodes that do not exist are cleared away.
    async fn node(&self, name: &str) {
        let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        self.create::<Node>(json!({"metadata": {"name": name}, "status": status})).await;
    }

    /// The node says that a pod has ended.
    async fn ended(&self, name: &str, namespace: &str) {
        let options = client::DeleteOptions { grace_seconds: Some(0), ..client::DeleteOptions::default() };
        self.client.delete::<Pod>(namespace, name, &options).await.unwrap();
    }

    async fn stop(self) {
        self.handle.stop().await;
    }
}

fn names<K: Kind>(objects: &[K]) -> Vec<String> {
    objects.iter().map(|object| object.metadata().name.clone().unwrap()).collect()
}
