//! `cargo xtask tidy`: refuses what the style page refuses and a compiler cannot see.
//!
//! Each check is a row of `LINE_RULES` or a function in `run`; every complaint names file, line and reason.

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES_MAX: usize = 1000;
const FUNCTION_LINES_MAX: usize = 100;

/// A text that no line outside `except` may contain.
struct LineRule {
    text: &'static str,
    reason: &'static str,
    /// Path fragments where it is right.
    except: &'static [&'static str],
}

/// The processes that other tests start and kill are tests that must not run by themselves.
const KILLED: &[&str] = &["crates/store/tests/store/kill.rs"];

const LINE_RULES: &[LineRule] = &[
    LineRule { text: "unbounded_channel", reason: "every queue has a bound", except: &[] },
    LineRule { text: "todo!(", reason: "build it, or answer a clear error", except: &[] },
    LineRule { text: "unimplemented!(", reason: "build it, or answer a clear error", except: &[] },
    LineRule { text: "allow(dead_code)", reason: "remove what is not used", except: &[] },
    LineRule { text: ".map_err(|e| e.to_string())", reason: "keep the error's type", except: &[] },
    LineRule { text: "#[ignore", reason: "a test that does not run is no test", except: KILLED },
    LineRule {
        text: "allow(unsafe_code)",
        reason: "unsafe lives in kernel and shim",
        except: &["crates/kernel/", "crates/shim/"],
    },
];

pub(crate) fn run(root: &Path) -> Result<()> {
    let mut complaints = Vec::new();
    for file in sources(root)? {
        let text = std::fs::read_to_string(root.join(&file)).with_context(|| format!("reading {}", file.display()))?;
        check_file(&file, &text, &mut complaints);
    }
    check_edges(root, &mut complaints)?;
    check_dependencies(root, &mut complaints)?;
    if complaints.is_empty() {
        return Ok(());
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    bail!("{} complaints", complaints.len())
}

/// Rust files that git tracks or would.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.rs"])
        .current_dir(root)
        .output()
        .context("asking git for the sources")?;
    if !listed.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    }
    let names = String::from_utf8(listed.stdout).context("file names")?;
    Ok(names.lines().map(PathBuf::from).filter(|path| root.join(path).exists()).collect())
}

fn check_file(file: &Path, text: &str, complaints: &mut Vec<String>) {
    let name = file.display().to_string();
    let lines: Vec<&str> = text.lines().collect();
    if !lines.first().is_some_and(|line| line.starts_with("//!")) {
        complaints.push(format!("{name}:1: say in one `//!` sentence what the file is for"));
    }
    if lines.len() > FILE_LINES_MAX {
        complaints.push(format!("{name}: {} lines; split it (at most {FILE_LINES_MAX})", lines.len()));
    }
    if !name.starts_with("xtask/") {
        for (index, line) in lines.iter().enumerate() {
            for rule in LINE_RULES {
                if line.contains(rule.text) && !rule.except.iter().any(|fragment| name.contains(fragment)) {
                    complaints.push(format!("{name}:{}: `{}`: {}", index + 1, rule.text, rule.reason));
                }
            }
        }
    }
    check_functions(&name, &lines, complaints);
}

/// A formatted function ends at the brace in the column of its first line.
fn check_functions(name: &str, lines: &[&str], complaints: &mut Vec<String>) {
    let starts = |line: &str| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("pub(crate) ")
            .or(line.strip_prefix("pub(super) "))
            .or(line.strip_prefix("pub "))
            .unwrap_or(line);
        let line = line.strip_prefix("const ").unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("unsafe ").unwrap_or(line).starts_with("fn ")
    };
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| starts(line)) {
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..]
            .iter()
            .position(|line| *line == closing || line.ends_with(';') && line.len() - line.trim_start().len() == indent);
        if let Some(length) = end.map(|end| end + 1).filter(|length| *length > FUNCTION_LINES_MAX) {
            complaints
                .push(format!("{name}:{}: a function of {length} lines (at most {FUNCTION_LINES_MAX})", start + 1));
        }
    }
}

/// Compares the crates' dependencies on each other with the table in ARCHITECTURE.md.
fn check_edges(root: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let written = written_edges(root)?;
    let real = real_edges(root)?;
    for (from, to) in real.difference(&written) {
        complaints.push(format!("ARCHITECTURE.md: the edge {from} -> {to} exists but is not in the table"));
    }
    for (from, to) in written.difference(&real) {
        complaints.push(format!("ARCHITECTURE.md: the edge {from} -> {to} is in the table but does not exist"));
    }
    Ok(())
}

/// Rows such as `| apiserver | api client registry store |` below the heading `## Edges`.
fn written_edges(root: &Path) -> Result<BTreeSet<(String, String)>> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("reading ARCHITECTURE.md")?;
    let section = text.split("## Edges").nth(1).context("ARCHITECTURE.md has no section `## Edges`")?;
    let section = section.split("\n## ").next().unwrap_or(section);
    let mut edges = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, from, to, ..] = cells.as_slice() {
            edges.extend(to.split_whitespace().map(|to| ((*from).to_owned(), to.to_owned())));
        }
    }
    Ok(edges)
}

#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(serde::Deserialize)]
struct Dependency {
    name: String,
    path: Option<String>,
    kind: Option<String>,
}

fn real_edges(root: &Path) -> Result<BTreeSet<(String, String)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("asking cargo for the workspace's packages")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    let mut edges = BTreeSet::new();
    for package in metadata.packages {
        for dependency in package.dependencies {
            if dependency.path.is_some() && dependency.kind.as_deref() != Some("dev") {
                edges.insert((package.name.clone(), dependency.name));
            }
        }
    }
    Ok(edges)
}

/// Every dependency of the workspace has its line in docs/dependencies.md.
fn check_dependencies(root: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let explained =
        std::fs::read_to_string(root.join("docs/dependencies.md")).context("reading docs/dependencies.md")?;
    let section =
        manifest.split("[workspace.dependencies]").nth(1).context("Cargo.toml has no workspace dependencies")?;
    let section = section.split("\n[").next().unwrap_or(section);
    let names: BTreeMap<&str, &str> = section.lines().filter_map(|line| line.split_once(" = ")).collect();
    for (name, value) in names {
        if !value.contains("path =") && !explained.contains(&format!("`{name}`")) {
            complaints.push(format!("docs/dependencies.md: no line for `{name}`: what it is for, and why this one"));
        }
    }
    Ok(())
}
