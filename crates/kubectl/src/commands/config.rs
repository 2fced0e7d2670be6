//! `config`: what the kubeconfig says, and which of its contexts is current.

use super::unavailable;
use crate::failure::{Failure, Result};
use crate::kubeconfig::Kubeconfig;
use crate::print::{Format, Widths, grid};
use serde_json::Value;
use std::io::Write;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// view, current-context, get-contexts, use-context NAME
    words: Vec<String>,
    /// yaml, json, name, jsonpath=…
    #[arg(short = 'o', long, default_value = "")]
    output: String,
    /// With secrets
    #[arg(long)]
    raw: bool,
    /// Only the current context
    #[arg(long)]
    minify: bool,
    #[arg(long)]
    no_headers: bool,
}

const SECRETS: [(&str, &str); 6] = [
    ("client-certificate-data", "DATA+OMITTED"),
    ("client-key-data", "DATA+OMITTED"),
    ("certificate-authority-data", "DATA+OMITTED"),
    ("token", "REDACTED"),
    ("password", "REDACTED"),
    ("client-secret", "REDACTED"),
];

pub(crate) fn run(kubeconfig: &mut Kubeconfig, arguments: &Arguments) -> Result<()> {
    match arguments.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["view"] => view(kubeconfig.merged(), arguments),
        ["current-context"] => {
            let merged = kubeconfig.merged();
            match merged["current-context"].as_str().filter(|name| !name.is_empty()) {
                Some(name) => print(&format!("{name}\n")),
                None => Err(Failure::message("current-context is not set")),
            }
        }
        ["get-contexts", names @ ..] => contexts(&kubeconfig.merged(), names, arguments),
        ["use-context" | "use", name] => {
            kubeconfig.use_context(name)?;
            print(&format!("Switched to context {name:?}.\n"))
        }
        ["use-context" | "use", ..] => Err(Failure::message("Unexpected args: config use-context CONTEXT_NAME")),
        [] => Err(Failure::message("one of view, current-context, get-contexts, use-context is needed")),
        [other, ..] => Err(unavailable(&format!("config {other}"))),
    }
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|_| Failure::Closed)
}

fn view(mut merged: Value, arguments: &Arguments) -> Result<()> {
    if arguments.minify {
        minify(&mut merged)?;
    }
    if !arguments.raw {
        redact(&mut merged);
    }
    let format = match arguments.output.as_str() {
        "" => Format::Yaml,
        text => Format::parse(text, false)?,
    };
    print(&format.object(&merged)?)
}

/// Only what the current context names.
fn minify(merged: &mut Value) -> Result<()> {
    let current = merged["current-context"].as_str().unwrap_or_default().to_owned();
    let named = |list: &Value, name: &str| {
        list.as_array().and_then(|list| list.iter().find(|entry| entry["name"] == name)).cloned()
    };
    let context = named(&merged["contexts"], &current)
        .ok_or_else(|| Failure::message("current-context must exist in order to minify"))?;
    for (list, key) in [("clusters", "cluster"), ("users", "user")] {
        let name = context["context"][key].as_str().unwrap_or_default();
        merged[list] = named(&merged[list], name).into_iter().collect();
    }
    merged["contexts"] = vec![context].into();
    Ok(())
}

fn redact(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(redact),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match SECRETS.iter().find(|(secret, _)| secret == key) {
                    Some((_, shown)) if member.is_string() => *member = (*shown).into(),
                    _ => redact(member),
                }
            }
        }
        _ => {}
    }
}

fn contexts(merged: &Value, names: &[&str], arguments: &Arguments) -> Result<()> {
    let current = merged["current-context"].as_str().unwrap_or_default();
    let all: Vec<&Value> = merged["contexts"].as_array().into_iter().flatten().collect();
    let text = |entry: &Value, key: &str| entry["context"][key].as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for entry in all {
        let name = entry["name"].as_str().unwrap_or_default();
        if names.is_empty() || names.contains(&name) {
            let mark = if name == current { "*" } else { "" };
            lines.push(vec![
                mark.to_owned(),
                name.to_owned(),
                text(entry, "cluster"),
                text(entry, "user"),
                text(entry, "namespace"),
            ]);
        }
    }
    lines.sort_by(|a, b| a[1].cmp(&b[1]));
    if arguments.output == "name" {
        return lines.iter().try_for_each(|line| print(&format!("{}\n", line[1])));
    }
    if !arguments.no_headers {
        lines.insert(0, ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned).to_vec());
    }
    print(&grid(&lines, &mut Widths::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_not_shown() {
        let mut config =
            json!({"users": [{"name": "u", "user": {"token": "t", "client-key-data": "k", "username": "n"}}]});
        redact(&mut config);
        assert_eq!(
            config["users"][0]["user"],
            json!({"token": "REDACTED", "client-key-data": "DATA+OMITTED", "username": "n"})
        );
    }

    #[test]
    fn minify_keeps_the_current_context() {
        let entry = |name: &str| json!({"name": name});
        let mut config = json!({
            "current-context": "b", "clusters": [entry("c"), entry("d")], "users": [entry("u")],
            "contexts": [entry("a"), {"name": "b", "context": {"cluster": "d", "user": "u"}}],
        });
        minify(&mut config).unwrap();
        assert_eq!(
            (config["clusters"][0]["name"].as_str(), config["contexts"].as_array().unwrap().len()),
            (Some("d"), 1)
        );
    }
}
