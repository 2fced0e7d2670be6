//! `patch`: fields of objects, changed by a strategic merge, merge or JSON patch.

use super::output::Output;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest;
use crate::target::{Choice, Target};
use client::PatchType;
use serde_json::Value;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
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
    for target in arguments.choice.targets(context).await? {
        if let Err(failure) = one(context, arguments, &target, kind, &patch).await {
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

async fn one(context: &Context, arguments: &Arguments, target: &Target, kind: PatchType, patch: &Value) -> Result<()> {
    if arguments.output.is_client_dry_run() {
        return Err(super::unavailable("patch --dry-run=client"));
    }
    let before = context.get(target.at()).await?;
    let at = crate::calls::At { subresource: &arguments.subresource, ..target.at() };
    let query = [("fieldManager", "kubectl-patch"), arguments.output.dry_run_query()];
    let after = context.patch(at, kind, patch, &query).await?;
    let done =
        if same(&before, &after) && arguments.subresource.is_empty() { "patched (no change)" } else { "patched" };
    arguments.output.tell(context, target, done, &after)
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
