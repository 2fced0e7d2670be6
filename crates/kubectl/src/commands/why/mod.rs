//! `why`: one answer to "why is it not running", from conditions, container states, events, the scheduler and the node.
//!
//! Invariant: the first finding is the cause that the others follow from: what keeps a pod from its node comes before
//! what keeps it from starting, and that before what ends it.

mod findings;
mod reasons;

use crate::calls::{At, Selection, name_of, namespace_of, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::Target;
use crate::workload;
use api::Kind;
use findings::{Finding, Known};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME
    target: String,
}

/// Events that are shown below an answer.
const EVENTS_MAX: usize = 5;

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let target = workload::target(context, &arguments.target).await?;
    let object = context.get(target.at()).await?;
    if target.def.group_resource() == Pod::DEF.group_resource() {
        return explain(context, &target, &object).await;
    }
    let selector = workload::selector_of(&object)
        .ok_or_else(|| Failure::message(format!("{target} has no pods of its own; name a pod or a workload")))?;
    let selection = Selection { labels: selector, ..Selection::default() };
    let mut pods = context.list(At::collection(&Pod::DEF, &target.namespace), &selection).await?.items;
    if pods.is_empty() {
        return without_pods(context, &target, &object).await;
    }
    let total = pods.len();
    pods.retain(|pod| !findings::is_ready(pod));
    if pods.is_empty() {
        return context.line(format_args!("{target} is running: {total} of {total} pods are ready."));
    }
    context.line(format_args!("{target}: {} of {total} pods are not ready. The first of them:\n", pods.len()))?;
    explain(context, &Target::of(&Pod::DEF, &pods[0]), &pods[0]).await
}

async fn explain(context: &Context, target: &Target, pod: &Value) -> Result<()> {
    let events = events(context, namespace_of(pod), name_of(pod), text(pod, "/metadata/uid")).await?;
    let node = match text(pod, "/spec/nodeName") {
        "" => None,
        name => context.find(At::object(&Node::DEF, "", name)).await?,
    };
    let found = findings::of_pod(&Known { pod, node: node.as_ref(), events: &events });
    tell(context, target, &found, &events)
}

/// A workload whose controller makes no pods says why in its conditions and events, or its replica sets do.
async fn without_pods(context: &Context, target: &Target, object: &Value) -> Result<()> {
    let mut events = events(context, &target.namespace, &target.name, text(object, "/metadata/uid")).await?;
    if target.def.kind == "Deployment" {
        let sets = context.resources.named("replicasets.apps").await?;
        let listed = context.list(At::collection(sets, &target.namespace), &Selection::default()).await?;
        let uid = text(object, "/metadata/uid");
        let owned = |set: &&Value| {
            let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
        };
        for set in listed.items.iter().filter(owned) {
            events.extend(self::events(context, &target.namespace, name_of(set), text(set, "/metadata/uid")).await?);
        }
    }
    tell(context, target, &findings::of_workload(object, &events), &events)
}

async fn events(context: &Context, namespace: &str, name: &str, uid: &str) -> Result<Vec<Value>> {
    let fields = format!("involvedObject.name={name},involvedObject.uid={uid}");
    let selection = Selection { fields, ..Selection::default() };
    let mut events = context.list(At::collection(&Event::DEF, namespace), &selection).await?.items;
    events.sort_by_key(|event| std::cmp::Reverse(super::events::last_seen(event).to_owned()));
    Ok(events)
}

fn tell(context: &Context, target: &Target, found: &[Finding], events: &[Value]) -> Result<()> {
    let Some((first, others)) = found.split_first() else {
        return context.line(format_args!("{target} is running and ready: nothing is wrong with it."));
    };
    context.line(format_args!("{target}: {}", first.sentence))?;
    for detail in &first.details {
        context.line(format_args!("  {detail}"))?;
    }
    if !first.step.is_empty() {
        context.line(format_args!("\nWhat to do: {}", first.step))?;
    }
    if !others.is_empty() {
        context.line("\nAlso:")?;
        others.iter().try_for_each(|other| context.line(format_args!("  - {}", other.sentence)))?;
    }
    let warnings: Vec<&Value> = events.iter().filter(|event| event["type"] == "Warning").take(EVENTS_MAX).collect();
    if !warnings.is_empty() {
        context.line("\nLast warnings:")?;
    }
    warnings.iter().try_for_each(|event| {
        let (when, reason, message) =
            (super::events::interval(event), text(event, "/reason"), text(event, "/message").trim());
        context.line(format_args!("  {when}  {reason}: {message}"))
    })
}
