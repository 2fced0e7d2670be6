//! Kustomizations in repositories, which git fetches, and objects at URLs.
//!
//! Invariants: a clone lives as long as something of it is built; a program that hangs is ended.

use crate::failure::{Failure, Result};
use crate::server::fetch;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use tempfile::TempDir;

/// As long as upstream lets git run unless the name says otherwise.
const SECONDS_MAX: u64 = 27;
const HOSTS: [&str; 3] = ["github.com/", "gitlab.com/", "bitbucket.org/"];
/// What a name begins with where the repository's first two words are its owner and its own name.
const SCHEMES: [&str; 3] = ["https://", "http://", "ssh://"];
const FILE: &str = "file://";
const MANIFESTS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Whether a name is a URL or a repository.
pub(super) fn is_remote(name: &str) -> bool {
    name.contains("://") || name.starts_with("git::") || name.starts_with("git@") || is_host(name)
}

fn is_host(name: &str) -> bool {
    HOSTS.iter().any(|host| name.starts_with(host))
}

/// Whether a name is that of objects a server has, not of a repository.
pub(super) fn is_file(name: &str) -> bool {
    let path = name.split('?').next().unwrap_or_default();
    let rest = path.strip_prefix("https://").or_else(|| path.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.contains("//") && MANIFESTS.iter().any(|end| rest.ends_with(end)))
}

/// The text at a URL. It is asked for on a thread of its own: whoever builds may be within a runtime already.
pub(super) fn text(url: &str) -> Result<String> {
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Failure::message(format!("starting: {error}")))?.block_on(fetch(url))
        });
        asking.join()
    });
    asked.unwrap_or_else(|_| Err(Failure::message(format!("asking for {url} failed"))))
}

#[derive(Debug, PartialEq)]
struct Place {
    repository: String,
    /// Of the kustomization in it.
    folder: String,
    /// A branch, a tag or a commit; the repository's own choice where it is empty.
    reference: String,
    submodules: bool,
    seconds: u64,
}

impl Place {
    /// `https://host/owner/name//folder?ref=v1`; `//` and `.git` part the repository from the folder in it.
    fn parse(name: &str) -> Result<Place> {
        let plain = name.strip_prefix("git::").unwrap_or(name);
        let (path, query) = plain.split_once('?').unwrap_or((plain, ""));
        let path = if is_host(path) { format!("https://{path}") } else { path.to_owned() };
        let (repository, folder) = parted(&path);
        let mut place = Place {
            repository: repository.to_owned(),
            folder: folder.trim_matches('/').to_owned(),
            reference: String::new(),
            submodules: true,
            seconds: SECONDS_MAX,
        };
        let bad = |pair: &str| Failure::message(format!("{name}: {pair:?} is not understood"));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("ref" | "version", reference)) => reference.clone_into(&mut place.reference),
                Some(("submodules", wanted)) => place.submodules = wanted.parse().map_err(|_| bad(pair))?,
                Some(("timeout", limit)) => {
                    let limit = crate::duration::parse(limit).map_err(|_| bad(pair))?;
                    place.seconds = limit.map_or(SECONDS_MAX, |limit| limit.as_secs());
                }
                _ => {}
            }
        }
        // What begins with a dash would be an option of git's.
        if place.reference.starts_with('-') || place.repository.starts_with('-') {
            return Err(bad(name));
        }
        Ok(place)
    }
}

/// The repository and the folder in it.
fn parted(path: &str) -> (&str, &str) {
    let begin = path.find("://").map_or(0, |at| at + 3);
    let rest = &path[begin..];
    if let Some(at) = rest.find("//") {
        return (&path[..begin + at], &rest[at + 2..]);
    }
    if let Some(at) = rest.find(".git/").or_else(|| rest.ends_with(".git").then(|| rest.len() - 4)) {
        return (&path[..begin + at + 4], &rest[at + 4..]);
    }
    if path.starts_with(FILE) {
        return (path, "");
    }
    // The host, behind which two words are the repository; of `git@host:owner/name` the host is the owner's.
    let words = if SCHEMES.iter().any(|scheme| path.starts_with(scheme)) { 3 } else { 2 };
    let end = rest.match_indices('/').nth(words - 1).map_or(path.len(), |(at, _)| begin + at);
    path.split_at(end)
}

/// A repository that was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) root: TempDir,
    /// Of the kustomization in it.
    pub(super) folder: String,
}

/// The repository, the folder in it and the reference of a name; `None` where it is no repository's.
pub(super) fn place(name: &str) -> Option<(String, String, String)> {
    let place = is_remote(name).then(|| Place::parse(name).ok())??;
    Some((place.repository, place.folder, place.reference))
}

pub(super) fn clone(name: &str) -> Result<Fetched> {
    let place = Place::parse(name)?;
    let root = tempfile::Builder::new().prefix("kustomize-").tempdir();
    let root = root.map_err(|error| Failure::message(format!("making a folder for {name}: {error}")))?;
    let limit = Duration::from_secs(place.seconds);
    let git = |arguments: &[&str]| git(root.path(), arguments, limit);
    git(&["init"])?;
    let reference = if place.reference.is_empty() { "HEAD" } else { &place.reference };
    git(&["fetch", "--depth=1", &place.repository, reference])?;
    git(&["checkout", "FETCH_HEAD"])?;
    if place.submodules {
        git(&["submodule", "update", "--init", "--recursive"])?;
    }
    Ok(Fetched { root, folder: place.folder })
}

fn git(folder: &Path, arguments: &[&str], limit: Duration) -> Result<()> {
    let line = format!("git {}", arguments.join(" "));
    let failed = |why: &dyn std::fmt::Display| Failure::message(format!("failed to run '{line}': {why}"));
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::message("no 'git' program on path"),
        _ => failed(&error),
    })?;
    let pid = Pid::from_child(&child);
    let (done, ended) = sync_channel(1);
    // Where nobody waits any more, the program was ended.
    std::thread::spawn(move || done.send(child.wait_with_output()).is_ok());
    let Ok(output) = ended.recv_timeout(limit) else {
        kill_process(pid, Signal::KILL).map_err(|error| failed(&error))?;
        return Err(Failure::message(format!("hit {}s timeout running '{line}'", limit.as_secs())));
    };
    let Output { status, stderr, .. } = output.map_err(|error| failed(&error))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(&format_args!("{}: {status}", String::from_utf8_lossy(&stderr))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parted_into_repository_folder_and_reference() {
        for (name, repository, folder, reference) in [
            ("https://github.com/o/n/a/b?ref=v1", "https://github.com/o/n", "a/b", "v1"),
            ("github.com/o/n", "https://github.com/o/n", "", ""),
            ("git@github.com:o/n/a", "git@github.com:o/n", "a", ""),
            ("ssh://git@host/o/n.git/a?version=x", "ssh://git@host/o/n.git", "a", "x"),
            ("git::https://host/deep/o/n//a?timeout=1m&submodules=false", "https://host/deep/o/n", "a", ""),
            ("file:///srv/n", "file:///srv/n", "", ""),
            ("file:///srv/n//a?ref=main", "file:///srv/n", "a", "main"),
        ] {
            let place = Place::parse(name).unwrap();
            let found = (place.repository.as_str(), place.folder.as_str(), place.reference.as_str());
            assert_eq!(found, (repository, folder, reference), "{name}");
        }
        assert!(Place::parse("https://h/o/n?ref=--upload-pack=x").is_err());
    }

    #[test]
    fn only_manifests_of_servers_are_files() {
        assert!(is_file("https://h/x.yaml?raw=1") && is_file("http://h/a/b.json"));
        assert!(!is_file("https://h/o/n") && !is_file("https://h/o/n//x.yaml") && !is_file("file:///x.yaml"));
        assert!(is_remote("github.com/o/n") && is_remote("git@h:o/n") && !is_remote("../base"));
    }
}
