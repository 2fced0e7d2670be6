//! `delete`: objects by name, manifest or selection, waiting until they are gone.

use super::output::{DryRun, Output};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::resources::kind_name;
use crate::server::Ask;
use crate::target::{Choice, Named, Target};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
    /// Return when the objects are gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) wait: bool,
    /// Return at once
    #[arg(long)]
    now: bool,
    /// Seconds to end in; -1 is the object's own
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
    /// With --grace-period=0: do not wait for the node's confirmation
    #[arg(long)]
    force: bool,
    /// How long to wait; 0 is as long as it takes
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// What does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// background, foreground or orphan
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "background", default_missing_value = "background")]
    cascade: String,
    /// Ask before anything is deleted
    #[arg(short = 'i', long)]
    interactive: bool,
    /// A path of the server to delete
    #[arg(long)]
    raw: Option<String>,
}

const IMMEDIATE: &str = "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
    terminated. The resource may continue to run on the cluster indefinitely.";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.raw {
        let answer = context.ask(Ask { method: Method::DELETE, ..Ask::get(path.clone()) }).await?;
        return context.line(answer);
    }
    let options = arguments.options()?;
    let limit = duration::parse(&arguments.timeout)?.filter(|limit| !limit.is_zero());
    if arguments.forced() {
        context.remark(IMMEDIATE)?;
    }
    let targets = targets(context, arguments).await?;
    if targets.is_empty() {
        return context.line("No resources found");
    }
    if arguments.interactive && arguments.output.dry_run == DryRun::None && !confirmed(context, &targets)? {
        return context.line("deletion is cancelled");
    }
    let mut failures = Vec::new();
    let mut gone = Vec::new();
    for (target, source) in targets {
        match delete(context, arguments, &target, &options).await {
            Ok(Some(uid)) => gone.push((target, uid)),
            Ok(None) => {}
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) if source.is_empty() => failures.push(failure),
            Err(failure) => failures.push(failure.while_doing("deleting", &source)),
        }
    }
    if arguments.wait && arguments.output.dry_run == DryRun::None {
        wait(context, limit, &gone).await?;
    }
    Failure::of_all(failures)
}

/// Whether the user wants all that to go.
fn confirmed(context: &Context, targets: &[(Target, String)]) -> Result<bool> {
    context.line(format_args!("You are about to delete the following {} resource(s):", targets.len()))?;
    targets.iter().try_for_each(|(target, _)| context.line(target))?;
    context.print("Do you want to continue? (y/N): ")?;
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::message(format!("reading standard input: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

/// What to delete, and the file that says so.
async fn targets(context: &Context, arguments: &Arguments) -> Result<Vec<(Target, String)>> {
    let choice = &arguments.choice;
    if !choice.files.is_empty() && choice.arguments.is_empty() {
        let (wanted, failures) = crate::target::of_files(context, &choice.files).await?;
        Failure::of_all(failures)?;
        return Ok(wanted.into_iter().map(|wanted| (wanted.target, wanted.document.source)).collect());
    }
    let by_name = !choice.selects() && choice.files.is_empty();
    if choice.all && !choice.selector.is_empty() {
        return Err(Failure::message("setting 'all' parameter but found a non empty selector. "));
    }
    // Names with --all are a mistake that would delete too little or too much.
    if choice.all && matches!(crate::target::parse(context, &choice.arguments).await?, Named::Objects(_)) {
        return Err(Failure::message("name cannot be provided when a selector is specified"));
    }
    if by_name && choice.all_namespaces {
        return Err(Failure::message("a resource cannot be retrieved by name across all namespaces"));
    }
    Ok(choice.targets(context).await?.into_iter().map(|target| (target, String::new())).collect())
}

impl Arguments {
    fn grace(&self) -> i64 {
        match (self.now, self.force, self.grace_period) {
            (true, _, _) => 1,
            (false, true, -1) => 0,
            (_, _, grace) => grace,
        }
    }

    fn forced(&self) -> bool {
        self.force && self.grace() == 0
    }

    fn options(&self) -> Result<Value> {
        if self.now && self.grace_period != -1 {
            return Err(Failure::message("--now and --grace-period cannot be specified together"));
        }
        if self.force && self.grace_period > 0 {
            return Err(Failure::message("--force and --grace-period greater than 0 cannot be specified together"));
        }
        // Without --force an immediate end still waits for the node.
        let grace = if self.grace() == 0 && !self.force { 1 } else { self.grace() };
        options(&self.cascade, grace)
    }
}

/// What a deletion asks for; a negative grace is the object's own.
pub(super) fn options(cascade: &str, grace: i64) -> Result<Value> {
    let propagation = match cascade {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        "orphan" | "false" => "Orphan",
        other => {
            let text =
                format!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"");
            return Err(Failure::message(text));
        }
    };
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation});
    if grace >= 0 {
        options["gracePeriodSeconds"] = grace.into();
    }
    Ok(options)
}

/// The uid of what is being deleted; `None` where there was nothing and that is forgiven.
async fn delete(context: &Context, arguments: &Arguments, target: &Target, options: &Value) -> Result<Option<String>> {
    let forgiving = arguments.ignore_not_found || arguments.choice.selects();
    let answer = if arguments.output.is_client_dry_run() {
        context.get(target.at()).await
    } else {
        context.delete(target.at(), options, &[arguments.output.dry_run_query()]).await
    };
    let answer = match answer {
        Err(failure) if failure.is_not_found() && forgiving => return Ok(None),
        answer => answer?,
    };
    tell(context, arguments, target)?;
    // The object itself while it is ending, or a Status that names it when it is gone already.
    let uid = ["/metadata/uid", "/details/uid"].iter().map(|pointer| crate::calls::text(&answer, pointer));
    Ok(Some(uid.max().unwrap_or_default().to_owned()))
}

fn tell(context: &Context, arguments: &Arguments, target: &Target) -> Result<()> {
    if arguments.output.printing.format == "name" {
        return context.line(target);
    }
    let done = if arguments.forced() { "force deleted" } else { "deleted" };
    say(context, target, done, arguments.output.suffix())
}

/// `pod "x" deleted from n namespace`.
pub(super) fn say(context: &Context, target: &Target, done: &str, dry: &str) -> Result<()> {
    let place =
        if target.namespace.is_empty() { String::new() } else { format!(" from {} namespace", target.namespace) };
    context.line(format_args!("{} {:?} {done}{place}{dry}", kind_name(target.def), target.name))
}

async fn wait(context: &Context, limit: Option<Duration>, gone: &[(Target, String)]) -> Result<()> {
    let deadline = limit.map(|limit| tokio::time::Instant::now() + limit);
    let mut failures = Vec::new();
    for (target, uid) in gone {
        let waited = follow::until(context, target, |object| {
            let same =
                object.is_some_and(|object| uid.is_empty() || crate::calls::text(object, "/metadata/uid") == uid);
            Ok((!same).then_some(()))
        });
        match crate::follow::within(deadline, waited).await {
            Some(outcome) => outcome?,
            None => failures.push(crate::follow::timed_out(target)),
        }
    }
    Failure::of_all(failures)
}
