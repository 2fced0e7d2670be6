//! `apply`: objects are made as manifests say, and changed where manifests changed.
//!
//! Invariant: what was applied last is kept in an annotation, so that a field removed from a manifest is removed from
//! the object while fields that others set stay.

use super::conflicts;
use super::last_applied;
use super::output::Output;
use super::prune::{self, Pruning};
use super::recreate::{Removal, recreate};
use super::server_side;
use crate::calls::At;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::print::{Format, compact};
use crate::target::{self, Target, Wanted};
use api::Reason;
use api::schema::strategic;
use client::PatchType;
use serde_json::{Map, Value, json};

pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGER: &str = "kubectl-client-side-apply";
/// Somebody else wrote between our read and our patch; upstream tries as often.
const ATTEMPTS_MAX: usize = 5;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    output: Output,
    /// Only objects whose labels match
    #[arg(short = 'l', long, default_value = "")]
    selector: String,
    #[command(flatten)]
    server_side: server_side::ServerSide,
    /// The name under which fields are managed
    #[arg(long, default_value = "")]
    field_manager: String,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
    #[command(flatten)]
    pruning: Pruning,
    /// With --prune: everything that was applied once, not what a label query says
    #[arg(long)]
    all: bool,
    /// Delete and create again what cannot be changed
    #[arg(long)]
    force: bool,
    /// What is deleted: background, foreground or orphan
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "background", default_missing_value = "background")]
    cascade: String,
    /// Seconds that what is deleted has to end in; -1 is the object's own
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
    /// How long to wait for what is deleted; 0 is as long as it takes
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// Wait for what is deleted, which --force does anyway
    #[arg(long)]
    wait: bool,
    /// Patches are made of builtin facts about kinds in any case
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    openapi_patch: bool,
    /// With --server-side: the subresource to apply: status, scale
    #[arg(long, default_value = "", hide_default_value = true)]
    subresource: String,
    /// Overwrite what others changed
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    overwrite: bool,
}

/// The annotation's own commands.
#[derive(clap::Subcommand)]
enum Command {
    /// Edit what was applied last
    #[command(name = "edit-last-applied")]
    Edit(last_applied::Edit),
    /// Make what was applied last what a manifest says
    #[command(name = "set-last-applied")]
    Set(last_applied::Set),
    /// Show what was applied last
    #[command(name = "view-last-applied")]
    View(last_applied::View),
}

/// How the server treats unknown fields.
pub(crate) fn field_validation(text: &str) -> Result<&'static str> {
    match text {
        "strict" | "true" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" | "false" => Ok("Ignore"),
        other => Err(Failure::message(format!(
            "invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)"
        ))),
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Edit(arguments)) => return last_applied::edit(context, arguments).await,
        Some(Command::Set(arguments)) => return last_applied::set(context, arguments).await,
        Some(Command::View(arguments)) => return last_applied::view(context, arguments).await,
        None => {}
    }
    if arguments.force && arguments.server_side.server_side {
        return Err(Failure::message("--force cannot be used with --server-side"));
    }
    if !arguments.subresource.is_empty() && !arguments.server_side.server_side {
        return Err(Failure::message("--subresource can only be specified for --server-side"));
    }
    arguments.pruning.check(&arguments.selector, arguments.all)?;
    let removal = Removal::parse(&arguments.cascade, arguments.grace_period, &arguments.timeout)?;
    arguments.write_query()?;
    server_side::check(&arguments.server_side, &arguments.output)?;
    if arguments.files.is_empty() {
        return Err(Failure::message("must specify one of -f and -k"));
    }
    let (mut wanted, mut failures) = target::of_files(context, &arguments.files).await?;
    super::create::retain_selected(&mut wanted, &arguments.selector)?;
    if wanted.is_empty() && failures.is_empty() {
        return Err(Failure::message("no objects passed to apply"));
    }
    for one in &wanted {
        let applied = if arguments.server_side.server_side {
            let (manager, validate) = (&arguments.field_manager, &arguments.validate);
            let subresource = &arguments.subresource;
            server_side::apply(context, &arguments.server_side, &arguments.output, manager, validate, subresource, one)
                .await
        } else {
            apply(context, arguments, one, &removal).await
        };
        match applied {
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    // What could not be applied is a reason to keep what it may have replaced.
    if failures.is_empty() {
        let doomed = prune::doomed(context, &arguments.pruning, &arguments.selector, &wanted).await?;
        let (cascade, grace) = (&arguments.cascade, arguments.grace_period);
        prune::prune(context, &doomed, arguments.output.dry_run, cascade, grace).await?;
    }
    Failure::of_all(failures)
}

async fn apply(context: &Context, arguments: &Arguments, wanted: &Wanted, removal: &Removal) -> Result<()> {
    let (target, source) = (&wanted.target, &wanted.document.source);
    if target.name.is_empty() {
        let text = format!("error when retrieving current configuration of {source:?}: resource name may not be empty");
        return Err(Failure::message(text));
    }
    let modified = with_last_applied(wanted.document.object.clone());
    for attempt in 1..=ATTEMPTS_MAX {
        let current = context.find(target.at()).await;
        let current = current.map_err(|failure| failure.while_doing("retrieving current configuration of", source))?;
        let Some(current) = current else {
            return create(context, arguments, wanted, &modified).await;
        };
        match change(context, arguments, wanted, &modified, current).await {
            Err(Failure::Api(status)) if status.reason == Reason::Conflict && attempt < ATTEMPTS_MAX => {}
            Err(Failure::Api(status)) if arguments.force && status.reason == Reason::Invalid => {
                let old = context.get(target.at()).await?;
                let (dry_run, query) = (arguments.output.dry_run, arguments.write_query()?);
                let pair = (&old, &modified);
                let made = recreate(context, target, removal, dry_run, pair, &query, || Ok(())).await?;
                return arguments.output.tell(context, target, "configured", &made);
            }
            outcome => return outcome,
        }
    }
    Err(Failure::message(format!("{target} is changed by others too often")))
}

impl Arguments {
    fn write_query(&self) -> Result<[(&str, &str); 3]> {
        let manager = if self.field_manager.is_empty() { MANAGER } else { &self.field_manager };
        let validation = field_validation(&self.validate)?;
        Ok([("fieldManager", manager), ("fieldValidation", validation), self.output.dry_run_query()])
    }
}

async fn create(context: &Context, arguments: &Arguments, wanted: &Wanted, modified: &Value) -> Result<()> {
    let target = &wanted.target;
    if arguments.output.is_client_dry_run() {
        return arguments.output.tell(context, target, "created", modified);
    }
    let at = At::collection(target.def, &target.namespace);
    let created = context.create(at, modified, &arguments.write_query()?).await;
    let created = created.map_err(|failure| failure.while_doing("creating", &wanted.document.source))?;
    arguments.output.tell(context, target, "created", &created)
}

async fn change(
    context: &Context,
    arguments: &Arguments,
    wanted: &Wanted,
    modified: &Value,
    current: Value,
) -> Result<()> {
    let target = &wanted.target;
    if last_applied(&current).is_none() && matches!(arguments.output.format()?, None | Some(Format::Name)) {
        context.remark(missing_annotation(target))?;
    }
    let (kind, patch) = patch(target, modified, &current)?;
    if !arguments.overwrite && kind == PatchType::Strategic {
        overwrites_nobody(target, &patch, &current).map_err(|failure| {
            let source = &wanted.document.source;
            failure.while_doing("applying", source)
        })?;
    }
    if patch.as_object().is_some_and(Map::is_empty) {
        return arguments.output.tell(context, target, "unchanged", &current);
    }
    if arguments.output.is_client_dry_run() {
        let merged = merged(target, kind, current, patch)?;
        return arguments.output.tell(context, target, "configured", &merged);
    }
    let patched = context.patch(target.at(), kind, &patch, &arguments.write_query()?).await.map_err(|failure| {
        let what = format!(
            "applying patch:\n{}\nto:\nResource: {:?}, GroupVersionKind: {:?}\nName: {:?}, Namespace: {:?}\nfor:",
            compact(&patch),
            gvr(target),
            format!("{}, Kind={}", target.def.api_version(), target.def.kind),
            target.name,
            target.namespace,
        );
        match failure {
            Failure::Api(status) if status.reason == Reason::Conflict => Failure::Api(status),
            other => other.while_doing(&what, &wanted.document.source),
        }
    })?;
    arguments.output.tell(context, target, "configured", &patched)
}

fn gvr(target: &Target) -> String {
    format!("{}, Resource={}", target.def.api_version(), target.def.plural)
}

/// What a dry run prints: the patch laid over what is.
fn merged(target: &Target, kind: PatchType, current: Value, patch: Value) -> Result<Value> {
    if kind == PatchType::Strategic {
        let merged = strategic::strategic_merge(target.def.message, current, patch);
        return merged.map_err(|error| Failure::message(error.to_string()));
    }
    let mut merged = current;
    super::patch::merge(&mut merged, &patch);
    Ok(merged)
}

fn missing_annotation(target: &Target) -> String {
    format!(
        "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply \
         should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. \
         The missing annotation will be patched automatically.",
        target.def.plural, target.name
    )
}

/// The change from `current` to `modified`: strategic for kinds with a schema, a merge patch for others.
pub(super) fn patch(target: &Target, modified: &Value, current: &Value) -> Result<(PatchType, Value)> {
    let original = match last_applied(current) {
        Some(text) => crate::calls::decode(text.as_bytes())?,
        None => Value::Null,
    };
    let (modified, current) = (modified.clone(), current.clone());
    let (kind, patch) = match target.def.message {
        "" => (PatchType::Merge, strategic::json_three_way(original, modified, current)),
        message => (PatchType::Strategic, strategic::three_way(message, original, modified, current)),
    };
    let patch = patch.map_err(|error| Failure::message(format!("creating patch for {target}: {error}")))?;
    Ok((kind, patch))
}

/// Refuses a patch of what others changed since the last time, as upstream does where it may not overwrite: for kinds
/// with a schema.
fn overwrites_nobody(target: &Target, patch: &Value, current: &Value) -> Result<()> {
    let original = match last_applied(current) {
        Some(text) => crate::calls::decode(text.as_bytes())?,
        None => json!({}),
    };
    let changed = strategic::two_way(target.def.message, original, current.clone())
        .map_err(|error| Failure::message(error.to_string()))?;
    if !conflicts::between(target.def.message, patch, &changed) {
        return Ok(());
    }
    Err(Failure::message(format!(
        "patch:\n{}\nconflicts with changes made from original to current:\n{}\n",
        crate::print::yaml(patch),
        crate::print::yaml(&changed)
    )))
}

pub(super) fn last_applied(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(LAST_APPLIED)?.as_str().filter(|text| !text.is_empty())
}

/// The manifest's object with itself, as it was written, in its annotation.
pub(super) fn with_last_applied(mut object: Value) -> Value {
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.shift_remove(LAST_APPLIED);
    }
    let text = compact(&object) + "\n";
    object["metadata"]["annotations"][LAST_APPLIED] = text.into();
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Kind;
    use k8s_openapi::api::apps::v1::Deployment;

    fn deployment(replicas: Option<i64>, image: &str, sidecar: bool) -> Value {
        let mut containers = vec![json!({"name": "web", "image": image})];
        if sidecar {
            containers.push(json!({"name": "side", "image": "s"}));
        }
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
            "spec": {"template": {"spec": {"containers": containers}}},
        });
        if let Some(replicas) = replicas {
            object["spec"]["replicas"] = replicas.into();
        }
        object
    }

    fn target() -> Target {
        Target { def: &Deployment::DEF, namespace: "n".into(), name: "web".into() }
    }

    #[test]
    fn the_annotation_holds_the_manifest() {
        let applied = with_last_applied(deployment(Some(2), "a<b", false));
        let text = last_applied(&applied).unwrap();
        assert!(
            text.starts_with(
                r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{},"name":"web""#
            ),
            "{text}"
        );
        assert!(text.contains(r#""image":"a\u003cb""#) && text.ends_with("}\n"), "{text}");
        assert_eq!(with_last_applied(applied.clone()), applied, "the annotation does not hold itself");
    }

    #[test]
    fn a_patch_removes_what_the_manifest_lost_and_keeps_what_others_set() {
        let first = with_last_applied(deployment(Some(2), "v1", true));
        let mut live = first.clone();
        live["spec"]["replicas"] = 5.into();
        live["spec"]["paused"] = true.into();
        live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
        let (kind, same) = patch(&target(), &first, &first).unwrap();
        assert_eq!((kind, same), (PatchType::Strategic, json!({})));
        let second = with_last_applied(deployment(None, "v2", false));
        let (_, change) = patch(&target(), &second, &live).unwrap();
        assert_eq!(change["spec"]["replicas"], Value::Null);
        assert!(change["spec"].as_object().unwrap().contains_key("replicas"));
        let merged = merged(&target(), PatchType::Strategic, live, change).unwrap();
        assert_eq!(
            merged["spec"],
            json!({"paused": true, "template": {"spec": {"containers": [{"name": "web", "image": "v2", "imagePullPolicy": "Always"}]}}})
        );
    }
}
