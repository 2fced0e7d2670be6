//! `cordon` and `uncordon`: whether new pods may come to a node.

use super::output::Output;
use crate::calls::At;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::Target;
use api::Kind;
use client::PatchType;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Nodes
    nodes: Vec<String>,
    #[command(flatten)]
    output: Output,
    /// A label query
    #[arg(short = 'l', long, default_value = "")]
    selector: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments, cordon: bool) -> Result<()> {
    let mut names: Vec<String> =
        arguments.nodes.iter().map(|node| node.rsplit('/').next().unwrap_or(node).to_owned()).collect();
    if names.is_empty() {
        if arguments.selector.is_empty() {
            return Err(Failure::message("USAGE: cordon NODE [flags]\nSee 'kubectl cordon -h' for help and examples"));
        }
        let selection = crate::calls::Selection { labels: arguments.selector.clone(), ..Default::default() };
        let listed = context.list(At::collection(&Node::DEF, ""), &selection).await?;
        names = listed.items.iter().map(|node| crate::calls::name_of(node).to_owned()).collect();
    }
    let mut failures = Vec::new();
    for name in names {
        let target = Target { def: &Node::DEF, namespace: String::new(), name };
        if let Err(failure) = one(context, arguments, &target, cordon).await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

async fn one(context: &Context, arguments: &Arguments, target: &Target, cordon: bool) -> Result<()> {
    let node = context.get(target.at()).await?;
    let done = if cordon { "cordoned" } else { "uncordoned" };
    let now = node.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or_default();
    if now == cordon {
        return arguments.output.tell(context, target, &format!("already {done}"), &node);
    }
    if arguments.output.is_client_dry_run() {
        return arguments.output.tell(context, target, done, &node);
    }
    let unschedulable = if cordon { Value::Bool(true) } else { Value::Null };
    let patch = json!({"spec": {"unschedulable": unschedulable}});
    let node = context.patch(target.at(), PatchType::Strategic, &patch, &[arguments.output.dry_run_query()]).await?;
    arguments.output.tell(context, target, done, &node)
}
