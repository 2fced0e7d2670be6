//! Eviction by taints: pods that do not tolerate a node's `NoExecute` taints are deleted, at once or in time.

use crate::table::Start;
use crate::{node, pod};
use api::{Reason, Subresource};
use async_trait::async_trait;
use client::{Cache, Change, PatchType, PodView};
use k8s_openapi::api::core::v1::{Node, PodCondition, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::{Action, Context, Controller, Error, Index, Key, Reconcile, Severity, in_batches, taints};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn controller(start: &Start) -> Controller {
    let (nodes, pods) = (start.client.cache::<Node>(), start.client.cache::<PodView>());
    let on_node = Index::new(pod::node);
    let reconciler = Evictions { nodes: nodes.clone(), pods: on_node.clone() };
    let tainted = nodes.clone();
    Controller::new("taint-eviction-controller", reconciler)
        .component("taint-eviction-controller")
        .watches(nodes, |change| if taints_changed(change) { vec![change.key.clone()] } else { Vec::new() })
        .indexes(pods, &on_node, move |change| on_tainted(&tainted, change))
}

fn taints_changed(change: &Change<Node>) -> bool {
    let taints = |node: &Option<Arc<Node>>| node.as_ref().map(|node| evicting(node).cloned().collect::<Vec<Taint>>());
    taints(&change.old).unwrap_or_default() != taints(&change.new).unwrap_or_default()
}

fn evicting(node: &Node) -> impl Iterator<Item = &Taint> {
    node::taints(node).iter().filter(|taint| taint.effect == "NoExecute")
}

fn on_tainted(nodes: &Cache<Node>, change: &Change<PodView>) -> Vec<Key> {
    let Some(name) = change.new.as_deref().and_then(pod::node) else { return Vec::new() };
    let tainted = nodes.get("", &name).is_some_and(|node| evicting(&node).next().is_some());
    if tainted { vec![name.into()] } else { Vec::new() }
}

struct Evictions {
    nodes: Cache<Node>,
    pods: Arc<Index<PodView>>,
}

#[async_trait]
impl Reconcile for Evictions {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(node) = self.nodes.get_key(key) else { return Ok(Action::Done) };
        let taints: Vec<Taint> = evicting(&node).cloned().collect();
        if taints.is_empty() {
            return Ok(Action::Done);
        }
        let now = ctx.now();
        let (mut go, mut action) = (Vec::new(), Action::Done);
        for pod in self.pods.get(key).into_iter().filter(|pod| !pod.is_ending()) {
            match stay(&taints, &pod.spec.tolerations, now) {
                Stay::Forever => {}
                Stay::For(left) if left.is_positive() => {
                    action = action.sooner(Action::after(Duration::try_from(left).unwrap_or_default()));
                }
                Stay::For(_) => go.push(pod),
            }
        }
        let (_, error) = in_batches(go, ctx.failures(), |pod| evict(ctx.clone(), pod)).await;
        error.map_or(Ok(action), Err)
    }
}

#[derive(Debug, PartialEq)]
enum Stay {
    Forever,
    For(SignedDuration),
}

/// How long a pod may stay: as long as the shortest of its tolerations that cover the taints says, from when the taint
/// was put there.
fn stay(node_taints: &[Taint], tolerations: &[Toleration], now: Timestamp) -> Stay {
    let mut shortest = Stay::Forever;
    for taint in node_taints {
        let covering = || tolerations.iter().filter(|toleration| taints::covers(toleration, taint));
        if covering().next().is_none() {
            return Stay::For(SignedDuration::ZERO);
        }
        let Some(seconds) = covering().filter_map(|toleration| toleration.toleration_seconds).min() else { continue };
        let since = taint.time_added.as_ref().map_or(now, |time| time.0);
        let left = SignedDuration::from_secs(seconds.max(0)) - now.duration_since(since);
        shortest = match shortest {
            Stay::For(known) => Stay::For(known.min(left)),
            Stay::Forever => Stay::For(left),
        };
    }
    shortest
}

#[derive(Serialize)]
struct Patch {
    status: Conditions,
}

#[derive(Serialize)]
struct Conditions {
    conditions: [PodCondition; 1],
}

async fn evict(ctx: Context, pod: Arc<PodView>) -> Result<(), Error> {
    let (namespace, name) = (pod.namespace(), pod.name());
    ctx.events().event(
        &*pod,
        Severity::Normal,
        "TaintManagerEviction",
        format!("Marking for deletion Pod {namespace}/{name}"),
    );
    if !pod.is_terminal() {
        let condition = PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("DeletionByTaintManager".to_owned()),
            message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
            last_transition_time: Some(Time(ctx.now())),
            ..PodCondition::default()
        };
        let patch = Patch { status: Conditions { conditions: [condition] } };
        let answer = ctx
            .client()
            .patch::<PodView>(namespace, name, PatchType::Strategic, Some(Subresource::Status), &patch)
            .await;
        match answer {
            Err(status) if status.reason == Reason::NotFound => return Ok(()),
            answer => answer.map(drop).map_err(Error::api(format!("marking pod {name} for eviction")))?,
        }
    }
    ctx.delete(&*pod, None).await.map_err(Error::api(format!("evicting pod {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(tolerations: Value, want: Stay) {
        let taints: Vec<Taint> = serde_json::from_value(json!([
            {"key": "a", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"},
            {"key": "b", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:20Z"},
        ]))
        .unwrap();
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(stay(&taints, &tolerations, "2026-01-01T00:00:30Z".parse().unwrap()), want);
    }

    #[test]
    fn the_shortest_toleration_counts_from_its_taint() {
        let seconds = |left| Stay::For(SignedDuration::from_secs(left));
        check(json!([]), seconds(0));
        check(json!([{"operator": "Exists"}]), Stay::Forever);
        check(json!([{"key": "a", "operator": "Exists"}]), seconds(0));
        check(json!([{"operator": "Exists", "tolerationSeconds": 300}]), seconds(270));
        check(
            json!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists", "tolerationSeconds": 15}]),
            seconds(5),
        );
        check(json!([{"operator": "Exists", "tolerationSeconds": -5}]), seconds(-30));
    }
}
