//! Who may: RBAC and the node rules, on an index that is rebuilt when what it was built from changes.
//!
//! Invariants: a decision reads views in memory only (no I/O, no await, no lock held while anything is rebuilt);
//! what no rule allows is denied, in upstream's words; until the first state has been read only `system:masters` may.

mod aggregate;
mod attributes;
mod escalation;
mod follow;
mod index;
mod node;
mod node_graph;
mod review;
mod rules;

pub use aggregate::aggregated_rules;
pub use attributes::{Attributes, Decision};
pub(crate) use escalation::missing_rules;
pub(crate) use node::identity as node_identity;
pub(crate) use node_graph::refers_to_objects as pod_refers_to_objects;

use api::Status;
use api::user::User;
use arc_swap::ArcSwap;
use client::Client;
use index::Index;
use k8s_openapi::api::rbac::v1 as rbac;
use node_graph::NodeGraph;
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// All authorizers of the server, asked in order: the masters' bypass, the node rules, RBAC.
pub struct Authorizer {
    index: Arc<ArcSwap<Index>>,
    nodes: Arc<RwLock<NodeGraph>>,
    synced: watch::Receiver<Synced>,
    /// Ends the followers with the authorizer.
    _followers: JoinSet<()>,
}

/// Which of the followers have read their first state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Synced {
    rbac: bool,
    pods: bool,
}

/// Why a request is refused, or that it is not.
pub(crate) enum Verdict {
    Allow,
    /// What the authorizers had to add, possibly nothing.
    Deny(Vec<String>),
}

impl Authorizer {
    /// Starts following roles, bindings and pods through the client's shared caches.
    pub fn start(client: &Client) -> Arc<Authorizer> {
        let (sender, synced) = watch::channel(Synced::default());
        let sender = Arc::new(sender);
        let index = Arc::new(ArcSwap::from_pointee(Index::default()));
        let nodes = Arc::new(RwLock::new(NodeGraph::default()));
        let mut followers = JoinSet::new();
        followers.spawn(follow::rbac(client.clone(), index.clone(), sender.clone()));
        followers.spawn(follow::pods(client.cache(), nodes.clone(), sender));
        Arc::new(Authorizer { index, nodes, synced, _followers: followers })
    }

    /// Returns when the first full state has been compiled: part of the server's readiness.
    pub async fn synced(&self) {
        let mut synced = self.synced.clone();
        if synced.wait_for(|synced| synced.rbac && synced.pods).await.is_err() {
            tracing::error!("the followers of roles and pods ended; permissions stay as they are");
        }
    }

    pub fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision {
        match self.verdict(user, attributes) {
            Verdict::Allow => Decision::Allow,
            Verdict::Deny(reasons) => Decision::Deny(attributes.denial(user, &reasons)),
        }
    }

    /// As `authorize`, with the answer that a client gets.
    pub fn require(&self, user: &User, attributes: &Attributes<'_>) -> Result<(), Status> {
        match self.authorize(user, attributes) {
            Decision::Allow => Ok(()),
            Decision::Deny(why) => Err(attributes.forbidden(why)),
        }
    }

    pub(crate) fn allows(&self, user: &User, attributes: &Attributes<'_>) -> bool {
        matches!(self.verdict(user, attributes), Verdict::Allow)
    }

    pub(crate) fn verdict(&self, user: &User, attributes: &Attributes<'_>) -> Verdict {
        if user.in_group(User::MASTERS) {
            return Verdict::Allow;
        }
        let name = attributes.effective_name();
        let attributes = &Attributes { name: &name, ..*attributes };
        let mut reasons = Vec::new();
        if let Some(node) = node::identity(user) {
            match node::decide(&self.nodes.read(), node, attributes) {
                node::Opinion::Allow => return Verdict::Allow,
                node::Opinion::None => {}
                node::Opinion::Because(why) => reasons.push(why),
            }
        }
        let index = self.index.load();
        if index.allows(user, attributes) {
            return Verdict::Allow;
        }
        if let Some(why) = index.unresolved(user, attributes.namespace) {
            reasons.push(why);
        }
        Verdict::Deny(reasons)
    }

    /// Refuses to hand out by roles or bindings what the user may not do; `Err` has upstream's sentence.
    pub(crate) fn confirm_no_escalation(
        &self,
        user: &User,
        namespace: &str,
        granted: &[rbac::PolicyRule],
    ) -> Result<(), String> {
        if user.in_group(User::MASTERS) {
            return Ok(());
        }
        let index = self.index.load();
        let held: Vec<rbac::PolicyRule> = index.rules_of(user, namespace).map(rules::Rule::policy).collect();
        escalation::confirm(user, &held, granted)
    }

    /// What a binding's role grants; `None` where the role does not exist.
    pub(crate) fn rules_of_role(&self, namespace: &str, role: &rbac::RoleRef) -> Option<Vec<rbac::PolicyRule>> {
        self.index.load().rules_of_role(namespace, role)
    }
}

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;
