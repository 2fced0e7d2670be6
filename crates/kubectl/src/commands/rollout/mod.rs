//! `rollout`: how a workload's change goes on, and going back.

mod history;
mod status;

pub(super) use history::template_of;

use super::output::{Manager, Printing};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Choice, Named, Target};
use api::Kind;
use client::PatchType;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Revisions that were rolled out
    History(history::Arguments),
    /// Hold changes back
    Pause(Arguments),
    /// Replace all pods, a few at a time
    Restart(Arguments),
    /// Let changes go on
    Resume(Arguments),
    /// Wait until a rollout is through
    Status(status::Arguments),
    /// Go back to an earlier revision
    Undo(history::UndoArguments),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    manager: Manager,
}

const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

pub(crate) async fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::History(arguments) => history::run(context, arguments).await,
        Command::Undo(arguments) => history::undo(context, arguments).await,
        Command::Status(arguments) => status::run(context, arguments).await,
        Command::Pause(arguments) => {
            change(context, arguments, "pausing", "paused", |_, object| pause(object, true)).await
        }
        Command::Resume(arguments) => {
            change(context, arguments, "resuming", "resumed", |_, object| pause(object, false)).await
        }
        Command::Restart(arguments) => change(context, arguments, "restarting", "restarted", restart).await,
    }
}

/// A kind alone means all its objects.
async fn targets(context: &Context, choice: &Choice) -> Result<Vec<Target>> {
    if choice.arguments.is_empty() && choice.files.is_empty() {
        return Err(Failure::message("required resource not specified"));
    }
    let is_kind =
        choice.files.is_empty() && matches!(crate::target::parse(context, &choice.arguments).await?, Named::Kinds(_));
    if is_kind && !choice.selects() {
        return Choice { all: true, ..choice.clone() }.targets(context).await;
    }
    choice.targets(context).await
}

/// Whether the target is of kind `K`, in whatever version.
fn is<K: Kind>(target: &Target) -> bool {
    target.def.group_resource() == K::DEF.group_resource()
}

/// Patches each workload with what `patch` says of it, or reports its reason against.
async fn change(
    context: &Context,
    arguments: &Arguments,
    doing: &str,
    done: &str,
    patch: impl Fn(&Target, &Value) -> Result<Value, &'static str>,
) -> Result<()> {
    let mut failures = Vec::new();
    let targets = targets(context, &arguments.choice).await?;
    if targets.is_empty() {
        return context.remark(format_args!("No resources found in {} namespace.", context.namespace));
    }
    for target in targets {
        let supported = if doing == "restarting" {
            is::<Deployment>(&target) || is::<DaemonSet>(&target) || is::<StatefulSet>(&target)
        } else {
            is::<Deployment>(&target)
        };
        let resource = target.def.group_resource();
        if !supported {
            failures.push(Failure::message(format!("{resource} {:?} {doing} is not supported", target.name)));
            continue;
        }
        let object = context.get(target.at()).await?;
        match patch(&target, &object) {
            Ok(patch) => {
                let query = [arguments.manager.query("kubectl-rollout")];
                let after = context.patch(target.at(), PatchType::Strategic, &patch, &query).await?;
                arguments.printing.tell(context, &target, done, &after)?;
            }
            Err(reason) => failures.push(Failure::message(format!("{resource} {:?} {reason}", target.name))),
        }
    }
    Failure::of_all(failures)
}

fn is_paused(object: &Value) -> bool {
    object.pointer("/spec/paused") == Some(&Value::Bool(true))
}

fn pause(object: &Value, wanted: bool) -> Result<Value, &'static str> {
    match (is_paused(object), wanted) {
        (true, true) => Err("is already paused"),
        (false, false) => Err("is not paused"),
        (false, true) => Ok(json!({"spec": {"paused": true}})),
        (true, false) => Ok(json!({"spec": {"paused": null}})),
    }
}

fn restart(_: &Target, object: &Value) -> Result<Value, &'static str> {
    if is_paused(object) {
        return Err("can't restart paused deployment (run rollout resume first)");
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Ok(json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}))
}
