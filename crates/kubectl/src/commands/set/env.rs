//! `set env`: environment variables of containers, from the command line, config maps and secrets.

use super::{Found, Setting, Words, containers, pod_spec};
use crate::calls::{At, name_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Named, Target};
use base64::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    setting: Setting,
    /// The containers' names; * is any text
    #[arg(short = 'c', long, default_value = "*")]
    containers: String,
    /// NAME=VALUE; may be repeated
    #[arg(short = 'e', long, value_delimiter = ',')]
    env: Vec<String>,
    /// A config map or secret whose keys become variables: configmap/NAME, secret/NAME
    #[arg(long, default_value = "", hide_default_value = true)]
    from: String,
    /// Only these keys of --from
    #[arg(long, value_delimiter = ',')]
    keys: Vec<String>,
    /// What begins the names of variables of --from
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Print the variables instead
    #[arg(long)]
    list: bool,
    /// With --list: show the values that are taken from elsewhere
    #[arg(long)]
    resolve: bool,
    /// Replace values that are there
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    overwrite: bool,
}

/// What the command line says of variables.
#[derive(Debug, Default)]
struct Changes {
    set: Vec<Value>,
    remove: Vec<String>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let is_change = |word: &String| word.contains('=') || word == "-" || (word.ends_with('-') && !word.contains('/'));
    let (words, resources): (Vec<String>, Vec<String>) =
        arguments.setting.choice.arguments.iter().cloned().partition(is_change);
    let mut changes = parse(&words, &arguments.env)?;
    if !arguments.from.is_empty() {
        changes.set.extend(from(context, arguments).await?);
    }
    let choice = &arguments.setting.choice;
    if resources.is_empty() && choice.files.is_empty() {
        return Err(Failure::message(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    let found = arguments.setting.found(context, &resources).await?;
    if arguments.list {
        for one in found {
            list(context, arguments, one).await?;
        }
        return Ok(());
    }
    let change = |target: &Target, object: &mut Value| {
        let chosen = containers(pod_spec(target, object)?, &arguments.containers);
        if chosen.is_empty() {
            return Err(Failure::message(format!(
                "{target} does not have any containers matching {:?}",
                arguments.containers
            )));
        }
        let prefixed = |failure: Failure| Failure::message(format!("{}/{} {failure}", target.def.plural, target.name));
        chosen.into_iter().try_for_each(|container| set(container, &changes, arguments.overwrite)).map_err(prefixed)
    };
    arguments
        .setting
        .apply(
            context,
            found,
            Words { done: "env updated", failed: "failed to patch env update to pod template: " },
            change,
        )
        .await
}

const NAME_RULE: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or \
    '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for \
    validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";

fn is_variable_name(name: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    name.is_empty() || (name.chars().all(fits) && !name.starts_with(|letter: char| letter.is_ascii_digit()))
}

fn parse(words: &[String], flags: &[String]) -> Result<Changes> {
    let mut changes = Changes::default();
    for word in words.iter().chain(flags) {
        if word == "-" {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::message(format!("reading standard input: {error}")))?;
            let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
            changes.set.extend(lines.map(|(name, value)| json!({"name": name, "value": value})));
        } else if let Some((name, value)) = word.split_once('=') {
            if !is_variable_name(name) {
                return Err(Failure::message(format!("{name:?} is not a valid key name: {NAME_RULE}")));
            }
            if name.is_empty() {
                return Err(Failure::message(format!(
                    "environment variables must be of the form key=value and can only be set once: {word}"
                )));
            }
            changes.set.push(json!({"name": name, "value": value}));
        } else {
            changes.remove.push(word.trim_end_matches('-').to_owned());
        }
    }
    let name = |variable: &Value| variable["name"].as_str().unwrap_or_default().to_owned();
    if changes.set.iter().map(name).any(|name| changes.remove.contains(&name)) {
        return Err(Failure::message(
            "can not both modify and remove the same environment variable in the same command",
        ));
    }
    Ok(changes)
}

fn set(container: &mut Value, changes: &Changes, overwrite: bool) -> Result<()> {
    let mut variables = container.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
    for variable in &changes.set {
        match variables.iter_mut().find(|known| known["name"] == variable["name"]) {
            Some(known) if !overwrite => {
                let (name, value) = (known["name"].as_str(), known["value"].as_str());
                return Err(Failure::message(format!(
                    "'{}' already has a value ({}), and --overwrite is false",
                    name.unwrap_or_default(),
                    value.unwrap_or_default()
                )));
            }
            Some(known) => *known = variable.clone(),
            None => variables.push(variable.clone()),
        }
    }
    variables.retain(|variable| !changes.remove.iter().any(|name| variable["name"] == name.as_str()));
    let Some(container) = container.as_object_mut() else { return Ok(()) };
    if variables.is_empty() {
        container.shift_remove("env");
    } else {
        container.insert("env".to_owned(), variables.into());
    }
    Ok(())
}

/// A variable for each key, which refers to it.
async fn from(context: &Context, arguments: &Arguments) -> Result<Vec<Value>> {
    let Named::Objects(targets) = crate::target::parse(context, std::slice::from_ref(&arguments.from)).await? else {
        return Err(Failure::message("--from has to be configmap/NAME or secret/NAME"));
    };
    let mut variables = Vec::new();
    for target in targets {
        let reference = match target.def.kind {
            "ConfigMap" => "configMapKeyRef",
            "Secret" => "secretKeyRef",
            other => return Err(Failure::message(format!("unsupported resource specified in --from: {other}"))),
        };
        let object = context.get(target.at()).await?;
        let keys: BTreeMap<&String, &Value> =
            object.get("data").and_then(Value::as_object).into_iter().flatten().collect();
        for key in keys.into_keys().filter(|key| arguments.keys.is_empty() || arguments.keys.contains(key)) {
            let letters = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_uppercase() } else { '_' };
            let own: String = key.chars().map(letters).collect();
            if own != *key {
                context.remark(format_args!("Warning: key {key} transferred to {own}"))?;
            }
            let name = format!("{}{own}", arguments.prefix);
            variables.push(json!({"name": name, "valueFrom": {reference: {"key": key, "name": target.name}}}));
        }
    }
    Ok(variables)
}

async fn list(context: &Context, arguments: &Arguments, found: Found) -> Result<()> {
    let Found { target, mut object } = found;
    let spec = pod_spec(&target, &mut object)?;
    let chosen: Vec<Value> =
        containers(spec, &arguments.containers).into_iter().map(|container| container.clone()).collect();
    for container in chosen {
        let (kind, name) = (target.def.kind, &target.name);
        let container_name = container["name"].as_str().unwrap_or_default();
        context.line(format_args!("# {kind} {name}, container {container_name}"))?;
        for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
            context.line(shown(context, arguments, &target, variable).await?)?;
        }
    }
    Ok(())
}

async fn shown(context: &Context, arguments: &Arguments, target: &Target, variable: &Value) -> Result<String> {
    let name = variable["name"].as_str().unwrap_or_default();
    let Some(source) = variable.get("valueFrom").and_then(Value::as_object) else {
        return Ok(format!("{name}={}", variable["value"].as_str().unwrap_or_default()));
    };
    let (kind, of) = source.iter().next().map_or(("", &Value::Null), |(kind, of)| (kind.as_str(), of));
    if arguments.resolve
        && let Some(value) = resolve(context, target, kind, of).await?
    {
        return Ok(format!("{name}={value}"));
    }
    let field = |key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let said = match kind {
        "configMapKeyRef" => format!("configmap {}, key {}", field("name"), field("key")),
        "secretKeyRef" => format!("secret {}, key {}", field("name"), field("key")),
        "fieldRef" => format!("field path {}", field("fieldPath")),
        "resourceFieldRef" => format!("resource field {}", field("resource")),
        other => other.to_owned(),
    };
    Ok(format!("# {name} from {said}"))
}

async fn resolve(context: &Context, target: &Target, kind: &str, of: &Value) -> Result<Option<String>> {
    let def = match kind {
        "configMapKeyRef" => context.resources.named("configmaps").await?,
        "secretKeyRef" => context.resources.named("secrets").await?,
        _ => return Ok(None),
    };
    let object = context.get(At::object(def, &target.namespace, name_of(&json!({"metadata": of})))).await?;
    let value = object["data"][of["key"].as_str().unwrap_or_default()].as_str().unwrap_or_default().to_owned();
    if kind == "configMapKeyRef" {
        return Ok(Some(value));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value);
    Ok(decoded.ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
