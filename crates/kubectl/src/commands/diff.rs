//! `diff`: what applying manifests would change, as the server would make it.

use super::apply;
use super::output::Manager;
use super::prune::{self, Pruning};
use crate::calls::{At, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::print::{without_managed_fields, yaml};
use crate::target::{self, Wanted};
use client::PatchType;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    manager: Manager,
    #[command(flatten)]
    pruning: Pruning,
    /// Only objects whose labels match
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    /// As apply --server-side would
    #[arg(long)]
    server_side: bool,
    /// With --server-side: take fields from other managers
    #[arg(long)]
    force_conflicts: bool,
    /// Who manages which field too
    #[arg(long)]
    show_managed_fields: bool,
    /// The values of secrets as they are
    #[arg(long)]
    show_secrets: bool,
    /// Objects at a time; they are always taken one by one
    #[arg(long, default_value_t = 1)]
    concurrency: i64,
}

/// The code of trouble; 1 is a difference.
const TROUBLE: u8 = 2;

/// An object as it is, and as it would be; `Null` for none.
struct Pair {
    live: Value,
    merged: Value,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if arguments.force_conflicts && !arguments.server_side {
        return Err(Failure::message("--force-conflicts only works with --server-side"));
    }
    if arguments.files.is_empty() {
        return Err(Failure::Code { code: TROUBLE, text: "error: must specify one of -f and -k".to_owned() });
    }
    let pairs = collect(context, arguments).await;
    let pairs = pairs.map_err(|failure| Failure::Code { code: TROUBLE, text: failure.report() })?;
    let folder = |prefix| {
        let made = tempfile::Builder::new().prefix(prefix).tempdir();
        made.map_err(|error| Failure::message(format!("making a folder: {error}")))
    };
    let (before, after) = (folder("LIVE-")?, folder("MERGED-")?);
    for Pair { mut live, mut merged } in pairs {
        for side in [&mut live, &mut merged] {
            if !arguments.show_managed_fields && side.is_object() {
                without_managed_fields(side);
            }
        }
        if !arguments.show_secrets {
            mask(&mut live, &mut merged);
        }
        let name = file_name(if merged.is_object() { &merged } else { &live });
        for (folder, object) in [(&before, &live), (&after, &merged)] {
            let content = if object.is_object() { yaml(object) } else { String::new() };
            let path = folder.path().join(&name);
            std::fs::write(&path, content).map_err(|error| Failure::message(format!("{}: {error}", path.display())))?;
        }
    }
    compare(context, before.path(), after.path())
}

async fn collect(context: &Context, arguments: &Arguments) -> Result<Vec<Pair>> {
    let (mut wanted, failures) = target::of_files(context, &arguments.files).await?;
    Failure::of_all(failures)?;
    super::create::retain_selected(&mut wanted, &arguments.selector)?;
    let mut pairs = Vec::new();
    for one in &wanted {
        let live = context.find(one.target.at()).await?;
        let merged = if arguments.server_side {
            apply_there(context, arguments, one).await?
        } else {
            merged(context, arguments, one, live.as_ref()).await?
        };
        pairs.push(Pair { live: live.unwrap_or_default(), merged });
    }
    for object in prune::doomed(context, &arguments.pruning, &arguments.selector, &wanted).await? {
        pairs.push(Pair { live: object.object, merged: Value::Null });
    }
    Ok(pairs)
}

async fn apply_there(context: &Context, arguments: &Arguments, wanted: &Wanted) -> Result<Value> {
    let force = if arguments.force_conflicts { "true" } else { "false" };
    let query = [arguments.manager.query("kubectl"), ("force", force), ("dryRun", "All")];
    context.patch(wanted.target.at(), PatchType::Apply, &wanted.document.object, &query).await
}

/// What a client-side apply would make of the object, asked of the server without writing.
async fn merged(context: &Context, arguments: &Arguments, wanted: &Wanted, live: Option<&Value>) -> Result<Value> {
    let target = &wanted.target;
    let query = [arguments.manager.query("kubectl-client-side-apply"), ("dryRun", "All")];
    // Without the annotation, which says once more what the fields say.
    let mut modified = apply::with_last_applied(wanted.document.object.clone());
    if let Some(annotations) = modified.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(apply::LAST_APPLIED);
    }
    match live {
        None => context.create(At::collection(target.def, &target.namespace), &wanted.document.object, &query).await,
        Some(live) => {
            let (kind, patch) = apply::patch(target, &modified, live)?;
            context.patch(target.at(), kind, &patch, &query).await
        }
    }
}

/// `apps.v1.Deployment.namespace.name`.
fn file_name(object: &Value) -> String {
    let version = text(object, "/apiVersion").replace('/', ".");
    let parts =
        [version.as_str(), text(object, "/kind"), text(object, "/metadata/namespace"), text(object, "/metadata/name")];
    parts.join(".")
}

/// Values of secrets become stars that still say whether they differ.
fn mask(live: &mut Value, merged: &mut Value) {
    if live["kind"] != "Secret" && merged["kind"] != "Secret" {
        return;
    }
    let keys = |object: &Value| -> Vec<String> {
        object.get("data").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let mut all = keys(live);
    all.extend(keys(merged));
    for key in all {
        let (before, after) = (live["data"].get(&key).cloned(), merged["data"].get(&key).cloned());
        let (shown_before, shown_after) = match (&before, &after) {
            (Some(before), Some(after)) if before != after => ("*** (before)", "*** (after)"),
            _ => ("***", "***"),
        };
        if before.is_some() {
            live["data"][&key] = shown_before.into();
        }
        if after.is_some() {
            merged["data"][&key] = shown_after.into();
        }
    }
    for side in [live, merged] {
        // What was applied last holds the values too.
        if let Some(annotations) = side.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(apply::LAST_APPLIED);
        }
    }
}

/// The user's own program for differences, or `diff -u -N`; its exit code is ours.
fn compare(context: &Context, before: &Path, after: &Path) -> Result<()> {
    let own = std::env::var("KUBECTL_EXTERNAL_DIFF").ok().filter(|program| !program.is_empty());
    let words = own.as_deref().unwrap_or("diff -u -N");
    let mut words = words.split_whitespace();
    let program = words.next().unwrap_or("diff");
    let mut command = Command::new(program);
    // What is no plain word is left out, as upstream leaves it out.
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-=_".contains(c));
    command.args(words.filter(plain)).arg(before).arg(after);
    let output = command
        .output()
        .map_err(|error| Failure::Code { code: TROUBLE, text: format!("error: failed to run {program:?}: {error}") })?;
    context.print(&output.stdout)?;
    context.complain(&output.stderr)?;
    match output.status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Code { code: u8::try_from(code).unwrap_or(TROUBLE), text: String::new() }),
        None => Err(Failure::Code { code: TROUBLE, text: format!("error: {program:?} was killed") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_and_still_differ() {
        let secret = |data: Value| json!({"kind": "Secret", "data": data});
        let (mut live, mut merged) =
            (secret(json!({"a": "1", "b": "1", "c": "1"})), secret(json!({"a": "1", "b": "2", "d": "1"})));
        mask(&mut live, &mut merged);
        assert_eq!(live["data"], json!({"a": "***", "b": "*** (before)", "c": "***"}));
        assert_eq!(merged["data"], json!({"a": "***", "b": "*** (after)", "d": "***"}));
    }

    #[test]
    fn a_file_is_named_as_its_object() {
        let object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w", "namespace": "n"}});
        assert_eq!(file_name(&object), "apps.v1.Deployment.n.w");
    }
}
