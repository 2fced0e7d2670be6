//! Every command and flag of upstream's client, walked through its help: what ours lacks stands in `gaps.txt`, which
//! may only shrink.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const UPSTREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubectl-1.37/kubectl");
const OURS: &str = env!("CARGO_BIN_EXE_kubectl");
const GAPS: &str = include_str!("gaps.txt");

/// Standard output of a help; `None` where there is no such command.
fn help(program: &str, words: &[String]) -> Option<String> {
    let output = Command::new(program).args(words).env("KUBECONFIG", "/dev/null").output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn of(words: &[String]) -> Vec<String> {
    words.iter().cloned().chain(["--help".to_owned()]).collect()
}

/// The flags that a help defines: `    -f, --filename=[]:`.
fn upstream_flags(help: &str) -> BTreeSet<String> {
    let defined = help.lines().filter(|line| line.starts_with("    -") && line.ends_with(':'));
    let names = defined.flat_map(|line| line.trim().split(", ").map(|flag| flag.split('=').next().unwrap().to_owned()));
    names.map(|name| name.trim_end_matches(':').to_owned()).collect()
}

/// As ours prints them: `  -f, --filename <FILE>`.
fn our_flags(help: &str) -> BTreeSet<String> {
    let words = help.lines().filter(|line| line.trim_start().starts_with('-')).flat_map(str::split_whitespace);
    let flags = words.map(|word| word.trim_end_matches(',')).filter(|word| word.starts_with('-'));
    flags.map(|flag| flag.split(['=', '[', '<']).next().unwrap().to_owned()).collect()
}

fn subcommands(help: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut listed = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            listed = line.contains("Commands") && line.ends_with(':');
        } else if listed && line.starts_with("  ") && !line.starts_with("   ") {
            found.extend(line.split_whitespace().next().map(str::to_owned));
        }
    }
    found
}

/// What ours lacks below a command, a line each.
fn gaps(path: &[String], all: &mut BTreeSet<String>) {
    let Some(theirs) = help(UPSTREAM, &of(path)) else { return };
    let name = path.join(" ");
    let ours = help(OURS, &of(path)).filter(|help| help.contains(&format!("Usage: {name}")));
    match ours {
        None if !path.is_empty() => {
            all.insert(name.clone());
            return;
        }
        ours => {
            let ours = our_flags(&ours.unwrap_or_default());
            let missing = upstream_flags(&theirs).into_iter().filter(|flag| !ours.contains(flag));
            all.extend(missing.map(|flag| format!("{name} {flag}")));
        }
    }
    for command in subcommands(&theirs) {
        gaps(&path.iter().cloned().chain([command]).collect::<Vec<_>>(), all);
    }
}

#[test]
fn only_known_commands_and_flags_are_missing() {
    if !Path::new(UPSTREAM).exists() {
        // Where the tools are said to be fetched, their absence is a mistake and not a reason to pass.
        assert!(std::env::var_os("SAMPAN_TEST_TOOLS").is_none(), "no client of upstream at {UPSTREAM}");
        eprintln!("skipped: no client of upstream at {UPSTREAM}, whose commands and flags are what ours are held to");
        return;
    }
    let mut found = BTreeSet::new();
    gaps(&[], &mut found);
    let options = |program| help(program, &["options".to_owned()]).unwrap();
    let ours = upstream_flags(&options(OURS));
    // What every command takes need not stand in each one's help.
    found.retain(|gap| gap.rsplit_once(' ').is_none_or(|(_, flag)| !ours.contains(flag)));
    found.extend(upstream_flags(&options(UPSTREAM)).difference(&ours).map(|flag| format!("options {flag}")));
    let known: BTreeSet<String> = GAPS.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let new: Vec<&String> = found.difference(&known).collect();
    let closed: Vec<&String> = known.difference(&found).collect();
    assert!(new.is_empty(), "ours lacks what it had: {new:#?}");
    assert!(closed.is_empty(), "no gaps any more, take them out of gaps.txt: {closed:#?}");
}
