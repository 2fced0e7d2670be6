//! Where the server keeps the cluster's objects: the embedded store, or an etcd.
//!
//! Invariant: one server at a time serves what an etcd holds. Two would each hand out service addresses and node ports
//! from what its own memory knows, and run controllers and a scheduler without a leader: a second one says so and ends.

use crate::roles::authority_pin;
use crate::settings::{self, Settings};
use anyhow::{Context, Result, anyhow, bail};
use apiserver::pki::Pki;
use std::path::Path;
use std::sync::Arc;
use store::{Claim, Claimed, Embedded, Etcd, EtcdOptions, EtcdTls, Store};

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

pub(super) enum Datastore {
    Embedded(Arc<Embedded>),
    Etcd { store: Arc<Etcd>, serving: Claim },
}

impl Datastore {
    pub(super) async fn open(settings: &Settings, pki: &Pki) -> Result<Datastore> {
        let dir = settings.data_dir.join("store");
        match &settings.datastore {
            None => {
                let opened = tokio::task::spawn_blocking(move || Embedded::open(dir, store::Options::default())).await;
                Ok(Datastore::Embedded(Arc::new(opened.context("opening the store")?.context("opening the store")?)))
            }
            Some(_) if dir.exists() => bail!(
                "{} holds this cluster's objects, and moving them to etcd is not built: leave --datastore-endpoint \
                 away, or begin a new cluster with another --data-dir",
                dir.display()
            ),
            Some(datastore) => open_etcd(settings, datastore, pki).await,
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Datastore::Embedded(store) => store.clone(),
            Datastore::Etcd { store, .. } => store.clone(),
        }
    }

    /// The store that nobody else writes.
    pub(super) fn embedded(&self) -> Option<Arc<Embedded>> {
        match self {
            Datastore::Embedded(store) => Some(store.clone()),
            Datastore::Etcd { .. } => None,
        }
    }

    pub(super) fn writable(&self) -> Check {
        match self {
            Datastore::Embedded(store) => {
                let store = store.clone();
                Box::new(move || store.writable().map_err(|error| error.to_string()))
            }
            Datastore::Etcd { store, .. } => {
                let store = store.clone();
                Box::new(move || store.health().map_err(|error| error.to_string()))
            }
        }
    }

    /// Returns when another server may have taken our place.
    pub(super) async fn lost(&mut self) -> anyhow::Error {
        match self {
            Datastore::Embedded(_) => std::future::pending().await,
            Datastore::Etcd { serving, .. } => {
                anyhow!(serving.lost().await).context("another server may serve this cluster from now on")
            }
        }
    }

    /// Lets the next server begin at once.
    pub(super) async fn release(self) -> Result<()> {
        match self {
            Datastore::Embedded(_) => Ok(()),
            Datastore::Etcd { serving, .. } => serving.release().await.context("leaving the datastore to others"),
        }
    }
}

async fn open_etcd(settings: &Settings, datastore: &settings::Datastore, pki: &Pki) -> Result<Datastore> {
    let place = datastore.endpoints.join(",");
    let options = EtcdOptions { endpoints: datastore.endpoints.clone(), tls: tls(datastore)?, ..Default::default() };
    let store = Etcd::open(options).await.with_context(|| format!("opening the datastore {place}"))?;
    let own = authority_pin(pki.server_ca.bundle_pem())?;
    let owner = store.own(&own).await.with_context(|| format!("asking {place} whose objects it holds"))?;
    if owner != own {
        bail!(
            "{place} holds the objects of a cluster with another certificate authority ({owner}, ours is {own}): to \
             serve that cluster, copy its server's pki directory to {}",
            settings.data_dir.join("pki").display()
        );
    }
    let claimed = store.claim("server", &settings.node_name).await;
    match claimed.with_context(|| format!("becoming the server of {place}"))? {
        Claimed::Ours(serving) => Ok(Datastore::Etcd { store: Arc::new(store), serving }),
        Claimed::Theirs(holder) => bail!(
            "the server {holder} serves what {place} holds, and two at once are not safe yet: service addresses and \
             node ports are handed out from each server's memory, and controllers and scheduler elect no leader; stop \
             {holder} first"
        ),
    }
}

fn tls(datastore: &settings::Datastore) -> Result<Option<EtcdTls>> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    let Some(ca) = &datastore.ca_file else { return Ok(None) };
    let identity = match &datastore.identity_files {
        Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
        None => None,
    };
    Ok(Some(EtcdTls { ca: read(ca)?, identity }))
}
