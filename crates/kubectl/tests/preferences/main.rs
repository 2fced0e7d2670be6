//! Preferences: the same command lines to upstream's client and to ours, each with a home of its own: the same words, exit
//! codes and files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::path::Path;
use std::process::{Command, Stdio};

const UPSTREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubectl-1.37/kubectl");
const OURS: &str = env!("CARGO_BIN_EXE_kubectl");

const FILE: &str = ".kube/kuberc";

/// A line each: the words of a command; `=FILE` makes the preferences what `FILES` has, and is compared as nothing.
const LINES: &[&[&str]] = &[
    &["kuberc", "view"],
    &["kuberc", "set", "--section", "defaults", "--command", "get", "--option", "output=wide"],
    &["kuberc", "view"],
    &["kuberc", "set", "--section", "defaults", "--command", "get", "--option", "output=json"],
    &["kuberc", "set", "--section", "defaults", "--command", "get", "--option", "output=a=b", "--overwrite"],
    &[
        "kuberc",
        "set",
        "--section",
        "aliases",
        "--name",
        "getn",
        "--command",
        "get",
        "--prependarg",
        "nodes",
        "--appendarg",
        "x",
    ],
    &["kuberc", "set", "--section", "aliases", "--name", "getn", "--command", "get"],
    &["kuberc", "set", "--section", "aliases", "--command", "get"],
    &["kuberc", "set", "--section", "aliases", "--name", "x"],
    &["kuberc", "set", "--section", "foo"],
    &["kuberc", "set"],
    &["kuberc", "set", "--section", "defaults", "--command", "x", "--option", "output"],
    &["kuberc", "set", "--section", "defaults", "--command", "x", "--prependarg", "a"],
    &["kuberc", "set", "--section", "defaults", "--command", "x", "--name", "a"],
    &["kuberc", "set", "--section", "credentialplugin", "--policy", "DenyAll", "--allowlist-entry", "command=x"],
    &["kuberc", "set", "--section", "credentialplugin", "--policy", "Foo"],
    &["kuberc", "set", "--section", "credentialplugin", "--policy", "Allowlist", "--allowlist-entry", "command=x"],
    &["kuberc", "view"],
    &["kuberc", "view", "--kuberc", "/nowhere"],
    &["=defaults"],
    &["config", "view"],
    &["config", "view", "-o", "yaml"],
    &["config", "view", "--output=yaml"],
    &["cv"],
    &["cv", "-o", "jsonpath={.users}"],
    &["gx"],
    &["kz"],
    &["=unknown-flag"],
    &["config", "view"],
    &["=unknown-command"],
    &["config", "current-context"],
    &["=duplicate"],
    &["a"],
    &["=bad-name"],
    &["config", "view"],
    &["=other-version"],
    &["config", "view"],
];

const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, current-context: here, contexts: [{name: here, context: {cluster: k, user: u}}],\n\
    clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}";

const FILES: [(&str, &str); 6] = [
    (
        "defaults",
        "defaults: [{command: config view, options: [{name: output, default: 'jsonpath={.kind}'}]}]
aliases:
- {name: cv, command: config view, options: [{name: raw, default: 'true'}]}
- {name: gx, command: config use-context, prependArgs: [a]}
- {name: kz, command: kustomize, appendArgs: [/nowhere]}
- {name: config, command: kustomize}",
    ),
    ("unknown-flag", "defaults: [{command: config view, options: [{name: nosuch, default: x}]}]"),
    ("unknown-command", "defaults: [{command: nosuch, options: [{name: a, default: b}]}]"),
    ("duplicate", "aliases: [{name: a, command: get}, {name: a, command: config view}]"),
    ("bad-name", "aliases: [{name: 'a b', command: get}]"),
    ("other-version", "apiVersion: kubectl.config.k8s.io/v9"),
];

/// Standard output, standard error, exit code and the file afterwards.
fn seen(program: &str, home: &Path, words: &[&str]) -> String {
    let file = home.join(FILE);
    if let Some(name) = words[0].strip_prefix('=') {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name).unwrap();
        let version = if text.contains("apiVersion") { "" } else { "apiVersion: kubectl.config.k8s.io/v1beta1\n" };
        std::fs::write(&file, format!("kind: Preference\n{version}{text}\n")).unwrap();
        return String::new();
    }
    let mut command = Command::new(program);
    command.args(words).env("HOME", home).env("KUBECONFIG", home.join("config")).env_remove("KUBERC");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&home.display().to_string(), "HOME");
    let file = std::fs::read_to_string(&file).unwrap_or_default();
    format!("{:?}\n{}\n{}\n{file}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn preferences_are_kept_and_used_as_upstream_does() {
    if !Path::new(UPSTREAM).exists() {
        eprintln!("skipped: no client of upstream at {UPSTREAM}");
        return;
    }
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for home in &homes {
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(home.path().join("config"), KUBECONFIG).unwrap();
    }
    let mut different = Vec::new();
    for words in LINES {
        let theirs = seen(UPSTREAM, homes[0].path(), words);
        let ours = seen(OURS, homes[1].path(), words);
        if theirs != ours {
            different.push(format!("{words:?}\n--- upstream\n{theirs}\n--- ours\n{ours}"));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn preferences_are_turned_off_and_ours_alone_refuse_plugins() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    let preferences = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: DenyAll\n\
        defaults: [{command: config view, options: [{name: output, default: json}]}]\n";
    std::fs::write(home.path().join(FILE), preferences).unwrap();
    let kubeconfig = home.path().join("config");
    let text = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],\n\
        clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {exec:\n\
        {apiVersion: client.authentication.k8s.io/v1, command: /bin/false, interactiveMode: Never}}}]}";
    std::fs::write(&kubeconfig, text).unwrap();
    let run = |words: &[&str], kuberc: &str| {
        let mut command = Command::new(OURS);
        command
            .args(words)
            .env("HOME", home.path())
            .env("KUBECONFIG", &kubeconfig)
            .env("KUBERC", kuberc)
            .output()
            .unwrap()
    };
    assert!(run(&["config", "view"], "").stdout.starts_with(b"{"));
    assert!(run(&["config", "view"], "off").stdout.starts_with(b"apiVersion"));
    let refused = String::from_utf8(run(&["get", "pods"], "").stderr).unwrap();
    assert!(refused.contains("is refused by kuberc: its policy is DenyAll"), "{refused}");
    let ran = String::from_utf8(run(&["get", "pods"], "off").stderr).unwrap();
    assert!(!ran.contains("refused by kuberc"), "{ran}");
}
