//! `scale`: how many replicas a workload has, through its scale subresource.

use super::output::{DryRun, Output};
use crate::calls::{At, text};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::target::{Choice, Target};
use client::PatchType;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
    /// The number wanted
    #[arg(long, allow_hyphen_values = true)]
    replicas: Option<i64>,
    /// Only when there are so many now
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    current_replicas: i64,
    /// Only while the workload is at this version
    #[arg(long, default_value = "", hide_default_value = true)]
    resource_version: String,
    /// How long to wait until the status shows it; 0 is not at all
    #[arg(long, default_value = "0s")]
    timeout: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let replicas = arguments.replicas.ok_or_else(|| Failure::message("required flag(s) \"replicas\" not set"))?;
    if replicas < 0 {
        return Err(Failure::message(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        ));
    }
    let limit = duration::parse(&arguments.timeout)?.filter(|limit| !limit.is_zero());
    let targets = arguments.choice.targets(context).await?;
    if targets.is_empty() {
        return Err(Failure::message("no objects passed to scale"));
    }
    for target in targets {
        one(context, arguments, &target, replicas, limit).await?;
    }
    Ok(())
}

async fn one(
    context: &Context,
    arguments: &Arguments,
    target: &Target,
    replicas: i64,
    limit: Option<Duration>,
) -> Result<()> {
    if arguments.output.is_client_dry_run() {
        let object = context.get(target.at()).await?;
        return arguments.output.tell(context, target, "scaled", &object);
    }
    let at = At { subresource: "scale", ..target.at() };
    let query = [arguments.output.dry_run_query()];
    if arguments.current_replicas < 0 && arguments.resource_version.is_empty() {
        let patch = json!({"spec": {"replicas": replicas}});
        context.patch(at, PatchType::Merge, &patch, &query).await?;
    } else {
        let mut scale = context.get(at).await?;
        let now = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default();
        let version = text(&scale, "/metadata/resourceVersion");
        if !arguments.resource_version.is_empty() && arguments.resource_version != version {
            let text = format!("Expected resource version to be {}, was {version}", arguments.resource_version);
            return Err(Failure::message(text));
        }
        if arguments.current_replicas >= 0 && now != arguments.current_replicas {
            let text = format!("Expected replicas to be {}, was {now}", arguments.current_replicas);
            return Err(Failure::message(text));
        }
        scale["spec"]["replicas"] = replicas.into();
        context.replace(at, &scale, &query).await?;
    }
    if let Some(limit) = limit.filter(|_| arguments.output.dry_run == DryRun::None) {
        let deadline = tokio::time::Instant::now() + limit;
        let scaled = follow::until(context, target, |object| {
            let status = object.and_then(|object| object.pointer("/status/replicas")?.as_i64()).unwrap_or_default();
            Ok((status == replicas).then_some(()))
        });
        follow::within(Some(deadline), scaled).await.unwrap_or_else(|| {
            let name = &target.name;
            Err(Failure::message(format!("timed out waiting for {name:?} to be synced")))
        })?;
    }
    let object = context.get(target.at()).await?;
    arguments.output.tell(context, target, "scaled", &object)
}
