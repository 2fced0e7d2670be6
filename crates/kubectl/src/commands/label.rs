//! `label` and `annotate`: `KEY=VALUE` sets, `KEY-` removes.

use super::output::{Manager, Output};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Choice, Target};
use client::PatchType;
use serde_json::{Map, Value, json};

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
    /// Only while the object is at this version
    #[arg(long, default_value = "", hide_default_value = true)]
    resource_version: String,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
    /// Print what is there instead
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Labels,
    Annotations,
}

impl Arguments {
    fn check(&self, names: &[String], changes: &Changes, subject: Subject) -> Result<()> {
        let choice = &self.choice;
        let refused = match () {
            () if choice.all && !choice.selector.is_empty() => "cannot set --all and --selector at the same time",
            () if choice.all && !choice.field_selector.is_empty() => {
                "cannot set --all and --field-selector at the same time"
            }
            () if names.is_empty() && choice.files.is_empty() => {
                "one or more resources must be specified as <resource> <name> or <resource>/<name>"
            }
            () if *changes == Changes::default() && !self.list => {
                return Err(Failure::message(format!("at least one {} update is required", subject.noun())));
            }
            () => return Ok(()),
        };
        Err(Failure::message(refused))
    }
}

impl Subject {
    fn key(self) -> &'static str {
        match self {
            Subject::Labels => "labels",
            Subject::Annotations => "annotations",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Subject::Labels => "label",
            Subject::Annotations => "annotation",
        }
    }
}

/// What to set, and what to remove.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    set: Vec<(String, String)>,
    remove: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    write(context, arguments, Subject::Labels).await
}

pub(crate) async fn annotate(context: &Context, arguments: &Arguments) -> Result<()> {
    write(context, arguments, Subject::Annotations).await
}

async fn write(context: &Context, arguments: &Arguments, subject: Subject) -> Result<()> {
    let (names, changes) = split(&arguments.choice.arguments, subject)?;
    arguments.check(&names, &changes, subject)?;
    let choice = Choice { arguments: names, ..arguments.choice.clone() };
    let mut failures = Vec::new();
    let objects = choice.objects(context, arguments.local).await?;
    if objects.len() > 1 && !arguments.resource_version.is_empty() {
        return Err(Failure::message("--resource-version may only be used with a single resource"));
    }
    for (target, object) in objects {
        if let Err(failure) = one(context, arguments, subject, &target, object, &changes).await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

/// Names of objects come first; from the first change on all are changes.
fn split(words: &[String], subject: Subject) -> Result<(Vec<String>, Changes)> {
    let is_change = |word: &String| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let first = words.iter().position(is_change).unwrap_or(words.len());
    let mut changes = Changes::default();
    for word in &words[first..] {
        if let Some((key, value)) = word.split_once('=') {
            changes.set.push((key.to_owned(), value.to_owned()));
        } else if let Some(key) = word.strip_suffix('-') {
            changes.remove.push(key.to_owned());
        } else {
            return Err(Failure::message(format!("unknown {} spec: {word}", subject.noun())));
        }
    }
    if changes.set.iter().any(|(key, _)| changes.remove.contains(key)) {
        let article = if subject == Subject::Labels { "a" } else { "an" };
        return Err(Failure::message(format!(
            "can not both modify and remove {article} {} in the same command",
            subject.noun()
        )));
    }
    Ok((words[..first].to_vec(), changes))
}

async fn one(
    context: &Context,
    arguments: &Arguments,
    subject: Subject,
    target: &Target,
    object: Value,
    changes: &Changes,
) -> Result<()> {
    let present =
        object.pointer(&format!("/metadata/{}", subject.key())).and_then(Value::as_object).cloned().unwrap_or_default();
    if arguments.list {
        return list(context, &present);
    }
    if !arguments.overwrite {
        refuse_overwriting(subject, &present, changes)?;
    }
    for key in changes.remove.iter().filter(|key| !present.contains_key(*key)) {
        context.line(format_args!("{} {key:?} not found.", subject.noun()))?;
    }
    let set = changes.set.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    let removed = changes.remove.iter().map(|key| (key.clone(), Value::Null));
    let mut patch = json!({"metadata": {subject.key(): set.chain(removed).collect::<Map<_, _>>()}});
    if !arguments.resource_version.is_empty() {
        patch["metadata"]["resourceVersion"] = arguments.resource_version.clone().into();
    }
    let after = if arguments.local || arguments.output.is_client_dry_run() {
        let mut after = object.clone();
        super::patch::merge(&mut after, &patch);
        after
    } else {
        let manager = match subject {
            Subject::Labels => "kubectl-label",
            Subject::Annotations => "kubectl-annotate",
        };
        let query = [arguments.manager.query(manager), arguments.output.dry_run_query()];
        context.patch(target.at(), PatchType::Merge, &patch, &query).await?
    };
    arguments.output.tell(context, target, done(subject, &present, changes), &after)
}

fn refuse_overwriting(subject: Subject, present: &Map<String, Value>, changes: &Changes) -> Result<()> {
    let taken = changes.set.iter().filter_map(|(key, value)| {
        let old = present.get(key)?.as_str()?;
        (subject == Subject::Annotations || old != value).then(|| match subject {
            Subject::Labels => format!("'{key}' already has a value ({old}), and --overwrite is false"),
            Subject::Annotations => format!("--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({old})"),
        })
    });
    match taken.reduce(|all, one| format!("{all}; {one}")) {
        Some(text) => Err(Failure::message(text)),
        None => Ok(()),
    }
}

fn done(subject: Subject, present: &Map<String, Value>, changes: &Changes) -> &'static str {
    if subject == Subject::Annotations {
        return "annotated";
    }
    let sets = changes.set.iter().any(|(key, value)| present.get(key).and_then(Value::as_str) != Some(value));
    let removes = changes.remove.iter().any(|key| present.contains_key(key));
    match (sets, removes) {
        (true, _) => "labeled",
        (false, true) => "unlabeled",
        (false, false) => "not labeled",
    }
}

fn list(context: &Context, present: &Map<String, Value>) -> Result<()> {
    let mut lines: Vec<String> =
        present.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    lines.sort();
    lines.iter().try_for_each(|line| context.line(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_before_changes() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (names, changes) = split(&words("pods a b x=1 y-"), Subject::Labels).unwrap();
        assert_eq!(names, ["pods", "a", "b"]);
        assert_eq!(changes, Changes { set: vec![("x".into(), "1".into())], remove: vec!["y".into()] });
        assert!(split(&words("pods a x=1 b"), Subject::Labels).is_err());
        assert!(split(&words("pods a x=1 x-"), Subject::Labels).is_err());
    }
}
