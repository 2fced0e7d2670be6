//! `apply`: objects are made as manifests say, and changed where manifests changed.
//!
//! Invariant: what was applied last is kept in an annotation, so that a field removed from a manifest is removed from
//! the object while fields that others set stay.

use super::output::Output;
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

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
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
    /// Delete and create again what cannot be changed; not built
    #[arg(long)]
    force: bool,
    /// Delete what manifests no longer have; not built
    #[arg(long)]
    prune: bool,
    /// Overwrite what others changed
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    overwrite: bool,
}

/// How the server treats unknown fields.
pub(crate) fn field_validation(text: &str) -> Result<&'static str> {
    match text {
        "strict" | "true" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" | "false" => Ok("Ignore"),
        other => Err(Failure::message(format!("invalid - validate option {other:?}"))),
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    for (asked, flag) in [
        (arguments.prune, "apply --prune"),
        (arguments.force, "apply --force"),
        (!arguments.overwrite, "apply --overwrite=false"),
    ] {
        if asked {
            return Err(super::unavailable(flag));
        }
    }
    server_side::check(&arguments.server_side, &arguments.output)?;
    if arguments.files.is_empty() {
        return Err(Failure::message("must specify one of -f and -k"));
    }
    let (mut wanted, mut failures) = target::of_files(context, &arguments.files).await?;
    if !arguments.selector.is_empty() {
        let selector =
            api::selector::Selector::parse(&arguments.selector).map_err(|error| Failure::message(error.to_string()))?;
        wanted.retain(|wanted| {
            let labels = wanted.document.object.pointer("/metadata/labels");
            selector.matches_with(|label| labels?.get(label)?.as_str())
        });
    }
    if wanted.is_empty() && failures.is_empty() {
        return Err(Failure::message("no objects passed to apply"));
    }
    for one in &wanted {
        let applied = if arguments.server_side.server_side {
            let (manager, validate) = (&arguments.field_manager, &arguments.validate);
            server_side::apply(context, &arguments.server_side, &arguments.output, manager, validate, one).await
        } else {
            apply(context, arguments, one).await
        };
        match applied {
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::of_all(failures)
}

async fn apply(context: &Context, arguments: &Arguments, wanted: &Wanted) -> Result<()> {
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
fn patch(target: &Target, modified: &Value, current: &Value) -> Result<(PatchType, Value)> {
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
