//! `kubectl apply` and `delete`, each as a process of its own: whatever a manifest is, the server is not its victim, and
//! a file does from here exactly what it does from a person's hands.

use super::record::Object;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A thousand objects take some seconds; a server that hangs takes for ever.
const TIME_MAX: Duration = Duration::from_secs(120);
/// One line for each object: every word of it is a name, none has a tab.
const LINES: &str =
    "jsonpath={.apiVersion}{\"\\t\"}{.kind}{\"\\t\"}{.metadata.namespace}{\"\\t\"}{.metadata.name}{\"\\n\"}";

pub(super) struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(super) fn new(kubeconfig: &Path) -> Kubectl {
        Kubectl { kubeconfig: kubeconfig.to_owned() }
    }

    /// What a manifest names, in its order; nothing is written.
    pub(super) async fn objects(&self, text: &[u8]) -> Result<Vec<Object>> {
        if is_empty(text) {
            return Ok(Vec::new());
        }
        let lines = self.run(&["apply", "--dry-run=client", "-o", LINES, "-f", "-"], text).await?;
        lines.lines().map(parse).collect()
    }

    pub(super) async fn apply(&self, text: Vec<u8>) -> Result<()> {
        self.run(&["apply", "-f", "-"], &text).await?;
        Ok(())
    }

    /// What does not exist is deleted; so is all of a kind that does not.
    pub(super) async fn delete(&self, object: &Object) -> Result<()> {
        let name = format!("{}/{}", resource(object), object.name);
        let mut arguments = vec!["delete", &name, "--ignore-not-found", "--wait=false"];
        if !object.namespace.is_empty() {
            arguments.extend(["--namespace", &object.namespace]);
        }
        match self.run(&arguments, b"").await {
            Err(error) if error.to_string().contains("the server doesn't have a resource type") => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    async fn run(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("kubectl").arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        // No preferences of whoever started the server.
        command.env("KUBERC", "off");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl's input is piped")?;
        let feed = async move {
            match stdin.write_all(input).await {
                // It has seen enough, and says so by itself.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                fed => fed,
            }
        };
        let work = async { tokio::join!(feed, child.wait_with_output()) };
        let (fed, output) = tokio::time::timeout(TIME_MAX, work)
            .await
            .with_context(|| format!("kubectl did not end within {TIME_MAX:?}"))?;
        fed.context("talking to kubectl")?;
        let output = output.context("listening to kubectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}", said.trim().strip_prefix("error: ").unwrap_or(said.trim()));
        }
        String::from_utf8(output.stdout).context("kubectl's words are no text")
    }
}

/// Comments and separators: `kubectl` takes a manifest without objects for a mistake.
fn is_empty(text: &[u8]) -> bool {
    let blank = |line: &[u8]| line.is_empty() || line.starts_with(b"#") || line == b"---";
    text.split(|byte| *byte == b'\n').all(|line| blank(line.trim_ascii()))
}

fn parse(line: &str) -> Result<Object> {
    match line.split('\t').collect::<Vec<_>>().as_slice() {
        [api_version, kind, namespace, name] => {
            let text = |word: &&str| (*word).to_owned();
            Ok(Object {
                api_version: text(api_version),
                kind: text(kind),
                namespace: text(namespace),
                name: text(name),
            })
        }
        _ => bail!("kubectl said {line:?}"),
    }
}

/// `deployment.v1.apps`, or `configmap` in the group without a name.
fn resource(object: &Object) -> String {
    let kind = object.kind.to_lowercase();
    match object.api_version.split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}"),
        None => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart_by_their_lines() {
        let object = parse("apps/v1\tDeployment\tn\tweb").unwrap();
        assert_eq!(
            (resource(&object).as_str(), object.namespace.as_str(), object.name.as_str()),
            ("deployment.v1.apps", "n", "web")
        );
        let object = parse("v1\tNamespace\t\tn").unwrap();
        assert_eq!((resource(&object).as_str(), object.namespace.as_str()), ("namespace", ""));
        assert!(parse("created").is_err());
    }

    #[test]
    fn comments_alone_are_an_empty_manifest() {
        assert!(is_empty(b"\n# nothing\n---\n"));
        assert!(!is_empty(b"a: b"));
    }
}
