//! `patch`: fields of objects, changed by a strategic merge, merge or JSON patch.

use super::output::{Manager, Output};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest;
use crate::target::{Choice, Target};
use api::schema::strategic;
use client::PatchType;
use serde_json::Value;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    manager: Manager,
    /// Change the manifests that are named, and print them; ask no server
    #[arg(long)]
    local: bool,
    /// The patch, JSON or YAML
    #[arg(short = 'p', long, default_value = "")]
    patch: String,
    /// A file with the patch
    #[arg(long, default_value = "")]
    patch_file: String,
    /// strategic, merge or json
    #[arg(long = "type", default_value = "strategic")]
    kind: String,
    /// The subresource to patch: status, scale
    #[arg(long, default_value = "")]
    subresource: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let kind = match arguments.kind.as_str() {
        "strategic" => PatchType::Strategic,
        "merge" => PatchType::Merge,
        "json" => PatchType::Json,
        other => return Err(Failure::message(format!("--type must be one of [json merge strategic], not {other:?}"))),
    };
    let patch = patch(arguments)?;
    let mut failures = Vec::new();
    for (target, object) in arguments.choice.objects(context, arguments.local).await? {
        if let Err(failure) = one(context, arguments, &target, object, kind, &patch).await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

fn patch(arguments: &Arguments) -> Result<Value> {
    let text = match (arguments.patch.as_str(), arguments.patch_file.as_str()) {
        ("", "") => {
            return Err(Failure::message("must specify --patch or --patch-file containing the contents of the patch"));
        }
        ("", path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::message(format!("unable to read patch file: {path}: {error}")))?,
        (text, _) => text.to_owned(),
    };
    let documents = manifest::parse(&text, "the patch")
        .map_err(|failure| Failure::message(format!("unable to parse {text:?}: {failure}")))?;
    match <[Value; 1]>::try_from(documents) {
        Ok([patch]) => Ok(patch),
        Err(_) => Err(Failure::message(format!("unable to parse {text:?}: one document is wanted"))),
    }
}

async fn one(
    context: &Context,
    arguments: &Arguments,
    target: &Target,
    before: Value,
    kind: PatchType,
    patch: &Value,
) -> Result<()> {
    if arguments.local || arguments.output.is_client_dry_run() {
        let after = locally(target, kind, before.clone(), patch)?;
        let done = if after == before { "patched (no change)" } else { "patched" };
        return arguments.output.tell(context, target, done, &after);
    }
    let at = crate::calls::At { subresource: &arguments.subresource, ..target.at() };
    let query = [arguments.manager.query("kubectl-patch"), arguments.output.dry_run_query()];
    let after = context.patch(at, kind, patch, &query).await?;
    let done =
        if same(&before, &after) && arguments.subresource.is_empty() { "patched (no change)" } else { "patched" };
    arguments.output.tell(context, target, done, &after)
}

/// What the server would make of the patch.
fn locally(target: &Target, kind: PatchType, mut object: Value, patch: &Value) -> Result<Value> {
    match kind {
        PatchType::Json => json(&mut object, patch)?,
        PatchType::Strategic if !target.def.message.is_empty() => {
            return strategic::strategic_merge(target.def.message, object, patch.clone())
                .map_err(|error| Failure::message(error.to_string()));
        }
        _ => merge(&mut object, patch),
    }
    Ok(object)
}

fn same(before: &Value, after: &Value) -> bool {
    crate::calls::text(before, "/metadata/resourceVersion") == crate::calls::text(after, "/metadata/resourceVersion")
}

/// Lays a merge patch (RFC 7386) over a value.
pub(super) fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = value else { return };
    for (key, member) in members {
        if member.is_null() {
            target.shift_remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), member);
        }
    }
}

/// Applies a JSON patch (RFC 6902).
pub(super) fn json(value: &mut Value, patch: &Value) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Failure::message(format!("applying the JSON patch: {error}"));
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|error| failed(&error))?;
    json_patch::patch(value, &patch).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_removes_by_null() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut value, &json!({"a": {"b": null, "e": {"f": null, "g": 1}}, "d": {"h": 2}}));
        assert_eq!(value, json!({"a": {"c": 2, "e": {"g": 1}}, "d": {"h": 2}}));
    }
}
