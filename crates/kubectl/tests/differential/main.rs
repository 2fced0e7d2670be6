//! The same command lines to upstream's client and to ours, against one server: the same words and exit codes.
//!
//! Each client works in a namespace of its own, so that both may write; the namespaces' names are made equal before
//! texts are compared, and so are ages, revisions, uids and cluster IPs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod cluster;
mod kubelet;
mod normal;

use cluster::Cluster;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Upstream's client, `KUBECTL_UPSTREAM` or where Debian has it.
const UPSTREAM: &str = "/usr/bin/kubectl";
const OURS: &str = env!("CARGO_BIN_EXE_kubectl");
/// Namespaces of one length, so that columns are as wide.
const NAMESPACES: [&str; 2] = ["upstream", "oursours"];

/// One script: a command line each; `#` comments.
const SCRIPTS: [(&str, &str); 4] = [
    ("read", include_str!("testdata/read.txt")),
    ("streams", include_str!("testdata/streams.txt")),
    ("write", include_str!("testdata/write.txt")),
    ("mistakes", include_str!("testdata/mistakes.txt")),
];

/// Nobody else says that the pods run.
const RUNNING: &str = "patch pod one two --subresource=status -p {\"status\":{\"phase\":\"Running\"}}";

/// A command that hangs is a difference, not a hanging test.
const SECONDS_MAX: &str = "10";

struct Client<'a> {
    program: &'a str,
    kubeconfig: &'a Path,
    home: &'a Path,
    namespace: &'static str,
}

impl Client<'_> {
    fn run(&self, line: &str) -> Output {
        let words = normal::words(line);
        let output = Command::new("timeout")
            .args([SECONDS_MAX, self.program])
            .args(&words)
            .env("KUBECONFIG", self.kubeconfig)
            // Where upstream's client keeps what it discovered.
            .env("HOME", self.home)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/testdata"))
            .stdin(Stdio::null())
            .output();
        output.unwrap_or_else(|error| panic!("{} {line}: {error}", self.program))
    }

    /// What a script compares: standard output, the exit code, and standard error.
    fn seen(&self, line: &str) -> String {
        let output = self.run(line);
        let text = |bytes: &[u8]| normal::text(&String::from_utf8_lossy(bytes), self.namespace);
        let code = output.status.code().unwrap_or(-1);
        format!("exit code {code}\n{}\nstandard error:\n{}", text(&output.stdout), text(&output.stderr))
    }
}

/// Both clients' seen texts of every line of a script that differ.
fn differences(script: &str, clients: &[Client<'_>; 2]) -> Vec<String> {
    let lines = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let compared = lines.filter_map(|line| {
        let (theirs, ours) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| clients[0].seen(line));
            let ours = clients[1].seen(line);
            (theirs.join().expect("a run that could not be made has said why"), ours)
        });
        (theirs != ours).then(|| format!("kubectl {line}\n{}", normal::difference(&theirs, &ours)))
    });
    compared.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clients_say_the_same() {
    let upstream = std::env::var("KUBECTL_UPSTREAM").unwrap_or_else(|_| UPSTREAM.to_owned());
    if !Path::new(&upstream).exists() {
        eprintln!("skipped: no client of upstream at {upstream}; name one in KUBECTL_UPSTREAM");
        return;
    }
    let cluster = Cluster::start().await;
    let kubeconfigs = NAMESPACES.map(|namespace| cluster.kubeconfig(namespace));
    let home = cluster.home();
    kubelet::start(&cluster).await;
    let differences = tokio::task::spawn_blocking(move || {
        let clients = [
            Client { program: &upstream, kubeconfig: &kubeconfigs[0], home: &home, namespace: NAMESPACES[0] },
            Client { program: OURS, kubeconfig: &kubeconfigs[1], home: &home, namespace: NAMESPACES[1] },
        ];
        for client in &clients {
            let made = clients[1].run(&format!("create namespace {}", client.namespace));
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            for seed in ["apply --validate=false -f seed.yaml", RUNNING] {
                let made = client.run(seed);
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            }
        }
        SCRIPTS
            .iter()
            .flat_map(|(name, script)| {
                differences(script, &clients).into_iter().map(move |difference| format!("{name}: {difference}"))
            })
            .collect::<Vec<_>>()
    })
    .await
    .unwrap();
    cluster.shutdown().await;
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
