//! Who may: RBAC and the node rules, on an index that is rebuilt when what it was built from changes, and webhooks.
//!
//! Invariants: a decision reads views in memory only (no I/O, no lock held while anything is rebuilt) unless webhooks are
//! configured, which are asked in their place of the chain; what nobody allows is denied, in upstream's words; until the
//! first state has been read only `system:masters` may.

mod aggregate;
mod attributes;
mod chain;
mod configuration;
mod escalation;
mod follow;
mod index;
mod node;
mod node_graph;
mod node_links;
mod review;
mod rules;
mod validation;
mod webhook;

pub use aggregate::aggregated_rules;
pub use attributes::{Attributes, Decision};
pub use chain::Chain;
pub(crate) use chain::Verdict;
pub use configuration::AuthorizationOptions;
pub(crate) use escalation::missing_rules;
pub(crate) use node::identity as node_identity;
pub(crate) use node_graph::refers_to_objects as pod_refers_to_objects;
pub(crate) use webhook::CONDITIONS;

use crate::callout::Callout;
use crate::configuration_file::{self, ConfigurationError};
use api::Status;
use api::user::User;
use arc_swap::ArcSwap;
use chain::{Opinion, Refusal, Step};
use client::{Cache, Cached, Change, Client, PodView};
use index::Index;
use k8s_openapi::api::certificates::v1::PodCertificateRequest;
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::api::resource::v1::ResourceSlice;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use node_graph::NodeGraph;
use node_links::{Held, OnNode, VolumeView};
use parking_lot::RwLock;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// All authorizers of the server: the masters' bypass, then the chain.
pub struct Authorizer {
    chain: ArcSwap<Chain>,
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
    /// Kinds whose objects are in the node graph.
    graph_parts: usize,
}

/// Kinds that the node graph is of.
const GRAPH_PARTS: usize = 5;

fn hold<K: Held>(graph: &mut NodeGraph, change: &Change<OnNode<K>>) {
    graph.hold(change.old.as_deref(), change.new.as_deref());
}

fn follow_into<K: Cached>(
    followers: &mut JoinSet<()>,
    cache: Cache<K>,
    (graph, synced): (Arc<RwLock<NodeGraph>>, Arc<watch::Sender<Synced>>),
    apply: fn(&mut NodeGraph, &Change<K>),
) {
    followers.spawn(follow::into_graph(cache, graph, synced, apply));
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
        let graph = || (nodes.clone(), sender.clone());
        follow_into(&mut followers, client.cache(), graph(), |graph, change: &Change<PodView>| {
            graph.apply(change.old.as_deref(), change.new.as_deref());
        });
        follow_into(&mut followers, client.cache(), graph(), |graph, change: &Change<VolumeView>| {
            graph.bind(change.old.as_ref(), change.new.as_ref());
        });
        follow_into(&mut followers, client.cache(), graph(), hold::<VolumeAttachment>);
        follow_into(&mut followers, client.cache(), graph(), hold::<ResourceSlice>);
        follow_into(&mut followers, client.cache(), graph(), hold::<PodCertificateRequest>);
        Arc::new(Authorizer { chain: ArcSwap::default(), index, nodes, synced, _followers: followers })
    }

    /// Takes another chain from now on.
    pub fn configure(&self, chain: Chain) {
        self.chain.store(Arc::new(chain));
    }

    /// Takes what the configuration file says now; one that is not valid changes nothing.
    pub fn take_file(&self, path: &Path, callout: &Callout) -> Result<(), ConfigurationError> {
        self.configure(configuration::chain_of_file(path, &configuration_file::text(path)?, callout)?);
        Ok(())
    }

    /// Returns when the first full state has been compiled: part of the server's readiness.
    pub async fn synced(&self) {
        let mut synced = self.synced.clone();
        if synced.wait_for(|synced| synced.rbac && synced.graph_parts == GRAPH_PARTS).await.is_err() {
            tracing::error!("the followers of roles and pods ended; permissions stay as they are");
        }
    }

    pub async fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision {
        match self.verdict(user, attributes).await {
            Verdict::Allow(_) => Decision::Allow,
            Verdict::Refuse(refusal) => Decision::Deny(attributes.denial(user, &refusal.reasons)),
        }
    }

    /// As `authorize`, with the answer that a client gets.
    pub async fn require(&self, user: &User, attributes: &Attributes<'_>) -> Result<(), Status> {
        match self.verdict(user, attributes).await {
            Verdict::Allow(_) => Ok(()),
            Verdict::Refuse(refusal) => Err(attributes.refused(user, &refusal)),
        }
    }

    pub(crate) async fn may(&self, user: &User, attributes: &Attributes<'_>) -> bool {
        matches!(self.verdict(user, attributes).await, Verdict::Allow(_))
    }

    /// Whether the node rules or RBAC allow it, for those who cannot wait: webhooks are not asked.
    pub(crate) fn allows(&self, user: &User, attributes: &Attributes<'_>) -> bool {
        matches!(self.at_once(&self.chain.load(), user, attributes), Verdict::Allow(_))
    }

    /// The decision on what may turn out to be needed where nobody can wait.
    pub(crate) async fn foresee<'a>(&'a self, user: &'a User, attributes: Attributes<'a>) -> Foreseen<'a> {
        let known = match self.chain.load().asks_others {
            true => Some(self.require(user, &attributes).await),
            false => None,
        };
        Foreseen { authorizer: self, user, attributes, known }
    }

    pub(crate) async fn verdict(&self, user: &User, attributes: &Attributes<'_>) -> Verdict {
        let chain = self.chain.load();
        if !chain.asks_others {
            return self.at_once(&chain, user, attributes);
        }
        let chain = arc_swap::Guard::into_inner(chain);
        Box::pin(self.in_turn(&chain, user, attributes)).await
    }

    fn at_once(&self, chain: &Chain, user: &User, attributes: &Attributes<'_>) -> Verdict {
        if user.in_group(User::MASTERS) {
            return Verdict::Allow(None);
        }
        let name = attributes.effective_name();
        let attributes = &Attributes { name: &name, ..*attributes };
        let mut refusal = Refusal::default();
        for step in &chain.steps {
            if let Some(verdict) = refusal.hear(self.opinion(step, user, attributes)) {
                return verdict;
            }
        }
        Verdict::Refuse(refusal)
    }

    async fn in_turn(&self, chain: &Chain, user: &User, attributes: &Attributes<'_>) -> Verdict {
        if user.in_group(User::MASTERS) {
            return Verdict::Allow(None);
        }
        let name = attributes.effective_name();
        let attributes = &Attributes { name: &name, ..*attributes };
        let mut refusal = Refusal::default();
        for step in &chain.steps {
            let opinion = match step {
                Step::Webhook(webhook) => {
                    let said = webhook.ask(user, attributes).await;
                    refusal.errors.extend(said.error);
                    said.opinion
                }
                step => self.opinion(step, user, attributes),
            };
            if let Some(verdict) = refusal.hear(opinion) {
                return verdict;
            }
        }
        Verdict::Refuse(refusal)
    }

    fn opinion(&self, step: &Step, user: &User, attributes: &Attributes<'_>) -> Opinion {
        match step {
            Step::Node => match node::identity(user) {
                Some(node) => node::decide(&self.nodes.read(), node, attributes),
                None => Opinion::None(None),
            },
            Step::Rbac => {
                let index = self.index.load();
                match index.allows(user, attributes) {
                    Some(why) => Opinion::Allow(Some(why)),
                    None => Opinion::None(index.unresolved(user, attributes.namespace).map(Arc::from)),
                }
            }
            Step::AlwaysAllow => Opinion::Allow(None),
            Step::AlwaysDeny => Opinion::because("Everything is forbidden."),
            // Asked by `in_turn`; who cannot wait goes without it.
            Step::Webhook(_) => Opinion::None(None),
        }
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

/// A decision that is taken when it is needed, or was taken before because it takes waiting.
pub(crate) struct Foreseen<'a> {
    authorizer: &'a Authorizer,
    user: &'a User,
    attributes: Attributes<'a>,
    known: Option<Result<(), Status>>,
}

impl Foreseen<'_> {
    pub(crate) fn require(&self) -> Result<(), Status> {
        if let Some(known) = &self.known {
            return known.clone();
        }
        match self.authorizer.at_once(&self.authorizer.chain.load(), self.user, &self.attributes) {
            Verdict::Allow(_) => Ok(()),
            Verdict::Refuse(refusal) => Err(self.attributes.refused(self.user, &refusal)),
        }
    }
}

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod who_may;
