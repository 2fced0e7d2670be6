//! What a new cluster contains, and what of it is kept up at every start.
//!
//! Invariants: idempotent; what users changed stays, except that default roles get back what they lost (see
//! `reconcile`); namespaces come first, everything else at once, so that the start costs a few commits, not a hundred.

mod announce;
mod apply;
mod approval;
mod objects;
mod policy;
pub(crate) mod priority_and_fairness;
mod reconcile;
mod token;

pub use announce::announce;
pub use approval::{Approval, approves};
pub use token::{NewToken, create_bootstrap_token};

use api::Status;
use client::Client;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use policy::Policy;
use std::net::{IpAddr, SocketAddr};

/// What the cluster's objects say about its servers.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where pods reach the API server: never a loopback address.
    pub address: IpAddr,
    pub port: u16,
    /// No other server is there: the bootstrap itself says where the API is.
    pub alone: bool,
    /// Where nodes and users reach it: `https://10.0.0.1:6443`.
    pub server: String,
    /// The first address of the service range.
    pub api_service_ip: IpAddr,
    pub dns_service_ip: IpAddr,
    /// In PEM: `Pki::server_ca.bundle_pem()`.
    pub server_ca: String,
    /// In PEM: `Pki::client_ca.bundle_pem()`.
    pub client_ca: String,
    /// In PEM: `Pki::front_proxy_ca.bundle_pem()`.
    pub front_proxy_ca: String,
}

/// Brings the cluster's own objects up to date; the client must be of `system:masters`.
pub async fn bootstrap(client: &Client, facts: &Facts) -> Result<(), Status> {
    let mut policy = Policy::default_policy().map_err(Status::internal)?;
    reconcile::fill_aggregated(&mut policy.cluster_roles);
    apply::create_missing(client, objects::namespaces()).await?;
    let told = async {
        if !facts.alone {
            return apply::create_missing(client, vec![objects::cluster_info(facts)]).await;
        }
        let own = [SocketAddr::new(facts.address, facts.port)];
        tokio::try_join!(invite(client, facts), announce(client, &own)).map(drop)
    };
    // Boxed: the futures of a hundred writes do not belong on the stack.
    futures::future::try_join5(
        Box::pin(apply::create_missing(client, objects::priority_classes())),
        Box::pin(apply::create_missing(client, objects::services(facts))),
        Box::pin(told),
        Box::pin(apply::keep(client, vec![objects::extension_authentication(facts)])),
        Box::pin(async { tokio::try_join!(roles(client, policy), priority_and_fairness::keep(client)).map(drop) }),
    )
    .await?;
    Ok(())
}

/// Says to those who join the cluster where its API is and whom to trust: at this server. Of several the leader does.
pub async fn invite(client: &Client, facts: &Facts) -> Result<(), Status> {
    apply::keep(client, vec![objects::cluster_info(facts)]).await
}

async fn roles(client: &Client, policy: Policy) -> Result<(), Status> {
    futures::future::try_join4(
        apply::reconcile::<ClusterRole>(client, policy.cluster_roles),
        apply::reconcile::<ClusterRoleBinding>(client, policy.cluster_bindings),
        apply::reconcile::<Role>(client, policy.roles),
        apply::reconcile::<RoleBinding>(client, policy.bindings),
    )
    .await?;
    Ok(())
}

#[cfg(test)]
pub(crate) use tests::test_facts;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upstream;
