//! Nodes that are not heard from: marked, tainted, and their pods taken for not ready.
//!
//! Heartbeats are leases: their renewals are noted as they come and wake nothing; a timer per node looks whether one
//! came in time. Invariant: a heartbeat's age counts from when this process saw it, as clocks of machines differ.

mod plan;

use crate::table::Start;
use crate::{node, pod};
use api::{Reason, Subresource};
use async_trait::async_trait;
use client::{Cache, CacheScope, Change, PatchType, PodView};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use plan::{Others, Plan, View};
use reconcile::{Action, Clock, Context, Controller, Error, Index, Key, Reconcile, Severity, split};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const LEASE_NAMESPACE: &str = "kube-node-lease";

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let nodes = client.cache::<Node>();
    let scope = CacheScope { namespace: LEASE_NAMESPACE.to_owned(), ..CacheScope::default() };
    let on_node = Index::new(pod::node);
    let heartbeats = Arc::new(Heartbeats { clock: start.clock.clone(), seen: Mutex::default() });
    let reconciler = Nodes {
        nodes: nodes.clone(),
        pods: on_node.clone(),
        heartbeats: heartbeats.clone(),
        grace: start.options.node_monitor_grace,
    };
    let (statuses, known) = (heartbeats.clone(), nodes.clone());
    Controller::new("node-lifecycle", reconciler)
        .component("node-controller")
        .watches(nodes, move |change| statuses.node_changed(&known, change))
        .watches(client.cache_of::<Lease>(scope), move |change| heartbeats.lease_changed(change))
        .indexes(client.cache::<PodView>(), &on_node, |_| Vec::new())
}

/// When each node was last heard from.
struct Heartbeats {
    clock: Clock,
    seen: Mutex<HashMap<String, Seen>>,
}

struct Seen {
    at: Timestamp,
    /// Whether it is taken for lost: then the next heartbeat is news.
    lost: bool,
}

impl Heartbeats {
    fn lease_changed(&self, change: &Change<Lease>) -> Vec<Key> {
        let renewed =
            |lease: &Option<Arc<Lease>>| lease.as_ref().and_then(|lease| lease.spec.as_ref()?.renew_time.clone());
        let name = split(&change.key).1;
        if renewed(&change.new).is_none() || renewed(&change.new) == renewed(&change.old) {
            return Vec::new();
        }
        if self.note(name) { vec![name.into()] } else { Vec::new() }
    }

    fn node_changed(&self, nodes: &Cache<Node>, change: &Change<Node>) -> Vec<Key> {
        let Some(new) = &change.new else {
            self.seen.lock().remove(&*change.key);
            return Vec::new();
        };
        let heartbeat =
            |node: &Node| node::condition(node, "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
        let ready = |node: &Node| node::is_ready(node);
        // Nobody but the node itself says that it is ready.
        let spoke = |old: &Arc<Node>| heartbeat(old) != heartbeat(new) || (ready(new) && !ready(old));
        if change.old.as_ref().is_none_or(spoke) {
            self.note(&change.key);
        }
        if change.old.as_deref().map(ready) == Some(ready(new)) {
            return vec![change.key.clone()];
        }
        // Whether all nodes are lost decides how the lost ones are treated.
        nodes
            .list()
            .iter()
            .filter(|node| !node::is_ready(node))
            .map(|node| reconcile::key_of(&**node))
            .chain([change.key.clone()])
            .collect()
    }

    /// Notes a heartbeat; whether the node had been lost.
    fn note(&self, name: &str) -> bool {
        let seen = Seen { at: self.clock.now(), lost: false };
        self.seen.lock().insert(name.to_owned(), seen).is_some_and(|before| before.lost)
    }

    fn last(&self, name: &str, now: Timestamp) -> Timestamp {
        self.seen.lock().entry(name.to_owned()).or_insert(Seen { at: now, lost: false }).at
    }

    fn set_lost(&self, name: &str) {
        if let Some(seen) = self.seen.lock().get_mut(name) {
            seen.lost = true;
        }
    }
}

struct Nodes {
    nodes: Cache<Node>,
    pods: Arc<Index<PodView>>,
    heartbeats: Arc<Heartbeats>,
    grace: Duration,
}

#[async_trait]
impl Reconcile for Nodes {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(node) = self.nodes.get_key(key) else { return Ok(Action::Done) };
        let now = ctx.now();
        let view = View {
            heard: self.heartbeats.last(key, now),
            grace: self.grace,
            others: self.others(&node, now),
            node: node.clone(),
        };
        let plan = plan::plan(&view, now);
        if plan.lost {
            self.heartbeats.set_lost(key);
        }
        self.apply(ctx, &node, plan).await
    }
}

impl Nodes {
    fn others(&self, node: &Node, now: Timestamp) -> Others {
        let nodes = self.nodes.list();
        let mut ready =
            nodes.iter().filter(|other| other.metadata.name != node.metadata.name && node::is_ready(other)).peekable();
        if ready.peek().is_none() {
            return Others::NoneReady;
        }
        let lately = SignedDuration::try_from(self.grace / 2).unwrap_or_default();
        let heard = |other: &Node| self.heartbeats.last(other.metadata.name.as_deref().unwrap_or_default(), now);
        if ready.any(|other| now.duration_since(heard(other)) <= lately) { Others::Ready } else { Others::Unsure }
    }

    async fn apply(&self, ctx: &Context, node: &Arc<Node>, plan: Plan) -> Result<Action, Error> {
        let mut current = (**node).clone();
        if let Some(status) = plan.status {
            current.status = Some(status);
            current = ctx.update_status(&current).await.map_err(Error::api("marking a node as lost"))?;
        }
        if let Some(taints) = plan.taints {
            current.spec.get_or_insert_default().taints = Some(taints).filter(|taints| !taints.is_empty());
            ctx.update(&current).await.map_err(Error::api("tainting a node"))?;
        }
        if plan.not_ready {
            self.mark_pods(ctx, node).await?;
        }
        if let Some((reason, message)) = plan.event {
            ctx.events().event(&**node, Severity::Normal, reason, message);
        }
        Ok(plan.action)
    }

    /// Services must not send to pods that nobody vouches for.
    async fn mark_pods(&self, ctx: &Context, node: &Node) -> Result<(), Error> {
        let pods = self.pods.get(node.metadata.name.as_deref().unwrap_or_default());
        let ready = pods.into_iter().filter(|pod| pod.is_ready());
        let (_, error) = reconcile::in_batches(ready, ctx.failures(), |pod| mark(ctx.clone(), pod)).await;
        error.map_or(Ok(()), Err)
    }
}

#[derive(Serialize)]
struct Patch {
    status: Conditions,
}

#[derive(Serialize)]
struct Conditions {
    conditions: [PodCondition; 1],
}

/// What the condition says beside its status stays as it is: the patch merges.
async fn mark(ctx: Context, pod: Arc<PodView>) -> Result<(), Error> {
    let condition = PodCondition {
        type_: "Ready".to_owned(),
        status: "False".to_owned(),
        last_transition_time: Some(Time(ctx.now())),
        ..PodCondition::default()
    };
    let patch = Patch { status: Conditions { conditions: [condition] } };
    let (namespace, name) = (pod.namespace(), pod.name());
    let answer =
        ctx.client().patch::<PodView>(namespace, name, PatchType::Strategic, Some(Subresource::Status), &patch).await;
    match answer {
        Err(status) if status.reason == Reason::NotFound => Ok(()),
        Err(status) => Err(Error::Api { what: format!("marking pod {name} as not ready"), status }),
        Ok(_) => {
            ctx.events().event(&*pod, Severity::Warning, "NodeNotReady", "Node is not ready");
            Ok(())
        }
    }
}
