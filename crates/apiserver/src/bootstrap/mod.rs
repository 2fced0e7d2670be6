//! What a new cluster contains, and what of it is kept up at every start.
//!
//! Invariants: idempotent; what users changed stays, except that default roles get back what they lost (see
//! `reconcile`); namespaces come first, everything else at once, so that the start costs a few commits, not a hundred.

mod apply;
mod approval;
mod objects;
mod policy;
mod reconcile;
mod token;

pub use approval::{Approval, approves};
pub use token::{NewToken, create_bootstrap_token};

use api::Status;
use client::Client;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use policy::Policy;
use std::net::IpAddr;

/// What the cluster's objects say about this server.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where pods reach the API server: never a loopback address.
    pub address: IpAddr,
    pub port: u16,
    /// Where nodes and users reach it: `https://10.0.0.1:6443`.
    pub server: String,
    /// The first address of the service range.
    pub api_service_ip: IpAddr,
    pub dns_service_ip: IpAddr,
    /// In PEM: `Pki::server_ca.bundle_pem()`.
    pub server_ca: String,
    /// In PEM: `Pki::client_ca.bundle_pem()`.
    pub client_ca: String,
}

/// Brings the cluster's own objects up to date; the client must be of `system:masters`.
pub async fn bootstrap(client: &Client, facts: &Facts) -> Result<(), Status> {
    let mut policy = Policy::default_policy().map_err(Status::internal)?;
    reconcile::fill_aggregated(&mut policy.cluster_roles);
    apply::create_missing(client, objects::namespaces()).await?;
    let endpoints = async {
        apply::keep(client, vec![objects::endpoints(facts)]).await?;
        apply::keep(client, vec![objects::endpoint_slice(facts)]).await
    };
    // Boxed: the futures of a hundred writes do not belong on the stack.
    futures::future::try_join5(
        Box::pin(apply::create_missing(client, objects::priority_classes())),
        Box::pin(apply::create_missing(client, objects::services(facts))),
        Box::pin(endpoints),
        Box::pin(apply::keep(client, objects::config_maps(facts))),
        Box::pin(roles(client, policy)),
    )
    .await?;
    Ok(())
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
