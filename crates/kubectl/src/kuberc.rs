//! Preferences: aliases of commands, default values of their flags, and which credential plugins may run.
//!
//! Invariants: what the command line says wins over preferences; a builtin command wins over an alias of its name; a file
//! that cannot be read as preferences is told of and does not count.

use crate::cli::{self, Named};
use crate::commands;
use crate::failure::{Failure, Result};
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) const VERSIONS: [&str; 2] = ["kubectl.config.k8s.io/v1beta1", "kubectl.config.k8s.io/v1alpha1"];
pub(crate) const KIND: &str = "Preference";
pub(crate) const OFF: &str = "KUBERC is disabled via KUBERC=off environment variable";
const VARIABLE: &str = "KUBERC";
const FEATURE: &str = "KUBECTL_KUBERC";

/// Where preferences are.
pub(crate) enum Place {
    Off,
    /// It has to be there.
    Named(PathBuf),
    /// It may be there.
    Home(PathBuf),
}

pub(crate) fn place(flag: Option<&Path>) -> Place {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let feature = std::env::var_os(FEATURE).is_some_and(|value| value.eq_ignore_ascii_case("false"));
    if feature || variable.as_ref().is_some_and(|value| value == "off") {
        return Place::Off;
    }
    match (flag, variable) {
        (Some(path), _) => Place::Named(path.to_owned()),
        (None, Some(path)) => Place::Named(path.into()),
        (None, None) => Place::Home(std::env::home_dir().unwrap_or_default().join(".kube").join("kuberc")),
    }
}

/// The preferences as they stand; `Null` where there are none.
pub(crate) fn read(flag: Option<&Path>) -> Result<Value> {
    let path = match place(flag) {
        Place::Off => return Ok(Value::Null),
        Place::Home(path) if !path.exists() => return Ok(Value::Null),
        Place::Named(path) | Place::Home(path) => path,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => error.to_string(),
        };
        Failure::message(format!("kuberc error kuberc: open {}: {why}", path.display()))
    })?;
    let documents = crate::manifest::parse(&text, &path.display().to_string()).unwrap_or_default();
    let known = |document: &Value| {
        VERSIONS.iter().any(|version| document["apiVersion"] == *version) && document["kind"] == KIND
    };
    match documents.into_iter().find(known) {
        Some(document) => Ok(document),
        None => {
            let path = path.display();
            eprint!(
                "kuberc: no preferences loaded from {path}: no valid preferences found in {path}, use --v=5 to see details"
            );
            Ok(Value::Null)
        }
    }
}

fn list<'a>(preferences: &'a Value, key: &str) -> &'a [Value] {
    preferences[key].as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> impl Iterator<Item = OsString> + '_ {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(OsString::from)
}

/// The command line that the user means.
pub(crate) fn applied(arguments: Vec<OsString>) -> Result<Vec<OsString>> {
    let preferences = read(flag(&arguments).as_deref())?;
    if preferences.is_null() {
        return Ok(arguments);
    }
    check(&preferences)?;
    for default in list(&preferences, "defaults") {
        let command = default["command"].as_str().unwrap_or_default();
        let known = command.split(' ').next().and_then(commands::command);
        if known.is_none() {
            eprintln!("Warning: command {command:?} not found to set kuberc override");
        }
    }
    let Ok(line) = cli::parse(&arguments) else {
        // What is wrong with it is said where it is run.
        return Ok(arguments);
    };
    match line.command {
        Named::Known(row, matches) => {
            let (path, leaf) = path(row.name, &matches);
            let defaults = list(&preferences, "defaults").iter().find(|default| default["command"] == path.as_str());
            match defaults {
                Some(defaults) => with_options(arguments, &path, leaf, &defaults["options"]),
                None => Ok(arguments),
            }
        }
        Named::Other(words) => aliased(arguments, &words, &preferences),
    }
}

/// `--kuberc`, which is needed before all else is understood.
fn flag(arguments: &[OsString]) -> Option<PathBuf> {
    let mut words = arguments.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--kuberc" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--kuberc=")) {
            return Some(path.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty());
        }
    }
    None
}

fn check(preferences: &Value) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for alias in list(preferences, "aliases") {
        let name = alias["name"].as_str().unwrap_or_default();
        if name.is_empty() || !name.chars().all(|one| one.is_ascii_alphabetic()) {
            return Err(Failure::message("invalid alias name, can only include alphabetical characters"));
        }
        if names.contains(&name) {
            return Err(Failure::message(format!("duplicate alias name {name}")));
        }
        names.push(name);
    }
    Ok(())
}

/// The words of a command and of the commands below it, and the flags of the last.
fn path<'a>(name: &str, matches: &'a ArgMatches) -> (String, &'a ArgMatches) {
    let (mut path, mut leaf) = (name.to_owned(), matches);
    while let Some((name, below)) = leaf.subcommand() {
        path = format!("{path} {name}");
        leaf = below;
    }
    (path, leaf)
}

/// The flags that the user did not set, as preferences have them.
fn with_options(mut arguments: Vec<OsString>, path: &str, leaf: &ArgMatches, options: &Value) -> Result<Vec<OsString>> {
    let mut definition = cli::definition();
    for word in path.split(' ') {
        let Some(found) = definition.find_subcommand(word).cloned() else { return Ok(arguments) };
        definition = found;
    }
    let mut words = Vec::new();
    for option in options.as_array().into_iter().flatten() {
        let name = option["name"].as_str().unwrap_or_default();
        let value = option["default"].as_str().unwrap_or_default();
        let Some(known) = definition.get_arguments().find(|known| known.get_long() == Some(name)) else {
            return Err(Failure::message(format!("invalid flag {name} for command {path}")));
        };
        if leaf.value_source(known.get_id().as_str()) != Some(ValueSource::CommandLine) {
            words.push(OsString::from(format!("--{name}={value}")));
        }
    }
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    arguments.splice(end..end, words);
    Ok(arguments)
}

fn aliased(arguments: Vec<OsString>, words: &[OsString], preferences: &Value) -> Result<Vec<OsString>> {
    let named =
        |alias: &&Value| words.first().is_some_and(|word| alias["name"].as_str().is_some_and(|name| word == name));
    let Some(alias) = list(preferences, "aliases").iter().find(named) else { return Ok(arguments) };
    let command = alias["command"].as_str().unwrap_or_default();
    let mut line: Vec<OsString> = arguments[..arguments.len() - words.len()].to_vec();
    line.extend(command.split_whitespace().map(OsString::from));
    line.extend(texts(&alias["prependArgs"]));
    line.extend(words[1..].iter().cloned());
    line.extend(texts(&alias["appendArgs"]));
    let Ok(parsed) = cli::parse(&line) else { return Ok(line) };
    let Named::Known(row, matches) = parsed.command else {
        let name = alias["name"].as_str().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        return Err(Failure::message(format!(
            "command {command:?} not found to set alias {name:?}: [{}]",
            words.join(" ")
        )));
    };
    let (path, leaf) = path(row.name, &matches);
    with_options(line, &path, leaf, &alias["options"])
}

/// Whether preferences let a credential plugin run.
pub(crate) fn allows_plugin(flag: Option<&Path>, command: &str) -> Result<()> {
    let preferences = read(flag)?;
    let refused = |why: &str| Err(Failure::message(format!("exec plugin {command:?} is refused by kuberc: {why}")));
    match preferences["credentialPluginPolicy"].as_str().unwrap_or_default() {
        "" | "AllowAll" => Ok(()),
        "DenyAll" => refused("its policy is DenyAll"),
        "Allowlist" => {
            let listed = list(&preferences, "credentialPluginAllowlist").iter().any(|entry| {
                let own = entry["command"].as_str().or(entry["name"].as_str()).unwrap_or_default();
                own == command || Path::new(command).file_name().is_some_and(|file| !own.contains('/') && file == own)
            });
            if listed { Ok(()) } else { refused("its allowlist does not name it") }
        }
        other => refused(&format!("its policy {other:?} is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn an_alias_stands_for_its_command() {
        let preferences = json!({"aliases": [{"name": "pods", "command": "get", "prependArgs": ["pods"],
            "appendArgs": ["x"], "options": [{"name": "output", "default": "wide"}]}]});
        for (line, words_of, expected) in [
            ("-n a pods b", "pods b", "-n a get pods b x --output=wide"),
            ("pods -o json", "pods -o json", "get pods -o json x"),
            ("other", "other", "other"),
        ] {
            let line = aliased(words(line), &words(words_of), &preferences).unwrap();
            assert_eq!(line, words(expected));
        }
    }

    #[test]
    fn a_path_is_found_before_the_line_is_understood() {
        assert_eq!(flag(&words("get --kuberc a")), Some("a".into()));
        assert_eq!(flag(&words("--kuberc=b get")), Some("b".into()));
        assert_eq!(flag(&words("run x -- --kuberc=b")), None);
    }
}
