//! `taint`: marks on nodes that keep pods away.

use super::apply::field_validation;
use super::output::{DryRun, Manager, Output};
use crate::calls::At;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Choice, Target};
use api::Kind;
use client::PatchType;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// node NAME… KEY=VALUE:EFFECT… KEY:EFFECT-… KEY-…
    arguments: Vec<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    manager: Manager,
    /// Every node
    #[arg(long)]
    all: bool,
    /// A label query
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    /// Replace the value of a taint that is there
    #[arg(long)]
    overwrite: bool,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A taint to set or, without a value, to take away; an empty effect is all effects.
const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

#[derive(Debug, PartialEq)]
struct Change {
    key: String,
    value: String,
    effect: String,
    remove: bool,
}

impl Change {
    fn parse(text: &str) -> Result<Change> {
        const HINT: &str = "\nSee 'kubectl taint -h' for help and examples";
        let invalid = || Failure::message(format!("invalid taint spec: {text}{HINT}"));
        let (body, remove) = match text.strip_suffix('-') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let (pair, effect) = body.split_once(':').unwrap_or((body, ""));
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !remove && effect.is_empty() && !key.is_empty() {
            return Err(Failure::message(format!("invalid taint spec: {text}, {NAME_RULE}{HINT}")));
        }
        let is_name = |text: &str| {
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
            text.chars().all(fits)
        };
        if !is_name(key) {
            return Err(Failure::message(format!("invalid taint spec: {text}, {NAME_RULE}{HINT}")));
        }
        if key.is_empty() || effect.contains(':') || (!remove && effect.is_empty()) {
            return Err(invalid());
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            return Err(Failure::message(format!("invalid taint effect: {effect}, unsupported taint effect{HINT}")));
        }
        Ok(Change { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned(), remove })
    }

    fn is_of(&self, taint: &Value) -> bool {
        taint["key"] == self.key.as_str() && (self.effect.is_empty() || taint["effect"] == self.effect.as_str())
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let is_change = |word: &&String| word.contains([':', '=']) || word.ends_with('-');
    let changes =
        arguments.arguments.iter().filter(is_change).map(|word| Change::parse(word)).collect::<Result<Vec<_>>>()?;
    check_together(&changes)?;
    let resources: Vec<String> = arguments.arguments.iter().filter(|word| !is_change(word)).cloned().collect();
    if resources.is_empty() {
        return Err(Failure::message("one or more resources must be specified as <resource> <name>"));
    }
    if changes.is_empty() {
        return Err(Failure::message("at least one taint update is required"));
    }
    field_validation(&arguments.validate)?;
    let choice =
        Choice { arguments: resources, all: arguments.all, selector: arguments.selector.clone(), ..Choice::default() };
    let mut failures = Vec::new();
    for target in choice.targets(context).await? {
        if target.def.group_resource() != Node::DEF.group_resource() {
            let text = format!("invalid resource type {}, only node types are supported", target.def.plural);
            return Err(Failure::message(text));
        }
        if let Err(failure) = one(context, arguments, &target, &changes).await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

/// A taint is said once in a command: what it is, or that it goes.
fn check_together(changes: &[Change]) -> Result<()> {
    for (index, change) in changes.iter().enumerate() {
        let Change { key, value, effect, .. } = change;
        let same = |other: &&Change| other.key == *key && (other.effect == *effect || other.effect.is_empty());
        if !change.remove && changes[..index].iter().any(|other| !other.remove && same(&other)) {
            return Err(Failure::message(format!(
                "duplicated taints with the same key and effect: {{{key} {value} {effect} <nil>}}\nSee 'kubectl taint -h' for help and examples"
            )));
        }
        if !change.remove && changes.iter().any(|other| other.remove && same(&other)) {
            return Err(Failure::message(format!(
                "can not both modify and remove the following taint(s) in the same command: {key}={effect}"
            )));
        }
    }
    Ok(())
}

async fn one(context: &Context, arguments: &Arguments, target: &Target, changes: &[Change]) -> Result<()> {
    let node = context.get(At::object(target.def, "", &target.name)).await?;
    let present = node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    let (after, done) = changed(target, present, changes, arguments.overwrite)?;
    let patch = json!({"spec": {"taints": after}});
    if arguments.output.is_client_dry_run() {
        let mut node = node;
        node["spec"]["taints"] = after.into();
        return arguments.tell(context, target, done, &node);
    }
    let query = [
        arguments.manager.query("kubectl-taint"),
        ("fieldValidation", field_validation(&arguments.validate)?),
        arguments.output.dry_run_query(),
    ];
    let node = context.patch(target.at(), PatchType::Merge, &patch, &query).await?;
    arguments.tell(context, target, done, &node)
}

impl Arguments {
    /// Without a word of a dry run, as upstream has it.
    fn tell(&self, context: &Context, target: &Target, done: &str, node: &Value) -> Result<()> {
        Output { dry_run: DryRun::None, ..self.output.clone() }.tell(context, target, done, node)
    }
}

fn changed(
    target: &Target,
    present: Vec<Value>,
    changes: &[Change],
    overwrite: bool,
) -> Result<(Vec<Value>, &'static str)> {
    let mut after = present.clone();
    let mut failures = Vec::new();
    for change in changes.iter().filter(|change| !change.remove) {
        let Change { key, value, effect, .. } = change;
        let mut taint = json!({"effect": effect, "key": key});
        if !value.is_empty() {
            taint["value"] = value.as_str().into();
        }
        match after.iter_mut().find(|known| change.is_of(known)) {
            Some(_) if !overwrite => failures.push(Failure::message(format!(
                "node {} already has {key} taint(s) with same effect(s) and --overwrite is false",
                target.name
            ))),
            Some(known) => *known = taint,
            None => after.insert(0, taint),
        }
    }
    for change in changes.iter().filter(|change| change.remove) {
        let before = after.len();
        after.retain(|taint| !change.is_of(taint));
        if after.len() == before {
            let Change { key, effect, .. } = change;
            let effect = if effect.is_empty() { String::new() } else { format!(":{effect}") };
            failures.push(Failure::message(format!("taint \"{key}{effect}\" not found")));
        }
    }
    Failure::of_all(failures)?;
    let sets = changes.iter().any(|change| !change.remove);
    let removes = changes.iter().any(|change| change.remove);
    Ok((
        after,
        if sets && removes {
            "modified"
        } else if removes {
            "untainted"
        } else {
            "tainted"
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_come_and_go() {
        let target = Target { def: &Node::DEF, namespace: String::new(), name: "n".into() };
        let old = vec![json!({"key": "a", "effect": "NoSchedule", "value": "1"})];
        let check = |words: &[&str], overwrite| {
            let changes: Vec<Change> = words.iter().map(|word| Change::parse(word).unwrap()).collect();
            changed(&target, old.clone(), &changes, overwrite).map_err(|failure| failure.report())
        };
        assert_eq!(check(&["a-"], false), Ok((vec![], "untainted")));
        assert_eq!(check(&["a:NoSchedule-", "b=2:NoExecute"], false).unwrap().1, "modified");
        assert!(check(&["a=2:NoSchedule"], false).unwrap_err().contains("--overwrite is false"));
        assert_eq!(check(&["a=2:NoSchedule"], true).unwrap().0[0]["value"], "2");
        assert!(check(&["z-"], false).unwrap_err().contains("taint \"z\" not found"));
        assert!(Change::parse("a=b").is_err() && Change::parse("a=b:Nope").is_err());
    }
}
