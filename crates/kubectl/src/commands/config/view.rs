//! `config view` and the lists of what a kubeconfig has.

use super::print;
use crate::commands::output::Printing;
use crate::failure::{Failure, Result};
use crate::kubeconfig::Kubeconfig;
use crate::print::{Format, Widths, grid};
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct View {
    #[command(flatten)]
    printing: Printing,
    /// With secrets
    #[arg(long)]
    raw: bool,
    /// Only the current context
    #[arg(long)]
    minify: bool,
    /// With certificates and keys inside instead of their files
    #[arg(long)]
    flatten: bool,
    /// All files as one
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    merge: bool,
}

#[derive(clap::Args)]
pub(crate) struct Contexts {
    names: Vec<String>,
    #[arg(long)]
    no_headers: bool,
    /// name
    #[arg(short = 'o', long, default_value = "", hide_default_value = true)]
    output: String,
}

const SECRETS: [(&str, &str); 6] = [
    ("client-certificate-data", "DATA+OMITTED"),
    ("client-key-data", "DATA+OMITTED"),
    ("certificate-authority-data", "DATA+OMITTED"),
    ("token", "REDACTED"),
    ("password", "REDACTED"),
    ("client-secret", "REDACTED"),
];

pub(super) fn view(kubeconfig: &Kubeconfig, arguments: &View) -> Result<()> {
    let mut merged = if arguments.merge { kubeconfig.merged() } else { kubeconfig.first() };
    if arguments.minify {
        minify(&mut merged)?;
    }
    if arguments.flatten {
        super::embed_all(&mut merged)?;
    }
    if !arguments.raw {
        redact(&mut merged);
    }
    let format = match arguments.printing.chosen()? {
        None => Format::Yaml,
        Some(format) => format,
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

pub(super) fn contexts(merged: &Value, arguments: &Contexts) -> Result<()> {
    let names = &arguments.names;
    if !matches!(arguments.output.as_str(), "" | "name") {
        let text = format!("output must be one of '' or 'name': {}", arguments.output);
        return Err(Failure::message(text));
    }
    let current = merged["current-context"].as_str().unwrap_or_default();
    let all: Vec<&Value> = merged["contexts"].as_array().into_iter().flatten().collect();
    let text = |entry: &Value, key: &str| entry["context"][key].as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for entry in all {
        let name = entry["name"].as_str().unwrap_or_default();
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
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
    if let Some(missing) = names.iter().find(|name| !lines.iter().any(|line| line[1] == **name)) {
        return Err(Failure::message(format!("context {missing} not found")));
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

/// The names of clusters or users, a line each.
pub(super) fn names(merged: &Value, list: &str) -> Result<()> {
    let names = merged[list].as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    print(&format!("NAME\n{lines}"))
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
