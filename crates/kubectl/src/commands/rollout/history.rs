//! `rollout history` and `rollout undo`: earlier revisions, kept as replica sets or controller revisions.

use super::{is, is_paused};
use crate::calls::{At, Selection, text};
use crate::commands::apply::{LAST_APPLIED, last_applied};
use crate::commands::describe::page::Page;
use crate::commands::describe::template;
use crate::commands::output::{Output, Printing};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::tabbed;
use crate::target::{Choice, Target};
use crate::workload::selector_of;
use api::Kind;
use api::schema::strategic_merge;
use client::PatchType;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use serde_json::{Value, json};

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const TEMPLATE_HASH: &str = "pod-template-hash";

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    printing: Printing,
    /// One revision, with its pods' template
    #[arg(long, default_value_t = 0)]
    revision: i64,
}

#[derive(clap::Args, Debug)]
pub(crate) struct UndoArguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
    /// 0 is the one before
    #[arg(long, default_value_t = 0)]
    to_revision: i64,
}

/// One earlier state.
struct Revision {
    number: i64,
    cause: String,
    /// The replica set, or the controller revision.
    object: Value,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if arguments.revision < 0 {
        return Err(Failure::message(format!("revision must be a positive integer: {}", arguments.revision)));
    }
    for target in super::targets(context, &arguments.choice).await? {
        let workload = context.get(target.at()).await?;
        let revisions = revisions(context, &target, &workload).await?;
        if let Some(format) = arguments.printing.chosen()? {
            if arguments.revision > 0 && !revisions.iter().any(|one| one.number == arguments.revision) {
                return Err(Failure::message("unable to find the specified revision"));
            }
            for revision in revisions.iter().filter(|one| arguments.revision == 0 || one.number == arguments.revision) {
                arguments.printing.show(context, &format, &revision.object)?;
            }
            continue;
        }
        if arguments.revision > 0 {
            let number = arguments.revision;
            let text = match revisions.iter().find(|one| one.number == number) {
                Some(found) => described(&template_at(found, &target, &workload)?, true),
                None => "No rollout history found.".to_owned(),
            };
            context.print(format!("{target} with revision #{number}\n{text}\n"))?;
            continue;
        }
        if revisions.is_empty() {
            context.line(format_args!("{target} \nNo rollout history found."))?;
            continue;
        }
        let lines: String =
            revisions.iter().map(|revision| format!("{}\t{}\n", revision.number, revision.cause)).collect();
        let table = tabbed(&format!("REVISION\tCHANGE-CAUSE\n{lines}"));
        context.print(format!("{target} \n{table}\n"))?;
    }
    Ok(())
}

/// The template of a revision: a replica set has it, a controller revision is a patch of it.
fn template_at(revision: &Revision, target: &Target, workload: &Value) -> Result<Value> {
    if is::<Deployment>(target) {
        return Ok(revision.object["spec"]["template"].clone());
    }
    let patched = strategic_merge(target.def.message, workload.clone(), revision.object["data"].clone());
    let mut patched = patched.map_err(|error| Failure::message(error.to_string()))?;
    Ok(patched["spec"]["template"].take())
}

/// A template in words.
fn described(template: &Value, titled: bool) -> String {
    let mut page = Page::default();
    if titled {
        template::describe(template, &mut page);
    } else {
        template::inner(template, &mut page);
    }
    page.finish()
}

async fn revisions(context: &Context, target: &Target, workload: &Value) -> Result<Vec<Revision>> {
    let def = if is::<Deployment>(target) {
        &ReplicaSet::DEF
    } else if is::<DaemonSet>(target) || is::<StatefulSet>(target) {
        &ControllerRevision::DEF
    } else {
        return Err(Failure::message(format!("no history viewer has been implemented for {:?}", target.def.kind)));
    };
    let selection = Selection { labels: selector_of(workload).unwrap_or_default(), ..Selection::default() };
    let uid = text(workload, "/metadata/uid");
    let listed = context.list(At::collection(def, &target.namespace), &selection).await?;
    let mut revisions: Vec<Revision> =
        listed.items.into_iter().filter(|object| is_owned(object, uid)).filter_map(revision).collect();
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

fn is_owned(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner["uid"] == uid && owner["controller"] == true)
}

fn revision(object: Value) -> Option<Revision> {
    let annotation = |name: &str| Some(object.pointer("/metadata/annotations")?.get(name)?.as_str()?.to_owned());
    let annotated = annotation(REVISION).and_then(|number| number.parse().ok());
    let number = annotated.or_else(|| object.get("revision").and_then(Value::as_i64))?;
    let cause = annotation(CHANGE_CAUSE).unwrap_or_else(|| "<none>".to_owned());
    Some(Revision { number, cause, object })
}

pub(super) async fn undo(context: &Context, arguments: &UndoArguments) -> Result<()> {
    let mut failures = Vec::new();
    for target in super::targets(context, &arguments.choice).await? {
        if let Err(failure) = one(context, arguments, &target).await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

async fn one(context: &Context, arguments: &UndoArguments, target: &Target) -> Result<()> {
    let workload = context.get(target.at()).await?;
    if last_applied(&workload).is_some() {
        context.remark(format_args!(
            "Warning: resource {}/{} was previously managed with 'kubectl apply'. Rolling back will not update the \
             {LAST_APPLIED} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. Consider \
             using 'kubectl apply' with your previous configuration file instead.",
            target.def.plural, target.name
        ))?;
    }
    if !(is::<Deployment>(target) || is::<DaemonSet>(target) || is::<StatefulSet>(target)) {
        return Err(Failure::message(format!("no rollbacker has been implemented for {:?}", target.def.kind)));
    }
    if is_paused(&workload) {
        let name = &target.name;
        return Err(Failure::message(format!(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume deployment/{name}' and try again"
        )));
    }
    let revisions = revisions(context, target, &workload).await?;
    let wanted = chosen(&revisions, arguments.to_revision, target)?;
    if arguments.output.is_client_dry_run() {
        let template = described(&template_at(wanted, target, &workload)?, false);
        return arguments.output.tell(context, target, &format!("Pod Template:\n{template}"), &workload);
    }
    let (kind, patch) = if is::<Deployment>(target) {
        let template = template_of(&wanted.object);
        if same_template(&template, &workload) {
            let number = wanted.number;
            let done = format!("skipped rollback (current template already matches revision {number})");
            return arguments.output.tell(context, target, &done, &workload);
        }
        (PatchType::Json, json!([{"op": "replace", "path": "/spec/template", "value": template}]))
    } else {
        (PatchType::Strategic, wanted.object["data"].clone())
    };
    let query = [("fieldManager", "kubectl-rollout"), arguments.output.dry_run_query()];
    let after = context.patch(target.at(), kind, &patch, &query).await?;
    arguments.output.tell(context, target, "rolled back", &after)
}

fn chosen<'a>(revisions: &'a [Revision], number: i64, target: &Target) -> Result<&'a Revision> {
    if number == 0 {
        let before = revisions.len().checked_sub(2).map(|index| &revisions[index]);
        let kind = target.def.kind.to_lowercase();
        return before
            .ok_or_else(|| Failure::message(format!("no rollout history found for {kind} {:?}", target.name)));
    }
    let found = revisions.iter().find(|revision| revision.number == number);
    found.ok_or_else(|| Failure::message(format!("unable to find specified revision {number} in history")))
}

/// Without the hash that tells replica sets apart.
pub(in crate::commands) fn template_of(replica_set: &Value) -> Value {
    let mut template = replica_set.pointer("/spec/template").cloned().unwrap_or_default();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.shift_remove(TEMPLATE_HASH);
    }
    template
}

fn same_template(template: &Value, workload: &Value) -> bool {
    workload.pointer("/spec/template") == Some(template)
}
