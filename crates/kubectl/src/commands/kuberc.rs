//! `kuberc`: preferences shown and set.

use super::output::Printing;
use crate::failure::{Failure, Result};
use crate::global::Global;
use crate::kuberc::{self, KIND, OFF, Place, VERSIONS};
use crate::print::{Format, yaml};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Set an alias, the defaults of a command or the policy for credential plugins
    Set(Set),
    /// Show the preferences
    View(View),
}

#[derive(clap::Args)]
pub(crate) struct View {
    #[command(flatten)]
    printing: Printing,
}

#[derive(clap::Args)]
pub(crate) struct Set {
    /// defaults, aliases or credentialplugin
    #[arg(long)]
    section: String,
    /// The command: get, "set env"
    #[arg(long, default_value = "", hide_default_value = true)]
    command: String,
    /// The alias' name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// FLAG=VALUE; may be repeated
    #[arg(long, value_name = "FLAG=VALUE")]
    option: Vec<String>,
    /// What stands before the alias' arguments; may be repeated
    #[arg(long, allow_hyphen_values = true)]
    prependarg: Vec<String>,
    /// What stands behind the alias' arguments; may be repeated
    #[arg(long, allow_hyphen_values = true)]
    appendarg: Vec<String>,
    /// Replace what is there
    #[arg(long)]
    overwrite: bool,
    /// AllowAll, DenyAll or Allowlist
    #[arg(long, default_value = "", hide_default_value = true)]
    policy: String,
    /// FIELD=VALUE of a credential plugin; may be repeated
    #[arg(long, value_name = "FIELD=VALUE")]
    allowlist_entry: Vec<String>,
}

const SECTIONS: [&str; 3] = ["defaults", "aliases", "credentialplugin"];

pub(crate) fn run(global: &Global, command: &Command) -> Result<()> {
    let path = match kuberc::place(global.unneeded.kuberc.as_deref()) {
        Place::Off => return Err(Failure::message(OFF)),
        Place::Named(path) | Place::Home(path) => path,
    };
    match command {
        Command::View(arguments) => view(&path, arguments),
        Command::Set(arguments) => set(&path, arguments),
    }
}

/// The preferences of a file, or empty ones.
fn load(path: &Path) -> Result<Value> {
    let read = if path.exists() { kuberc::read(Some(path))? } else { Value::Null };
    Ok(if read.is_null() { json!({"apiVersion": VERSIONS[0], "kind": KIND}) } else { read })
}

fn view(path: &Path, arguments: &View) -> Result<()> {
    let mut preferences = if path.exists() { load(path)? } else { offered(path)? };
    if preferences.is_null() {
        return Ok(());
    }
    for list in ["defaults", "aliases"] {
        if !preferences[list].is_array() {
            preferences[list] = json!([]);
        }
    }
    let format = arguments.printing.chosen()?.unwrap_or(Format::Yaml);
    let text = format.object(&preferences)?;
    std::io::stdout().write_all(text.as_bytes()).map_err(|_| Failure::Closed)
}

/// Preferences that do less harm than none, where the user wants them.
fn offered(path: &Path) -> Result<Value> {
    let mut out = std::io::stdout();
    let asked = write!(
        out,
        "kuberc file not found at {}\nWould you like to generate a default kuberc file with recommended options? (y/N): ",
        path.display()
    );
    asked.and_then(|()| out.flush()).map_err(|_| Failure::Closed)?;
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::message(format!("reading standard input: {error}")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        let option =
            |command: &str, name: &str| json!({"command": command, "options": [{"name": name, "default": "true"}]});
        let defaults = [option("apply", "server-side"), option("delete", "interactive")];
        save(path, &json!({"apiVersion": VERSIONS[0], "kind": KIND, "aliases": null, "defaults": defaults}))?;
    }
    Ok(Value::Null)
}

fn set(path: &Path, arguments: &Set) -> Result<()> {
    arguments.check()?;
    let mut preferences = load(path)?;
    if arguments.section == "credentialplugin" {
        preferences["credentialPluginPolicy"] = arguments.policy.as_str().into();
        let entries = arguments.allowlist_entry.iter().map(|entry| field(entry)).collect::<Result<Vec<_>>>()?;
        match entries.is_empty() {
            true => drop(preferences.as_object_mut().map(|members| members.shift_remove("credentialPluginAllowlist"))),
            false => preferences["credentialPluginAllowlist"] = entries.into(),
        }
    } else {
        arguments.put(&mut preferences)?;
    }
    for list in ["defaults", "aliases"] {
        if preferences.get(list).is_none() {
            preferences[list] = Value::Null;
        }
    }
    save(path, &preferences)
}

fn field(entry: &str) -> Result<Value> {
    let (field, value) = entry
        .split_once('=')
        .ok_or_else(|| Failure::message(format!("invalid allowlist entry {entry:?}, expected field=value")))?;
    Ok(json!({field: value}))
}

impl Set {
    fn check(&self) -> Result<()> {
        let aliases = self.section == "aliases";
        let refused = [
            (
                !SECTIONS.contains(&self.section.as_str()),
                format!("--section must be \"defaults\", \"aliases\", or \"credentialplugin\", got: {}", self.section),
            ),
            (
                self.section != "credentialplugin" && self.command.is_empty(),
                "--command is required when --section=aliases or --section=defaults".to_owned(),
            ),
            (aliases && self.name.is_empty(), "--name is required when --section=aliases".to_owned()),
            (
                self.section == "defaults" && !self.name.is_empty(),
                "--name should not be specified when --section=defaults".to_owned(),
            ),
            (
                !aliases && (!self.prependarg.is_empty() || !self.appendarg.is_empty()),
                "--prependarg and --appendarg are only valid for --section=aliases".to_owned(),
            ),
            (
                self.section == "credentialplugin"
                    && !matches!(self.policy.as_str(), "AllowAll" | "DenyAll" | "Allowlist"),
                format!(" --policy must be  \"AllowAll\", \"DenyAll\", or \"Allowlist\", got: {}", self.policy),
            ),
            (
                !self.allowlist_entry.is_empty() && self.policy != "Allowlist",
                "--allowlist-entry may only be used when --section=credentialplugin and --policy=Allowlist".to_owned(),
            ),
        ];
        match refused.into_iter().find(|(is, _)| *is) {
            Some((_, text)) => Err(Failure::Verbatim(format!("error: {text}"))),
            None => Ok(()),
        }
    }

    /// Puts the alias or the defaults in their list.
    fn put(&self, preferences: &mut Value) -> Result<()> {
        let alias = self.section == "aliases";
        let mut entry = json!({"command": self.command});
        let mut options = Vec::new();
        for option in &self.option {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| Failure::message(format!("invalid option format {option:?}, expected flag=value")))?;
            options.push(json!({"name": name, "default": value}));
        }
        if !options.is_empty() {
            entry["options"] = options.into();
        }
        if alias {
            entry["name"] = self.name.as_str().into();
            for (key, words) in [("prependArgs", &self.prependarg), ("appendArgs", &self.appendarg)] {
                if !words.is_empty() {
                    entry[key] = json!(words);
                }
            }
        }
        let key = if alias { "name" } else { "command" };
        let list = &mut preferences[self.section.as_str()];
        if !list.is_array() {
            *list = json!([]);
        }
        let Some(list) = list.as_array_mut() else { return Ok(()) };
        match list.iter_mut().find(|known| known[key] == entry[key]) {
            None => list.push(entry),
            Some(known) if self.overwrite => *known = entry,
            Some(_) => {
                let what = match alias {
                    true => format!("alias {:?} already exists", self.name),
                    false => format!("defaults for command {:?} already exist", self.command),
                };
                return Err(Failure::message(format!("{what}, use --overwrite to replace")));
            }
        }
        Ok(())
    }
}

/// Whole or not at all.
fn save(path: &Path, preferences: &Value) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Failure::message(format!("{}: {error}", path.display()));
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), PathBuf::from);
    std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
    let mut draft = tempfile::NamedTempFile::new_in(&folder).map_err(|error| failed(&error))?;
    draft.write_all(yaml(preferences).as_bytes()).map_err(|error| failed(&error))?;
    draft.persist(path).map_err(|error| failed(&error))?;
    let said = writeln!(std::io::stdout(), "Updated {}", path.display());
    said.map_err(|_| Failure::Closed)
}
