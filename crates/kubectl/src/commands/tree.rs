//! `tree`: who owns what, from an object down to its pods.

use crate::calls::{At, Selection, name_of, text};
use crate::context::Context;
use crate::convert::age;
use crate::failure::{Failure, Result};
use crate::print::{Widths, grid};
use crate::target::{self, Named};
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// TYPE NAME or TYPE/NAME
    words: Vec<String>,
}

/// Owners that own themselves end here.
const DEPTH_MAX: usize = 32;

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let targets = match target::parse(context, &arguments.words).await? {
        Named::Objects(targets) => targets,
        Named::Kinds(_) => return Err(Failure::message("name one object: kubectl tree TYPE NAME")),
    };
    let all = everything(context).await?;
    for target in &targets {
        let root = context.get(target.at()).await?;
        let mut lines = vec![["NAME", "READY", "REASON", "AGE"].map(str::to_owned).to_vec()];
        lines.push(line(&root, ""));
        branch(&all, &root, "", DEPTH_MAX, &mut lines);
        context.print(grid(&lines, &mut Widths::default()))?;
    }
    Ok(())
}

/// Every object with an owner, of every kind in the namespace that the user may list.
async fn everything(context: &Context) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for served in context.resources.served().await? {
        let def = served.def;
        // What cannot be deleted has no owner that it would go with: it is computed when it is asked for.
        let can_be_owned = ["list", "delete"].iter().all(|wanted| served.verbs.iter().any(|verb| verb == wanted));
        // Events belong to what they are about, not to owners; versions of one kind are the same objects.
        if !can_be_owned || def.plural == "events" || seen.contains(&def.group_resource()) {
            continue;
        }
        seen.push(def.group_resource());
        let namespace = if def.namespaced() { context.namespace.as_str() } else { "" };
        match context.list(At::collection(def, namespace), &Selection::default()).await {
            Ok(listed) => all.extend(listed.items.into_iter().filter(|one| !owners(one).is_empty())),
            Err(Failure::Api(status)) if matches!(status.code, 403..=405) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(all)
}

fn owners(object: &Value) -> &[Value] {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn branch(all: &[Value], owner: &Value, indent: &str, depth: usize, lines: &mut Vec<Vec<String>>) {
    let uid = text(owner, "/metadata/uid");
    let mut owned: Vec<&Value> =
        all.iter().filter(|one| owners(one).iter().any(|reference| reference["uid"] == uid)).collect();
    owned.sort_by_key(|one| (text(one, "/kind").to_owned(), name_of(one).to_owned()));
    let last = owned.len().saturating_sub(1);
    for (index, one) in owned.into_iter().enumerate() {
        let (branch_mark, rest) = if index == last { ("└─", "  ") } else { ("├─", "│ ") };
        lines.push(line(one, &format!("{indent}{branch_mark}")));
        if depth > 0 {
            branch(all, one, &format!("{indent}{rest}"), depth - 1, lines);
        }
    }
}

fn line(object: &Value, indent: &str) -> Vec<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|one| matches!(text(one, "/type"), "Ready" | "Available"));
    let status = ready.map_or("-", |condition| text(condition, "/status"));
    let reason = ready.map_or("", |condition| text(condition, "/reason"));
    vec![
        format!("{indent}{}/{}", text(object, "/kind"), name_of(object)),
        status.to_owned(),
        reason.to_owned(),
        age(text(object, "/metadata/creationTimestamp")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_owned_stands_below_its_owner() {
        let object = |kind: &str, name: &str, owner: &str| json!({"kind": kind, "metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": owner}]}});
        let all = [
            object("Pod", "b", "rs"),
            object("ReplicaSet", "rs", "web"),
            object("Pod", "a", "rs"),
            object("Pod", "x", "other"),
        ];
        let mut lines = Vec::new();
        branch(&all, &object("Deployment", "web", ""), "", DEPTH_MAX, &mut lines);
        let names: Vec<&str> = lines.iter().map(|line| line[0].as_str()).collect();
        assert_eq!(names, ["└─ReplicaSet/rs", "  ├─Pod/a", "  └─Pod/b"]);
    }
}
