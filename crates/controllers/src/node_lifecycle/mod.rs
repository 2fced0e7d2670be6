//! Nodes that are not heard from: marked, tainted, and their pods taken for not ready.
//!
//! Heartbeats are leases: their renewals are noted as they come and wake nothing; a timer per node looks whether one
//! came in time. Invariant: a heartbeat's age counts from when this process saw it, as clocks of machines differ.

mod heartbeats;
mod plan;

use crate::table::Start;
use crate::{node, pod};
use api::{Reason, Subresource};
use async_trait::async_trait;
use client::{Cache, CacheScope, PatchType, PodView};
use heartbeats::Heartbeats;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use plan::{Plan, View};
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, Severity, split};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

const LEASE_NAMESPACE: &str = "kube-node-lease";

pub(crate) fn controller(start: &Start) -> Controller {
    let client = &start.client;
    let nodes = client.cache::<Node>();
    let scope = CacheScope { namespace: LEASE_NAMESPACE.to_owned(), ..CacheScope::default() };
    let on_node = Index::new(pod::node);
    let heartbeats = Arc::new(Heartbeats::new(start.clock.clone()));
    let reconciler = Nodes {
        nodes: nodes.clone(),
        pods: on_node.clone(),
        heartbeats: heartbeats.clone(),
        grace: start.options.node_monitor_grace,
    };
    let (statuses, known) = (heartbeats.clone(), nodes.clone());
    Controller::new("node-lifecycle", reconciler)
        .component("node-controller")
        .watches(nodes, move |change| {
            // Whether all nodes are lost decides how the lost ones are treated.
            let concerned = if statuses.node_changed(change) { not_ready(&known) } else { Vec::new() };
            concerned.into_iter().chain([change.key.clone()]).collect()
        })
        .watches(client.cache_of::<Lease>(scope), move |change| {
            if heartbeats.lease_changed(change) { vec![split(&change.key).1.into()] } else { Vec::new() }
        })
        .indexes(client.cache::<PodView>(), &on_node, |_| Vec::new())
}

fn not_ready(nodes: &Cache<Node>) -> Vec<Key> {
    nodes.list().iter().filter(|node| !node::is_ready(node)).map(|node| reconcile::key_of(&**node)).collect()
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
        let lately = SignedDuration::try_from(self.grace / 2).unwrap_or_default();
        let view = View {
            heard: self.heartbeats.last(key, now),
            grace: self.grace,
            others: self.heartbeats.others(key, lately, now),
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
