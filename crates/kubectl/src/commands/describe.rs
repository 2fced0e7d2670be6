//! `describe`: all about objects, in words, with the events that are about them.

use crate::calls::{At, Selection, name_of, namespace_of, text};
use crate::context::Context;
use crate::convert::age;
use crate::failure::{Failure, Result};
use crate::print::{display, tabbed, without_managed_fields};
use crate::target::{Choice, Named, Target};
use api::Kind;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Map, Value};
use std::fmt::Write;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// With events
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    show_events: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let targets = targets(context, &arguments.choice).await?;
    if targets.is_empty() {
        return context.remark(format_args!("No resources found in {} namespace.", context.namespace));
    }
    let mut failures = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        match one(context, arguments, target).await {
            Ok(text) => context.print(if index > 0 { format!("\n\n{text}") } else { text })?,
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of_all(failures)
}

/// A kind alone means all its objects; a name that does not exist may be the beginning of several.
async fn targets(context: &Context, choice: &Choice) -> Result<Vec<Target>> {
    if !choice.files.is_empty() {
        return choice.targets(context).await;
    }
    match crate::target::parse(context, &choice.arguments).await? {
        Named::Kinds(kinds) if !kinds.is_empty() => Choice { all: true, ..choice.clone() }.targets(context).await,
        Named::Objects(named) if named.len() == 1 => by_prefix(context, &named[0]).await,
        _ => choice.targets(context).await,
    }
}

async fn by_prefix(context: &Context, named: &Target) -> Result<Vec<Target>> {
    if context.find(named.at()).await?.is_some() {
        return Ok(vec![named.clone()]);
    }
    let listed = context.list(At::collection(named.def, &named.namespace), &Selection::default()).await?;
    let alike = listed.items.iter().filter(|object| name_of(object).starts_with(&named.name));
    let alike: Vec<Target> = alike.map(|object| Target::of(named.def, object)).collect();
    Ok(if alike.is_empty() { vec![named.clone()] } else { alike })
}

async fn one(context: &Context, arguments: &Arguments, target: &Target) -> Result<String> {
    let mut object = context.get(target.at()).await?;
    without_managed_fields(&mut object);
    let mut out = String::new();
    describe(&object, &mut out).map_err(|error| Failure::message(error.to_string()))?;
    if arguments.show_events {
        let events = events(context, &object).await?;
        write_events(&events, &mut out).map_err(|error| Failure::message(error.to_string()))?;
    }
    Ok(tabbed(&out))
}

fn describe(object: &Value, out: &mut String) -> std::fmt::Result {
    writeln!(out, "Name:\t{}", name_of(object))?;
    if !namespace_of(object).is_empty() {
        writeln!(out, "Namespace:\t{}", namespace_of(object))?;
    }
    write_map("Labels", object.pointer("/metadata/labels"), out)?;
    write_map("Annotations", object.pointer("/metadata/annotations"), out)?;
    writeln!(out, "API Version:\t{}", text(object, "/apiVersion"))?;
    writeln!(out, "Kind:\t{}", text(object, "/kind"))?;
    let mut rest = object.as_object().cloned().unwrap_or_default();
    for key in ["apiVersion", "kind"] {
        rest.shift_remove(key);
    }
    if let Some(metadata) = rest.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["name", "namespace", "labels", "annotations"] {
            metadata.shift_remove(key);
        }
    }
    write_members(&rest, 0, out)
}

fn write_map(title: &str, map: Option<&Value>, out: &mut String) -> std::fmt::Result {
    let mut lines: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default().replace('\n', " ")))
        .collect();
    lines.sort();
    if lines.is_empty() {
        lines.push("<none>".to_owned());
    }
    for (index, line) in lines.iter().enumerate() {
        writeln!(out, "{}\t{line}", if index == 0 { format!("{title}:") } else { String::new() })?;
    }
    Ok(())
}

fn write_members(members: &Map<String, Value>, level: usize, out: &mut String) -> std::fmt::Result {
    let indent = "  ".repeat(level);
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    for (key, value) in members {
        let label = label(key);
        match value {
            Value::Object(inner) => {
                writeln!(out, "{indent}{label}:")?;
                write_members(inner, level + 1, out)?;
            }
            Value::Array(elements) => {
                writeln!(out, "{indent}{label}:")?;
                for element in elements {
                    match element {
                        Value::Object(inner) => write_members(inner, level + 1, out)?,
                        other => writeln!(out, "{indent}  {}", display(other))?,
                    }
                }
            }
            other => {
                let text = display(other);
                let mut lines = text.lines();
                writeln!(out, "{indent}{label}:\t{}", lines.next().unwrap_or_default())?;
                lines.try_for_each(|line| writeln!(out, "{indent}\t{line}"))?;
            }
        }
    }
    Ok(())
}

/// `creationTimestamp` reads `Creation Timestamp`, `podIP` reads `Pod IP`.
fn label(key: &str) -> String {
    if key.contains(['.', '/', '-']) {
        return key.to_owned();
    }
    let characters: Vec<char> = key.chars().collect();
    let mut words = String::new();
    for (index, character) in characters.iter().copied().enumerate() {
        let before = index.checked_sub(1).map(|before| characters[before]);
        let begins = character.is_uppercase()
            && (before.is_some_and(|before| !before.is_uppercase())
                || (before.is_some() && characters.get(index + 1).is_some_and(|next| next.is_lowercase())));
        if begins {
            words.push(' ');
        }
        if index == 0 { words.extend(character.to_uppercase()) } else { words.push(character) }
    }
    match words.as_str() {
        "Uid" => "UID".to_owned(),
        "Api Version" => "API Version".to_owned(),
        _ => words,
    }
}

async fn events(context: &Context, object: &Value) -> Result<Vec<Value>> {
    let mut fields = format!("involvedObject.name={}", name_of(object));
    if !text(object, "/metadata/uid").is_empty() {
        write!(fields, ",involvedObject.uid={}", text(object, "/metadata/uid"))
            .map_err(|error| Failure::message(error.to_string()))?;
    }
    let selection = Selection { fields, ..Selection::default() };
    let mut events = context.list(At::collection(&Event::DEF, namespace_of(object)), &selection).await?.items;
    events.sort_by_key(|event| last_seen(event).to_owned());
    Ok(events)
}

fn last_seen(event: &Value) -> &str {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().map(|pointer| text(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default()
}

fn write_events(events: &[Value], out: &mut String) -> std::fmt::Result {
    if events.is_empty() {
        return writeln!(out, "Events:\t<none>");
    }
    writeln!(out, "Events:")?;
    writeln!(out, "  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------")?;
    for event in events {
        let source = [text(event, "/source/component"), text(event, "/reportingComponent")];
        let source = source.into_iter().find(|source| !source.is_empty()).unwrap_or_default();
        let count = event.pointer("/series/count").or_else(|| event.get("count")).and_then(Value::as_i64).unwrap_or(1);
        let last = age(last_seen(event));
        let first = text(event, "/firstTimestamp");
        let when = if count > 1 && !first.is_empty() { format!("{last} (x{count} over {})", age(first)) } else { last };
        let (kind, reason) = (text(event, "/type"), text(event, "/reason"));
        writeln!(out, "  {kind}\t{reason}\t{when}\t{source}\t{}", text(event, "/message").trim())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_kind_is_described() {
        let object = json!({
            "apiVersion": "e.io/v1", "kind": "Thing",
            "metadata": {"name": "x", "namespace": "n", "labels": {"a": "1", "b": "2"}, "uid": "u"},
            "spec": {"podIP": "1.2.3.4", "list": ["a", {"k": 1}], "on": true},
        });
        let mut out = String::new();
        describe(&object, &mut out).unwrap();
        write_events(
            &[json!({"type": "Normal", "reason": "R", "message": "m", "source": {"component": "c"}})],
            &mut out,
        )
        .unwrap();
        assert_eq!(
            tabbed(&out),
            "Name:         x\nNamespace:    n\nLabels:       a=1\n              b=2\nAnnotations:  <none>\nAPI Version:  e.io/v1\n\
             Kind:         Thing\nMetadata:\n  UID:  u\nSpec:\n  List:\n    a\n    K:     1\n  On:      true\n  Pod IP:  1.2.3.4\nEvents:\n  \
             Type    Reason  Age        From  Message\n  ----    ------  ----       ----  -------\n  Normal  R       <unknown>  c     m\n"
        );
    }
}
