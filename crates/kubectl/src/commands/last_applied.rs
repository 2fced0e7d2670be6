//! `apply view-last-applied`, `set-last-applied`, `edit-last-applied`: the annotation that client-side apply keeps.

use super::apply::{LAST_APPLIED, last_applied};
use super::edit::{HEAD, Refusals, check_format, only_one, unreadable};
use super::output::{Manager, Output, Printing};
use crate::context::Context;
use crate::editor::Session;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::print::{compact, pretty, yaml};
use crate::target::{self, Choice, Target, Wanted};
use client::PatchType;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct View {
    #[command(flatten)]
    choice: Choice,
    /// yaml or json
    #[arg(short = 'o', long, default_value = "yaml")]
    output: String,
}

#[derive(clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    output: Output,
    /// Make the annotation where there is none
    #[arg(long)]
    create_annotation: bool,
}

#[derive(clap::Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    manager: Manager,
    #[command(flatten)]
    windows: super::edit::Windows,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
}

fn missing(target: &Target) -> Failure {
    Failure::message(format!("no last-applied-configuration annotation found on resource: {}", target.name))
}

pub(super) async fn view(context: &Context, arguments: &View) -> Result<()> {
    let targets = arguments.choice.targets(context).await?;
    for target in targets {
        let object = context.get(target.at()).await?;
        let Some(text) = last_applied(&object) else {
            context.remark(missing(&target).report())?;
            continue;
        };
        let applied = crate::calls::decode(text.as_bytes())?;
        match arguments.output.as_str() {
            "yaml" => context.print(yaml(&applied))?,
            "json" => context.print(pretty(&applied) + "\n")?,
            other => {
                let text = format!("Unexpected -o output mode: {other}, the flag 'output' must be one of yaml|json");
                return Err(Failure::message(text));
            }
        }
    }
    Ok(())
}

fn patch(applied: &Value) -> Value {
    json!({"metadata": {"annotations": {LAST_APPLIED: compact(applied) + "\n"}}})
}

pub(super) async fn set(context: &Context, arguments: &Set) -> Result<()> {
    let (wanted, failures) = target::of_files(context, &arguments.files).await?;
    Failure::of_all(failures)?;
    if wanted.is_empty() {
        return Err(Failure::message("no objects passed to set-last-applied"));
    }
    // All are looked at before one is changed.
    let mut found = Vec::new();
    for wanted in wanted {
        let (target, object) = (&wanted.target, context.get(wanted.target.at()).await?);
        if last_applied(&object).is_none() && !arguments.create_annotation {
            return Err(Failure::message(format!(
                "no last-applied-configuration annotation found on resource: {}, to create the annotation, run the command with --create-annotation",
                target.name
            )));
        }
        found.push((wanted, object));
    }
    for (Wanted { target, document }, object) in found {
        if last_applied(&object) == Some(&(compact(&document.object) + "\n")) {
            arguments.output.tell(context, &target, "configured", &object)?;
            continue;
        }
        if arguments.output.is_client_dry_run() {
            arguments.output.tell(context, &target, "configured", &object)?;
            continue;
        }
        let query = [("fieldManager", "kubectl-client-side-apply"), arguments.output.dry_run_query()];
        let after = context.patch(target.at(), PatchType::Merge, &patch(&document.object), &query).await?;
        arguments.output.tell(context, &target, "configured", &after)?;
    }
    Ok(())
}

pub(super) async fn edit(context: &Context, arguments: &Edit) -> Result<()> {
    let validation = super::apply::field_validation(&arguments.validate)?;
    check_format(&arguments.printing)?;
    let query = [arguments.manager.query("kubectl-client-side-apply"), ("fieldValidation", validation)];
    let json = arguments.printing.format == "json";
    for target in arguments.choice.targets(context).await? {
        let object = context.get(target.at()).await?;
        let applied = last_applied(&object).ok_or_else(|| missing(&target))?;
        let applied = crate::calls::decode(applied.as_bytes())?;
        let (suffix, original) = if json { (".json", pretty(&applied) + "\n") } else { (".yaml", yaml(&applied)) };
        let windows = arguments.windows.windows_line_endings;
        let session = Session { suffix, head: if json { "" } else { HEAD }, original: &original, windows };
        let save = async |edited: &str| {
            let applied = match only_one(edited) {
                Ok(applied) => applied,
                Err(failure) => return unreadable(context, &target, &failure),
            };
            let mut refusals = Refusals::default();
            match context.patch(target.at(), PatchType::Merge, &patch(&applied), &query).await {
                Ok(after) => arguments.printing.tell(context, &target, "edited", &after)?,
                Err(Failure::Closed) => return Err(Failure::Closed),
                Err(failure) => refusals.add(context, &target, &failure)?,
            }
            Ok(refusals.verdict())
        };
        session.run(context, save).await?;
    }
    Ok(())
}
