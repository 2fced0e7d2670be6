//! `config`: what kubeconfig files say, and changing it.
//!
//! Invariant: a change goes to the file that has the entry, else to the first; what else stands in a file stays.

mod property;
mod set;
mod view;

use crate::failure::{Failure, Result};
use crate::kubeconfig::{Kubeconfig, LISTS};
use base64::Engine;
use serde_json::{Value, json};
use std::io::Write;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The context that is current
    CurrentContext,
    /// Take a cluster out
    DeleteCluster { name: Vec<String> },
    /// Take a context out
    DeleteContext { name: Vec<String> },
    /// Take a user out
    DeleteUser { name: Vec<String> },
    /// The clusters
    GetClusters,
    /// The contexts
    GetContexts(view::Contexts),
    /// The users
    GetUsers,
    /// Give a context another name
    RenameContext { names: Vec<String> },
    /// Set one value by its path
    Set(property::Property),
    /// Set a cluster's values
    SetCluster(set::Cluster),
    /// Set a context's values
    SetContext(set::Context),
    /// Set a user's credentials
    SetCredentials(set::Credentials),
    /// Take one value out by its path
    Unset { path: Vec<String> },
    /// Make a context current
    #[command(visible_alias = "use")]
    UseContext { name: Vec<String> },
    /// What the files say together
    View(view::View),
}

pub(crate) fn run(kubeconfig: &mut Kubeconfig, global: &crate::global::Global, command: &Command) -> Result<()> {
    match command {
        Command::CurrentContext => {
            match kubeconfig.merged()["current-context"].as_str().filter(|name| !name.is_empty()) {
                Some(name) => print(&format!("{name}\n")),
                None => Err(Failure::message("current-context is not set")),
            }
        }
        Command::GetClusters => view::names(&kubeconfig.merged(), "clusters"),
        Command::GetUsers => view::names(&kubeconfig.merged(), "users"),
        Command::GetContexts(arguments) => view::contexts(&kubeconfig.merged(), arguments),
        Command::View(arguments) => view::view(kubeconfig, arguments),
        Command::UseContext { name } => {
            let name = one(name, "use-context")?;
            kubeconfig.use_context(name)?;
            print(&format!("Switched to context {name:?}.\n"))
        }
        Command::DeleteCluster { name } => delete(kubeconfig, "clusters", "cluster", one(name, "delete-cluster")?),
        Command::DeleteContext { name } => delete(kubeconfig, "contexts", "context", one(name, "delete-context")?),
        Command::DeleteUser { name } => delete(kubeconfig, "users", "user", one(name, "delete-user")?),
        Command::RenameContext { names } => rename(kubeconfig, names),
        Command::Set(arguments) => arguments.run(kubeconfig),
        Command::SetCluster(arguments) => arguments.run(kubeconfig, global),
        Command::SetContext(arguments) => arguments.run(kubeconfig, global),
        Command::SetCredentials(arguments) => arguments.run(kubeconfig, global),
        Command::Unset { path } => property::unset(kubeconfig, path),
    }
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|_| Failure::Closed)
}

fn one<'a>(names: &'a [String], command: &str) -> Result<&'a str> {
    match names {
        [name] => Ok(name),
        other => Err(Failure::message(format!(
            "Unexpected args: {other:?}\nSee 'kubectl config {command} -h' for help and examples"
        ))),
    }
}

fn delete(kubeconfig: &mut Kubeconfig, list: &'static str, noun: &str, name: &str) -> Result<()> {
    let place = kubeconfig.place_of(list, name).ok_or_else(|| {
        let file = kubeconfig.default_path();
        Failure::message(format!("cannot delete {noun} {name}, not in {file}"))
    })?;
    if noun == "context" && kubeconfig.merged()["current-context"] == name {
        eprintln!(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one"
        );
    }
    let path = kubeconfig.change(place, |file| {
        if let Some(entries) = file[list].as_array_mut() {
            entries.retain(|entry| entry["name"] != name);
        }
        Ok(())
    })?;
    print(&format!("deleted {noun} {name} from {path}\n"))
}

fn rename(kubeconfig: &mut Kubeconfig, names: &[String]) -> Result<()> {
    let [old, new] = names else {
        return Err(Failure::message(
            "Unexpected args: two names are needed\nSee 'kubectl config rename-context -h' for help and examples",
        ));
    };
    let Some(place) = kubeconfig.place_of("contexts", old) else {
        let file = kubeconfig.default_path();
        return Err(Failure::message(format!("cannot rename the context {old:?}, it's not in {file}")));
    };
    if kubeconfig.place_of("contexts", new).is_some() {
        let file = kubeconfig.default_path();
        return Err(Failure::message(format!(
            "cannot rename the context {old:?}, the context {new:?} already exists in {file}"
        )));
    }
    let current = kubeconfig.merged()["current-context"] == old.as_str();
    kubeconfig.change(place, |file| {
        for entry in file["contexts"].as_array_mut().into_iter().flatten() {
            if entry["name"] == old.as_str() {
                entry["name"] = new.as_str().into();
            }
        }
        Ok(())
    })?;
    if current {
        kubeconfig.use_context(new)?;
    }
    print(&format!("Context {old:?} renamed to {new:?}.\n"))
}

/// Certificates and keys of files become part of the configuration.
fn embed_all(merged: &mut Value) -> Result<()> {
    for (list, inner) in LISTS {
        for entry in merged[list].as_array_mut().into_iter().flatten() {
            for key in ["certificate-authority", "client-certificate", "client-key"] {
                if let Some(path) = entry[inner].get(key).and_then(Value::as_str).map(str::to_owned) {
                    embed(&mut entry[inner], key, &path)?;
                }
            }
        }
    }
    Ok(())
}

/// Puts a file's content where its name would stand.
fn embed(holder: &mut Value, key: &str, path: &str) -> Result<()> {
    let content = std::fs::read(path)
        .map_err(|error| Failure::message(format!("could not read {key} data from {path}: {error}")))?;
    holder[format!("{key}-data")] = base64::engine::general_purpose::STANDARD.encode(content).into();
    if let Some(holder) = holder.as_object_mut() {
        holder.shift_remove(key);
    }
    Ok(())
}

/// The entry of a name in a file's list, made where there is none; whether it was there.
fn entry<'a>(file: &'a mut Value, list: &str, inner: &str, name: &str) -> (&'a mut Value, bool) {
    if !file[list].is_array() {
        file[list] = json!([]);
    }
    let known = file[list].as_array().is_some_and(|entries| entries.iter().any(|entry| entry["name"] == name));
    if !known && let Some(entries) = file[list].as_array_mut() {
        entries.push(json!({inner: {}, "name": name}));
    }
    let at = file[list].as_array().and_then(|entries| entries.iter().position(|entry| entry["name"] == name));
    let holder = &mut file[list][at.unwrap_or_default()][inner];
    if !holder.is_object() {
        *holder = json!({});
    }
    (holder, known)
}
