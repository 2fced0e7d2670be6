//! The leader: of all servers over one etcd the one whose controllers and scheduler run.
//!
//! Invariants: a term is a claim in etcd, and what its components write is committed only while that claim stands
//! (`registry::Fence`): so no two terms overlap in what they do, whatever clocks, networks and processes do. A term's
//! components begin when this server's caches have all that the terms before wrote.

use crate::files;
use crate::roles::components::Components;
use crate::roles::server::facts;
use crate::roles::server_token::random;
use crate::roles::{leases, servers};
use crate::settings::Settings;
use api::user::User;
use apiserver::pki::Pki;
use apiserver::{Backend, Direct};
use client::Client;
use k8s_openapi::api::core::v1::Namespace;
use registry::Fence;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::{Claim, Etcd};
use tokio_util::sync::CancellationToken;

const LEADER: &str = "claims/leader";
/// After something of a term, or the claim to it, failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A server that leads when nobody else does.
pub(super) struct Candidate {
    store: Arc<Etcd>,
    backend: Arc<Backend>,
    settings: Settings,
    pki: Arc<Pki>,
    /// By which people know who leads; no other process has it.
    identity: String,
}

impl Candidate {
    pub(super) fn new(
        store: Arc<Etcd>,
        backend: Arc<Backend>,
        settings: Settings,
        pki: Arc<Pki>,
    ) -> anyhow::Result<Candidate> {
        let identity = format!("{}_{}", settings.node_name, files::hexadecimal(&random::<8>()?));
        Ok(Candidate { store, backend, settings, pki, identity })
    }

    /// Leads term after term until asked to stop; then the next server may at once.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            let claimed = tokio::select! {
                () = stop.cancelled() => return,
                claimed = self.store.claim(LEADER, &self.identity) => claimed,
            };
            match claimed {
                Ok(claim) => self.lead(claim, &stop).await,
                Err(error) => {
                    tracing::warn!(%error, "this server cannot ask to lead yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn lead(&self, mut claim: Claim, stop: &CancellationToken) {
        let (key, at) = claim.fence();
        let user = User::component("system:apiserver");
        let client = Client::new(Arc::new(Direct::fenced(self.backend.clone(), user, Fence { key, at })));
        let mut components = None;
        let lost = {
            let term = async {
                caught_up(&client).await;
                tracing::info!(identity = self.identity, "this server leads the cluster");
                components = Some(Components::start(&self.settings, &client, &self.pki, &self.backend));
                let facts = facts(&self.settings, &self.pki);
                let announced = again("the servers' addresses", || servers::announce(&self.store, &client, &facts));
                let shown = again("the leader's leases", || leases::show(&client, &self.identity));
                tokio::join!(announced, shown).0
            };
            tokio::select! {
                lost = claim.lost() => Some(lost),
                () = stop.cancelled() => None,
                never = term => match never {},
            }
        };
        match lost {
            Some(error) => {
                tracing::warn!(%error, "this server leads the cluster no more");
                drop(components);
            }
            None => {
                if let Some(components) = components {
                    components.stop().await;
                }
                if let Err(error) = claim.release().await {
                    tracing::warn!(%error, "the next server leads when this one's claim has ended by itself");
                }
            }
        }
    }
}

/// Returns when this server's caches have all that was written before the term began: a read waits for that.
async fn caught_up(client: &Client) {
    while let Err(error) = client.find::<Namespace>("", "kube-system").await {
        tracing::warn!(%error, "the leader cannot read the cluster yet");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Does for a whole term what is not to end.
async fn again<F>(what: &'static str, mut make: impl FnMut() -> F) -> Infallible
where
    F: Future<Output = anyhow::Result<Infallible>>,
{
    loop {
        let Err(error) = make().await;
        tracing::warn!("{what} are written again: {error:#}");
        tokio::time::sleep(PAUSE).await;
    }
}
