//! Plugins: programs on `PATH` whose name says after which words of the command line they come (`kubectl-ctx`).

use crate::failure::{Failure, Result};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "kubectl-";

/// Becomes the plugin that the words name; returns only why it could not.
pub(crate) fn run(words: &[OsString]) -> Failure {
    let texts: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let named = texts.iter().take_while(|word| !word.starts_with('-')).count();
    // The longest name wins: `kubectl-a-b` before `kubectl-a` with the argument `b`.
    for taken in (1..=named).rev() {
        let parts: Vec<String> = texts[..taken].iter().map(|word| word.replace('-', "_")).collect();
        if let Some(path) = find(&format!("{PREFIX}{}", parts.join("-"))) {
            let error = std::process::Command::new(&path).args(&words[taken..]).exec();
            return Failure::message(format!("{}: {error}", path.display()));
        }
    }
    Failure::message(format!("unknown command {:?} for \"kubectl\"", texts.first().map_or("", String::as_str)))
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        if !folder.as_os_str().is_empty() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn find(name: &str) -> Option<PathBuf> {
    folders().into_iter().map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The plugins on PATH
    List {
        /// Names without folders
        #[arg(long)]
        name_only: bool,
    },
}

pub(crate) fn manage(command: &Command) -> Result<()> {
    let Command::List { name_only } = command;
    let builtin: Vec<&str> = crate::commands::COMMANDS.iter().map(|row| row.name).collect();
    list(&builtin, *name_only)
}

/// All plugins, and what is wrong with them.
fn list(builtin: &[&str], name_only: bool) -> Result<()> {
    let (mut lines, mut warnings) = (Vec::new(), 0);
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    for folder in folders() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let Some(command) = name.strip_prefix(PREFIX).filter(|_| path.is_file()) else { continue };
            lines.push(if name_only { name.clone() } else { path.display().to_string() });
            for warning in warning(command, builtin, &path, seen.get(&name)) {
                lines.push(format!("  - warning: {warning}"));
                warnings += 1;
            }
            seen.entry(name).or_insert(path);
        }
    }
    if seen.is_empty() {
        return Err(Failure::message("unable to find any kubectl plugins in your PATH"));
    }
    println_all("The following compatible plugins are available:\n", &lines);
    match warnings {
        0 => Ok(()),
        1 => Err(Failure::message("one plugin warning was found")),
        many => Err(Failure::message(format!("{many} plugin warnings were found"))),
    }
}

fn println_all(title: &str, lines: &[String]) {
    #[expect(clippy::print_stdout, reason = "no server, no context: the words go straight out")]
    {
        println!("{title}\n{}", lines.join("\n"));
    }
}

fn warning(command: &str, builtin: &[&str], path: &Path, before: Option<&PathBuf>) -> Vec<String> {
    let mut warnings = Vec::new();
    if builtin.contains(&command.replace('_', "-").as_str()) {
        warnings.push(format!("{} overwrites existing command: \"kubectl {command}\"", path.display()));
    }
    if !is_executable(path) {
        warnings.push(format!("{} identified as a kubectl plugin, but it is not executable", path.display()));
    } else if let Some(first) = before {
        let (own, first) = (path.display(), first.display());
        warnings.push(format!("{own} is overshadowed by a similarly named plugin: {first}"));
    }
    warnings
}
