//! Pods that nobody can end any more: of nodes that are gone, and those that were told to end before they had one.

use crate::pod;
use crate::table::Start;
use api::{Reason, Subresource};
use async_trait::async_trait;
use client::{Cache, Change, DeleteOptions, PatchType, PodView};
use k8s_openapi::api::core::v1::{Node, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;

/// How long a node has to be away: its object may be about to be made again.
const QUARANTINE: Duration = Duration::from_secs(40);

pub(crate) fn controller(start: &Start) -> Controller {
    let (nodes, pods) = (start.client.cache::<Node>(), start.client.cache::<PodView>());
    let on_node = Index::new(pod::node);
    let reconciler = Garbage { nodes: nodes.clone(), pods: pods.clone(), missing: Mutex::default() };
    let (known, of_node) = (nodes.clone(), on_node.clone());
    Controller::new("pod-garbage-collector-controller", reconciler)
        .component("pod-garbage-collector")
        .indexes(
            pods,
            &on_node,
            move |change| if may_be_garbage(&known, change) { vec![change.key.clone()] } else { Vec::new() },
        )
        .watches(nodes, move |change: &Change<Node>| match change.new {
            Some(_) => Vec::new(),
            None => of_node.get(&change.key).iter().map(|pod| reconcile::key_of(&**pod)).collect(),
        })
}

fn may_be_garbage(nodes: &Cache<Node>, change: &Change<PodView>) -> bool {
    change.new.as_deref().is_some_and(|pod| match pod::node(pod) {
        Some(node) => nodes.get("", &node).is_none(),
        None => pod.is_ending(),
    })
}

struct Garbage {
    nodes: Cache<Node>,
    pods: Cache<PodView>,
    /// Since when a node with pods has been missing. Bound: one entry per missing node that pods name.
    missing: Mutex<HashMap<String, Timestamp>>,
}

#[async_trait]
impl Reconcile for Garbage {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(pod) = self.pods.get_key(key) else { return Ok(Action::Done) };
        let Some(node) = pod::node(&pod) else {
            if pod.is_ending() {
                remove(ctx, &pod, "PodGC: unscheduled terminating pod").await?;
            }
            return Ok(Action::Done);
        };
        if self.nodes.get("", &node).is_some() {
            self.missing.lock().remove(&node);
            return Ok(Action::Done);
        }
        let since = *self.missing.lock().entry(node.clone()).or_insert(ctx.now());
        let quarantine = SignedDuration::try_from(QUARANTINE).unwrap_or_default();
        let left = quarantine - ctx.now().duration_since(since);
        if left.is_positive() {
            return Ok(Action::after(Duration::try_from(left).unwrap_or_default()));
        }
        // The cache is not proof enough for a deletion by force.
        let found =
            ctx.client().find::<Node>("", &node).await.map_err(Error::api(format!("looking for node {node}")))?;
        if found.is_none() {
            remove(ctx, &pod, "PodGC: node no longer exists").await?;
        }
        Ok(Action::Done)
    }
}

#[derive(Serialize)]
struct Patch {
    status: Ended,
}

#[derive(Serialize)]
struct Ended {
    phase: &'static str,
    conditions: [PodCondition; 1],
}

/// Says that the pod has failed, for those who count, and deletes it without waiting for a node's word.
async fn remove(ctx: &Context, pod: &PodView, message: &str) -> Result<(), Error> {
    let (namespace, name) = (pod.namespace(), pod.name());
    if !pod.is_terminal() && pod.has_node() {
        let condition = PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("DeletionByPodGC".to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: Some(Time(ctx.now())),
            ..PodCondition::default()
        };
        let patch = Patch { status: Ended { phase: "Failed", conditions: [condition] } };
        let answer = ctx
            .client()
            .patch::<PodView>(namespace, name, PatchType::Strategic, Some(Subresource::Status), &patch)
            .await;
        match answer {
            Err(status) if status.reason == Reason::NotFound => return Ok(()),
            answer => answer.map(drop).map_err(Error::api(format!("marking pod {name} as failed")))?,
        }
    }
    let at_once = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    ctx.delete_with(pod, at_once).await.map_err(Error::api(format!("deleting pod {name}")))
}
