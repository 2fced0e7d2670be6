//! Where the server keeps the cluster's objects: the embedded store, or an etcd that other servers serve as well.
//!
//! Invariant: a server over etcd has the cluster's keys before it makes any of its own.

use crate::engine;
use crate::roles::shared_keys;
use crate::settings::{self, Settings};
use anyhow::{Context, Result};
use apiserver::Backend;
use std::sync::Arc;
use store::{Embedded, Etcd, Store};

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

pub(super) enum Datastore {
    Embedded(Arc<Embedded>),
    Etcd(Arc<Etcd>),
}

impl Datastore {
    pub(super) async fn open(settings: &Settings) -> Result<Datastore> {
        let dir = settings.data_dir.join("store");
        match &settings.datastore {
            None => {
                let opened = tokio::task::spawn_blocking(move || Embedded::open(dir, store::Options::default())).await;
                Ok(Datastore::Embedded(Arc::new(opened.context("opening the store")?.context("opening the store")?)))
            }
            Some(datastore) => {
                let store = open_etcd(datastore).await?;
                engine::check_there(&store, settings, datastore).await?;
                shared_keys::agree(&store, datastore, settings).await?;
                engine::record(&settings.data_dir, datastore)?;
                Ok(Datastore::Etcd(Arc::new(store)))
            }
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Datastore::Embedded(store) => store.clone(),
            Datastore::Etcd(store) => store.clone(),
        }
    }

    /// The store that nobody else writes.
    pub(super) fn embedded(&self) -> Option<Arc<Embedded>> {
        match self {
            Datastore::Embedded(store) => Some(store.clone()),
            Datastore::Etcd(_) => None,
        }
    }

    /// The store that other servers write, too.
    pub(super) fn shared(&self) -> Option<Arc<Etcd>> {
        match self {
            Datastore::Embedded(_) => None,
            Datastore::Etcd(store) => Some(store.clone()),
        }
    }

    /// Has `/metrics` show what the embedded store counts; etcd has metrics of its own.
    pub(super) fn show_metrics(&self, backend: &Backend) {
        let Datastore::Embedded(store) = self else { return };
        let store = store.clone();
        backend.show_metrics(Box::new(move |out| write_stats(&store.stats(), out)));
    }

    pub(super) fn writable(&self) -> Check {
        match self {
            Datastore::Embedded(store) => {
                let store = store.clone();
                Box::new(move || store.writable().map_err(|error| error.to_string()))
            }
            Datastore::Etcd(store) => {
                let store = store.clone();
                Box::new(move || store.health().map_err(|error| error.to_string()))
            }
        }
    }
}

fn write_stats(stats: &store::Stats, out: &mut String) {
    for (name, kind, help, amount) in [
        ("sampan_store_keys", "gauge", "Keys that have a value.", stats.keys as u64),
        ("sampan_store_live_bytes", "gauge", "Bytes of keys and their newest values.", stats.live_bytes),
        (
            "sampan_store_history_events",
            "gauge",
            "Changes that watches can still begin before.",
            stats.history_events as u64,
        ),
        ("sampan_store_history_bytes", "gauge", "Memory that only those changes hold.", stats.history_bytes),
        ("sampan_store_log_bytes", "gauge", "Size of the log on disk.", stats.log_bytes),
        ("sampan_store_commits_total", "counter", "Transactions that changed something.", stats.commits),
        ("sampan_store_syncs_total", "counter", "Syncs of the log, each for all commits that waited.", stats.syncs),
        ("sampan_store_log_written_bytes_total", "counter", "Bytes written to the log.", stats.log_bytes_written),
        ("sampan_store_snapshots_total", "counter", "Snapshots written.", stats.snapshots),
        ("sampan_store_snapshot_written_bytes_total", "counter", "Bytes of those.", stats.snapshot_bytes_written),
    ] {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {amount}\n"));
    }
}

async fn open_etcd(datastore: &settings::Datastore) -> Result<Etcd> {
    let place = datastore.endpoints.join(",");
    Etcd::open(engine::options(datastore)?).await.with_context(|| format!("opening the datastore {place}"))
}
