//! Exec credential plugins: a program of the user's that answers with a token or a certificate.
//!
//! Invariant: what it answers is kept in memory only, for this command.

use crate::failure::{Failure, Result};
use base64::Engine;
use client::Credentials;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says to the plugin what is asked of it.
const INFO: &str = "KUBERNETES_EXEC_INFO";

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Runs a kubeconfig's `exec` entry.
pub(crate) fn ask(plugin: &Value, cluster: &Value, ca_pem: &str, kubeconfig: &Path) -> Result<Credentials> {
    let program = text(plugin, "command");
    let version = text(plugin, "apiVersion");
    if !matches!(version, "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
        return Err(Failure::message(format!("exec plugin: invalid apiVersion {version:?}")));
    }
    let interactive = match text(plugin, "interactiveMode") {
        "Never" => false,
        "Always" if !std::io::stdin().is_terminal() => {
            return Err(Failure::message(
                "exec plugin cannot support interactive mode: standard input is not a terminal",
            ));
        }
        _ => std::io::stdin().is_terminal(),
    };
    let info = info(plugin, cluster, ca_pem, version, interactive);
    let mut command = Command::new(place(program, kubeconfig));
    let arguments = plugin.get("args").and_then(Value::as_array).into_iter().flatten();
    command.args(arguments.filter_map(Value::as_str)).env(INFO, info.to_string());
    for variable in plugin.get("env").and_then(Value::as_array).into_iter().flatten() {
        command.env(text(variable, "name"), text(variable, "value"));
    }
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() }).stderr(Stdio::inherit());
    let output = command.stdout(Stdio::piped()).output().map_err(|error| unstarted(plugin, program, &error))?;
    if !output.status.success() {
        let code = output.status.code().map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        return Err(Failure::message(format!("getting credentials: exec: executable {program} failed with {code}")));
    }
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::message(format!("getting credentials: decoding stdout of {program}: {error}")))?;
    credentials(program, version, &answer)
}

/// A relative path is taken from the kubeconfig's folder; a bare name from `PATH`.
fn place(program: &str, kubeconfig: &Path) -> std::path::PathBuf {
    let path = Path::new(program);
    if path.is_absolute() || path.components().count() < 2 {
        return path.to_owned();
    }
    kubeconfig.parent().unwrap_or(Path::new(".")).join(path)
}

fn info(plugin: &Value, cluster: &Value, ca_pem: &str, version: &str, interactive: bool) -> Value {
    let mut spec = json!({"interactive": interactive});
    if plugin.get("provideClusterInfo") == Some(&Value::Bool(true)) {
        let mut told = json!({"server": text(cluster, "server")});
        for (key, shown) in
            [("tls-server-name", "tls-server-name"), ("insecure-skip-tls-verify", "insecure-skip-tls-verify")]
        {
            if let Some(value) = cluster.get(key) {
                told[shown] = value.clone();
            }
        }
        if !ca_pem.is_empty() {
            told["certificate-authority-data"] = base64::engine::general_purpose::STANDARD.encode(ca_pem).into();
        }
        let extensions = cluster.get("extensions").and_then(Value::as_array).into_iter().flatten();
        let mut own = extensions.filter(|entry| text(entry, "name") == "client.authentication.k8s.io/exec");
        if let Some(extension) = own.next() {
            told["config"] = extension["extension"].clone();
        }
        spec["cluster"] = told;
    }
    json!({"kind": "ExecCredential", "apiVersion": version, "spec": spec})
}

fn unstarted(plugin: &Value, program: &str, error: &std::io::Error) -> Failure {
    let hint = text(plugin, "installHint");
    let hint = if hint.is_empty() { String::new() } else { format!("\n\n{hint}") };
    if error.kind() == std::io::ErrorKind::NotFound {
        return Failure::message(format!("getting credentials: exec: executable {program} not found{hint}"));
    }
    Failure::message(format!("getting credentials: exec: {program}: {error}{hint}"))
}

fn credentials(program: &str, version: &str, answer: &Value) -> Result<Credentials> {
    let wrong = |what: &str| Err(Failure::message(format!("exec plugin {program}: {what}")));
    if text(answer, "kind") != "ExecCredential" || text(answer, "apiVersion") != version {
        return wrong("it answered no ExecCredential of the version asked for");
    }
    let status = &answer["status"];
    let (chain, key) = (text(status, "clientCertificateData"), text(status, "clientKeyData"));
    match (text(status, "token"), chain, key) {
        ("", "", "") => wrong("it didn't return a token or cert/key pair"),
        (_, chain, key) if chain.is_empty() != key.is_empty() => wrong("it returned only one of certificate and key"),
        ("", chain, key) => Ok(Credentials::Certificate { chain_pem: chain.to_owned(), key_pem: key.to_owned() }),
        (token, ..) => Ok(Credentials::Token(token.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn plugin(folder: &Path, script: &str) -> Value {
        let path = folder.join("plugin");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "args": ["a b"],
            "env": [{"name": "WORD", "value": "w"}], "interactiveMode": "Never", "provideClusterInfo": true,
            "installHint": "get it"})
    }

    #[test]
    fn a_plugin_is_asked_and_believed() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        let script = r#"printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"%s-%s"}}' "$1" "$WORD"
            case "$KUBERNETES_EXEC_INFO" in *'"server":"https://s"'*) ;; *) exit 9;; esac"#;
        let plugin = plugin(folder.path(), script);
        let answer = ask(&plugin, &json!({"server": "https://s"}), "", &config).unwrap();
        assert!(matches!(answer, Credentials::Token(token) if token == "a b-w"));
    }

    #[test]
    fn a_plugin_that_fails_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        let error = |plugin: &Value| ask(plugin, &Value::Null, "", &config).unwrap_err().report();
        let mut failing = plugin(folder.path(), "exit 3");
        assert!(error(&failing).ends_with("./plugin failed with exit code 3"), "{}", error(&failing));
        failing["command"] = "no-such-plugin-here".into();
        assert!(error(&failing).ends_with("executable no-such-plugin-here not found\n\nget it"));
        let silent = plugin(
            folder.path(),
            r#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{}}'"#,
        );
        assert!(error(&silent).contains("didn't return a token"), "{}", error(&silent));
    }
}
