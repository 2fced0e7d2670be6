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

/// Upstream's client: the newest that was fetched for tests, else where Debian has one; `KUBECTL_UPSTREAM` names another.
const UPSTREAM: [&str; 2] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubectl-1.37/kubectl"), "/usr/bin/kubectl"];
const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/testdata");
const OURS: &str = env!("CARGO_BIN_EXE_kubectl");
/// Namespaces of one length, so that columns are as wide.
const NAMESPACES: [&str; 2] = ["upstream", "oursours"];

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
        let words: Vec<String> = normal::words(line).into_iter().map(|word| self.own(word)).collect();
        let is_variable = |word: &&String| word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains('=');
        let variables = words.iter().take_while(is_variable).filter_map(|word| word.split_once('='));
        let output = Command::new("timeout")
            .args([SECONDS_MAX, self.program])
            .args(words.iter().skip_while(is_variable))
            .envs(variables)
            // Where drafts are kept that were not taken.
            .env("TMPDIR", self.home)
            .env("KUBECONFIG", self.kubeconfig)
            // Where upstream's client keeps what it discovered.
            .env("HOME", self.home)
            .current_dir(TESTDATA)
            .stdin(Stdio::null())
            .output();
        output.unwrap_or_else(|error| panic!("{} {line}: {error}", self.program))
    }

    /// `@FILE` is a manifest in which `NAMESPACE` stands for the client's own.
    fn own(&self, word: String) -> String {
        let Some(file) = word.strip_prefix('@') else { return word };
        let text = std::fs::read_to_string(Path::new(TESTDATA).join(file)).unwrap();
        let path = self.home.join(format!("{}-{file}", self.namespace));
        std::fs::write(&path, text.replace("NAMESPACE", self.namespace)).unwrap();
        path.display().to_string()
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

/// Upstream's client. One that is named and absent is a mistake; where none is named and none is found, the skip is told.
fn upstream() -> Option<String> {
    if let Ok(named) = std::env::var("KUBECTL_UPSTREAM") {
        assert!(Path::new(&named).exists(), "KUBECTL_UPSTREAM names {named}, which is absent");
        return Some(named);
    }
    let found = UPSTREAM.iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        eprintln!("skipped: no client of upstream at {UPSTREAM:?}; name one in KUBECTL_UPSTREAM");
    }
    found.map(|path| (*path).to_owned())
}

/// Both clients, each with a namespace that holds the same, run the lines of a script: `#` begins a comment, and
/// `NAME=VALUE` before a command is its environment.
async fn compare(script: &'static str) {
    let Some(upstream) = upstream() else { return };
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
        differences(script, &clients)
    })
    .await
    .unwrap();
    cluster.shutdown().await;
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// A selection that selects nothing yet is waited for, by watch: upstream's client asks twice a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_what_is_not_there_yet_ends_with_it() {
    let cluster = Cluster::start().await;
    let (kubeconfig, home) = (cluster.kubeconfig("default"), cluster.home());
    tokio::task::spawn_blocking(move || {
        let ours = Client { program: OURS, kubeconfig: &kubeconfig, home: &home, namespace: "default" };
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| ours.run("wait --for=create priorityclasses -l made=late --timeout=9s"));
            let watched = |line: &str| line.contains("longrunning") && line.contains("priorityclasses");
            while !String::from_utf8(ours.run("get --raw /metrics").stdout).unwrap().lines().any(watched) {
                assert!(!waits.is_finished(), "{:?}", waits.join());
            }
            ours.run("create priorityclass late --value=1");
            ours.run("label priorityclass late made=late");
            let output = waits.join().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, "priorityclass.scheduling.k8s.io/late condition met\n");
        });
    })
    .await
    .unwrap();
    cluster.shutdown().await;
}

/// A test for each script below `testdata`, so that they run side by side.
macro_rules! scripts {
    ($($name:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            super::compare(include_str!(concat!("testdata/", stringify!($name), ".txt"))).await;
        }
    )*};
}

mod both_clients_say_the_same_of {
    scripts!(
        config, describe, edit, force, generate, mistakes, misuse, more, odd, read, reconcile, set, streams, write
    );
}
