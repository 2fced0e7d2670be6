//! `edit`: objects in the user's editor; what the user changed is sent as a patch.

use super::apply::{field_validation, with_last_applied};
use super::output::{Manager, Printing};
use crate::calls::{At, list_of, name_of, text};
use crate::context::Context;
use crate::editor::{Session, Verdict};
use crate::failure::{Failure, Result};
use crate::manifest::{self, Files};
use crate::print::{compact, pretty, without_managed_fields, yaml};
use crate::target::{Choice, Target, Wanted};
use api::Reason;
use api::schema::strategic;
use client::PatchType;
use serde_json::Value;

/// How lines of the file end.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Windows {
    /// Lines of the edited file end as on Windows
    #[arg(long)]
    pub(super) windows_line_endings: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    manager: Manager,
    #[command(flatten)]
    windows: Windows,
    /// Print the patch too
    #[arg(long)]
    output_patch: bool,
    /// Keep the object as it is saved in an annotation, for a later apply
    #[arg(long)]
    save_config: bool,
    /// The subresource to edit: status, scale
    #[arg(long, default_value = "", hide_default_value = true)]
    subresource: String,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
}

const MANAGER: &str = "kubectl-edit";
pub(super) const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n\
                    # and an empty file will abort the edit. If an error occurs while saving this file will be\n\
                    # reopened with the relevant failures.\n#\n";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    field_validation(&arguments.validate)?;
    check_format(&arguments.printing)?;
    let targets = arguments.choice.targets(context).await?;
    if targets.is_empty() {
        return Err(Failure::message("edit cancelled, no objects found"));
    }
    let mut objects = Vec::new();
    for target in &targets {
        let mut object = context.get(At { subresource: &arguments.subresource, ..target.at() }).await?;
        if !arguments.printing.show_managed_fields {
            without_managed_fields(&mut object);
        }
        objects.push(object);
    }
    let json = arguments.printing.format == "json";
    let (suffix, head) = if json { (".json", "") } else { (".yaml", HEAD) };
    let windows = arguments.windows.windows_line_endings;
    let session = Session { suffix, head, original: &shown(&objects, json), windows };
    session.run(context, async |edited| save(context, arguments, &targets, &objects, edited).await).await
}

fn shown(objects: &[Value], json: bool) -> String {
    let whole = match objects {
        [one] => one.clone(),
        many => list_of(many.to_vec()),
    };
    if json { pretty(&whole) + "\n" } else { yaml(&whole) }
}

async fn save(
    context: &Context,
    arguments: &Arguments,
    targets: &[Target],
    objects: &[Value],
    edited: &str,
) -> Result<Verdict> {
    let mut documents = match manifest::parse(edited, "edited-file") {
        Ok(documents) => documents,
        Err(failure) => return unreadable(context, &targets[0], &failure),
    };
    if let [one] = documents.as_slice()
        && one["kind"] == "List"
        && let Some(items) = one["items"].as_array()
    {
        documents = items.clone();
    }
    if documents.len() != targets.len() {
        return Ok(Verdict::Invalid("objects may be changed in an edit, but not added or taken away".to_owned()));
    }
    let mut refusals = Refusals::default();
    for ((target, before), after) in targets.iter().zip(objects).zip(documents) {
        match patch(context, arguments, target, before, after).await {
            Ok(()) => {}
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure @ Failure::Message(_)) => return Err(failure),
            Err(failure) => refusals.add(context, target, &failure)?,
        }
    }
    Ok(refusals.verdict())
}

/// The form of the file is that of the output, so it has to be one that can be read back.
pub(super) fn check_format(printing: &Printing) -> Result<()> {
    match printing.format.as_str() {
        "" | "json" | "yaml" | "kyaml" => Ok(()),
        other => Err(Failure::message(format!(
            "unable to match a printer suitable for the output format {other:?}, allowed formats are: json,kyaml,yaml"
        ))),
    }
}

/// A text that is no manifest is edited again.
pub(super) fn unreadable(context: &Context, target: &Target, failure: &Failure) -> Result<Verdict> {
    context.remark(format_args!("error: {} {:?} is invalid", target.def.group_resource(), target.name))?;
    Ok(Verdict::Invalid(format!("The edited file had a syntax error: {failure}")))
}

/// What the server said of objects that it did not take.
#[derive(Default)]
pub(super) struct Refusals {
    invalid: Vec<String>,
    gone: bool,
    others: bool,
}

impl Refusals {
    /// Says so, and keeps it for the verdict.
    pub(super) fn add(&mut self, context: &Context, target: &Target, failure: &Failure) -> Result<()> {
        let (resource, name) = (target.def.group_resource(), &target.name);
        match failure {
            Failure::Api(status) if status.reason == Reason::Invalid => {
                self.invalid.push(failure.report());
                context.remark(format_args!("error: {resource} {name:?} is invalid"))
            }
            failure if failure.is_not_found() => {
                self.gone = true;
                context.remark(format_args!("error: {resource} {name:?} could not be found on the server"))
            }
            failure => {
                self.others = true;
                context.remark(format_args!("error: {resource} {name:?} could not be patched: {failure}"))
            }
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        match self {
            Refusals { others: true, .. } => Verdict::Refused,
            Refusals { gone: true, .. } => Verdict::Gone,
            Refusals { invalid, .. } if invalid.is_empty() => Verdict::Saved,
            Refusals { invalid, .. } => Verdict::Invalid(invalid.join("\n")),
        }
    }
}

async fn patch(context: &Context, arguments: &Arguments, target: &Target, before: &Value, after: Value) -> Result<()> {
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        if text(before, pointer) != text(&after, pointer) {
            let text = "At least one of apiVersion, kind and name was changed";
            return Err(Failure::message(text));
        }
    }
    let after = if arguments.save_config { with_last_applied(after) } else { after };
    let (kind, patch) = difference(target.def.message, before, after)?;
    if patch.as_object().is_some_and(serde_json::Map::is_empty) {
        return context.line(format_args!("{target} skipped"));
    }
    if arguments.output_patch {
        context.line(format_args!("Patch: {}", compact(&patch)))?;
    }
    let query = [arguments.manager.query(MANAGER), ("fieldValidation", field_validation(&arguments.validate)?)];
    let at = At { subresource: &arguments.subresource, ..target.at() };
    let object = context.patch(at, kind, &patch, &query).await?;
    arguments.printing.tell(context, target, "edited", &object)
}

/// The patch from one object to another: strategic for kinds with a schema, a merge patch for others.
pub(super) fn difference(message: &str, before: &Value, after: Value) -> Result<(PatchType, Value)> {
    let failed = |error: strategic::PatchError| Failure::message(format!("creating the patch: {error}"));
    Ok(match message {
        "" => (PatchType::Merge, strategic::json_three_way(before.clone(), after, before.clone()).map_err(failed)?),
        message => (PatchType::Strategic, strategic::two_way(message, before.clone(), after).map_err(failed)?),
    })
}

/// `create --edit`: manifests are edited before they are sent, by `make`.
pub(super) async fn create(
    context: &Context,
    files: &Files,
    windows: &Windows,
    mut make: impl AsyncFnMut(Target, Value) -> Result<()>,
) -> Result<()> {
    let (wanted, failures) = crate::target::of_files(context, files).await?;
    Failure::of_all(failures)?;
    for Wanted { target, document } in wanted {
        let original = yaml(&document.object);
        let session =
            Session { suffix: ".yaml", head: HEAD, original: &original, windows: windows.windows_line_endings };
        let save = async |edited: &str| {
            let object = match only_one(edited) {
                Ok(object) => object,
                Err(failure) => return unreadable(context, &target, &failure),
            };
            make(Target { name: name_of(&object).to_owned(), ..target.clone() }, object).await?;
            Ok(Verdict::Saved)
        };
        session.run(context, save).await?;
    }
    Ok(())
}

/// The one object that was edited.
pub(super) fn only_one(edited: &str) -> Result<Value> {
    let documents = manifest::parse(edited, "edited-file")?;
    let one = <[Value; 1]>::try_from(documents);
    one.map(|[object]| object).map_err(|_| Failure::message("one object is edited at a time"))
}
