//! `cordon` and `uncordon`: whether new pods may come to a node.

use super::drain::node;
use super::output::DryRun;
use crate::calls::{At, Selection, name_of};
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
    /// none, client (print what would be sent) or server (ask without writing)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "unchanged", value_parser = super::output::dry_run)]
    dry_run: DryRun,
    /// A label query
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    mark(context, arguments, true).await
}

pub(crate) async fn uncordon(context: &Context, arguments: &Arguments) -> Result<()> {
    mark(context, arguments, false).await
}

async fn mark(context: &Context, arguments: &Arguments, cordon: bool) -> Result<()> {
    let verb = if cordon { "cordon" } else { "uncordon" };
    let help = format!("\nSee 'kubectl {verb} -h' for help and examples");
    if arguments.nodes.is_empty() && arguments.selector.is_empty() {
        return Err(Failure::message(format!("USAGE: {verb} NODE [flags]{help}")));
    }
    if !arguments.nodes.is_empty() && !arguments.selector.is_empty() {
        return Err(Failure::message(format!("cannot specify both a node name and a --selector option{help}")));
    }
    let mut failures = Vec::new();
    for node in nodes(context, &arguments.nodes, &arguments.selector).await? {
        if let Err(failure) = set(context, &node, cordon, arguments.dry_run).await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

/// Nodes by name (`node/NAME` too) or by label query.
pub(super) async fn nodes(context: &Context, names: &[String], selector: &str) -> Result<Vec<Target>> {
    if !names.is_empty() {
        return Ok(names.iter().map(|name| node(name.rsplit('/').next().unwrap_or(name))).collect());
    }
    let selection = Selection { labels: selector.to_owned(), ..Selection::default() };
    let listed = context.list(At::collection(&Node::DEF, ""), &selection).await?;
    Ok(listed.items.iter().map(|one| node(name_of(one))).collect())
}

pub(super) async fn set(context: &Context, target: &Target, cordon: bool, dry_run: DryRun) -> Result<()> {
    let node = context.get(target.at()).await?;
    let done = if cordon { "cordoned" } else { "uncordoned" };
    let now = node.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or_default();
    if now == cordon {
        return context.line(format_args!("{target} already {done}{}", dry_run.suffix()));
    }
    if dry_run != DryRun::Client {
        let unschedulable = if cordon { Value::Bool(true) } else { Value::Null };
        let patch = json!({"spec": {"unschedulable": unschedulable}});
        context.patch(target.at(), PatchType::Strategic, &patch, &[dry_run.query()]).await?;
    }
    context.line(format_args!("{target} {done}{}", dry_run.suffix()))
}
