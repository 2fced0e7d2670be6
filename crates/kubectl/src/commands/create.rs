//! `create`: objects from manifests, and a namespace by name.

use super::apply::{field_validation, with_last_applied};
use super::output::Output;
use crate::calls::{At, name_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::target::{self, Target, Wanted};
use serde_json::json;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = false)]
pub(crate) struct Arguments {
    /// `namespace NAME`, or nothing with --filename
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    output: Output,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
    /// Keep the manifest in an annotation, for a later apply
    #[arg(long)]
    save_config: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    match arguments.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] if arguments.files.is_empty() => Err(Failure::message("must specify one of -f and -k")),
        [] => from_files(context, arguments).await,
        ["namespace" | "ns", name] => namespace(context, arguments, name).await,
        [what, ..] => Err(super::unavailable(&format!("create {what}"))),
    }
}

async fn namespace(context: &Context, arguments: &Arguments, name: &str) -> Result<()> {
    let def = context.resources.named("namespaces").await?;
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    create(context, arguments, Target::of(def, &object), object).await
}

async fn from_files(context: &Context, arguments: &Arguments) -> Result<()> {
    let (all, mut failures) = target::of_files(context, &arguments.files).await?;
    if all.is_empty() && failures.is_empty() {
        return Err(Failure::message("no objects passed to create"));
    }
    for Wanted { target, document } in all {
        let created = create(context, arguments, target, document.object).await;
        match created.map_err(|failure| failure.while_doing("creating", &document.source)) {
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::of_all(failures)
}

async fn create(context: &Context, arguments: &Arguments, mut target: Target, object: serde_json::Value) -> Result<()> {
    let object = if arguments.save_config { with_last_applied(object) } else { object };
    if arguments.output.is_client_dry_run() {
        return arguments.output.tell(context, &target, "created", &object);
    }
    let query = [
        ("fieldManager", "kubectl-create"),
        ("fieldValidation", field_validation(&arguments.validate)?),
        arguments.output.dry_run_query(),
    ];
    let created = context.create(At::collection(target.def, &target.namespace), &object, &query).await?;
    // A generated name is known only now.
    name_of(&created).clone_into(&mut target.name);
    arguments.output.tell(context, &target, "created", &created)
}
