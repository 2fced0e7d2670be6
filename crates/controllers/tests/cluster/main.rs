//! What a cluster's controllers do together, against an in-memory server: the world after things have settled.

mod budgets;
mod garbage;
mod namespaces;
mod nodes;
mod services;

use api::Kind;
use client::Client;
use client::testing::Fake;
use controllers::{Handle, Options};
use serde_json::Value;
use std::time::Duration;

/// A server and its controllers; the time is tokio's, and paused.
struct Cluster {
    fake: Fake,
    client: Client,
    handle: Handle,
}

fn options() -> Options {
    Options {
        root_ca_pem: "PEM".to_owned(),
        cluster_cidrs: vec!["10.42.0.0/21".parse().unwrap()],
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

    async fn stop(self) {
        self.handle.stop().await;
    }
}

fn names<K: Kind>(objects: &[K]) -> Vec<String> {
    objects.iter().map(|object| object.metadata().name.clone().unwrap()).collect()
}
