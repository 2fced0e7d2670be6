//! The servers of a cluster over one etcd: each enters itself in a list there, and the leader has pods find all of them.
//!
//! Invariants: an entry is a claim: it goes with its process, a few seconds later at most when that died without a word.
//! Two servers of one name are refused: what each server keeps of its own in etcd is told apart by the name. One that
//! slept until another took its name ends.

use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use apiserver::bootstrap::Facts;
use client::{CacheScope, Client};
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Claim, Etcd, Key, Store};
use tokio_util::sync::CancellationToken;

const SERVERS: &str = "claims/servers/";
/// Longer than a dead server's entry lasts.
const SUCCESSION_TIME_MAX: Duration = Duration::from_secs(6);
/// Between attempts to enter anew, after etcd refused one.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// Where pods and other machines reach the API.
    address: SocketAddr,
}

/// This server's place in the list.
pub(super) struct Presence {
    store: Arc<Etcd>,
    key: String,
    entry: String,
    claim: Claim,
}

impl Presence {
    /// Waits for as long as the entry of a process before us may still stand.
    pub(super) async fn enter(store: Arc<Etcd>, settings: &Settings) -> Result<Presence> {
        let name = &settings.node_name;
        let key = format!("{SERVERS}{name}");
        let address = SocketAddr::new(settings.public_ip(), settings.listen.port());
        let entry = serde_json::to_string(&Entry { address }).context("encoding this server's entry")?;
        match tokio::time::timeout(SUCCESSION_TIME_MAX, store.claim(&key, &entry)).await {
            Ok(claim) => {
                let claim = claim.context("entering this server in the list of the cluster's")?;
                Ok(Presence { store, key, entry, claim })
            }
            Err(_) => bail!(
                "a server named {name} serves this cluster already, or etcd does not answer: servers need a \
                 --node-name each"
            ),
        }
    }

    pub(super) fn store(&self) -> Arc<Etcd> {
        self.store.clone()
    }

    /// Stays in the list, whatever becomes of etcd, and leaves it when asked to.
    pub(super) async fn stay(mut self, stop: CancellationToken) -> Result<()> {
        loop {
            let lost = tokio::select! {
                lost = self.claim.lost() => lost,
                () = stop.cancelled() => break,
            };
            tracing::warn!(error = %lost, "this server fell out of the list of the cluster's and enters it again");
            tokio::select! {
                claim = self.again() => self.claim = claim?,
                () = stop.cancelled() => return Ok(()),
            }
        }
        self.claim.release().await.context("this server's entry in the list of the cluster's ends by itself")
    }

    async fn again(&self) -> Result<Claim> {
        loop {
            match tokio::time::timeout(SUCCESSION_TIME_MAX, self.store.claim(&self.key, &self.entry)).await {
                Ok(Ok(claim)) => return Ok(claim),
                Ok(Err(error)) => tracing::warn!(%error, "etcd does not take this server's entry yet"),
                Err(_) => self.check_name().await?,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Refuses a name that another server has taken meanwhile.
    async fn check_name(&self) -> Result<()> {
        match self.store.get(&self.key).await {
            Ok(Some(stands)) if stands.value != self.entry => {
                let other = String::from_utf8_lossy(&stands.value).into_owned();
                bail!("another server has taken this one's --node-name, as {}: {other}", self.key)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "etcd does not tell who has this server's entry");
                Ok(())
            }
        }
    }
}

/// Has the endpoints of the `kubernetes` service be the servers of the list, for as long as it changes or somebody
/// changes the endpoints.
pub(super) async fn announce(store: &Etcd, client: &Client, facts: &Facts) -> Result<Infallible> {
    apiserver::bootstrap::invite(client, facts).await.context("telling those who join where the API is")?;
    let range = store.range(SERVERS, None, 0, None).await.context("reading the list of servers")?;
    let mut watch = store.watch(SERVERS, range.revision).await.context("watching the list of servers")?;
    let mut list: BTreeMap<Key, SocketAddr> =
        range.items.into_iter().filter_map(|item| Some((item.key.clone(), address(&item.key, &item.value)?))).collect();
    let own = |label_selector: &str, field_selector: &str| CacheScope {
        namespace: "default".to_owned(),
        label_selector: label_selector.to_owned(),
        field_selector: field_selector.to_owned(),
    };
    let mut endpoints = client.cache_of::<Endpoints>(own("", "metadata.name=kubernetes")).changes();
    let mut slices = client.cache_of::<EndpointSlice>(own("kubernetes.io/service-name=kubernetes", "")).changes();
    loop {
        let servers: Vec<SocketAddr> = list.values().copied().collect();
        // While etcd has forgotten all of them, who asks is best served by where they were.
        if !servers.is_empty() {
            let told = apiserver::bootstrap::announce(client, &servers).await;
            told.context("writing the endpoints of the kubernetes service")?;
        }
        tokio::select! {
            events = watch.next() => for event in events.context("watching the list of servers")? {
                match event.value.and_then(|value| address(&event.key, &value)) {
                    Some(address) => drop(list.insert(event.key, address)),
                    None => drop(list.remove(&event.key)),
                }
            },
            _ = endpoints.next() => {}
            _ = slices.next() => {}
        }
    }
}

fn address(key: &Key, value: &[u8]) -> Option<SocketAddr> {
    match serde_json::from_slice::<Entry>(value) {
        Ok(entry) => Some(entry.address),
        Err(error) => {
            tracing::error!(%key, %error, "a server's entry is not understood: pods are not told of it");
            None
        }
    }
}
