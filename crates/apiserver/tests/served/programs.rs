//! Unmodified client programs, each run with a kubeconfig, a cache and a home of its own.

use crate::cluster::Cluster;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Where the clients are that are not the machine's own (`scripts/tools.sh`).
pub(crate) fn tools() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools");
    std::env::var_os("SAMPAN_TEST_TOOLS").map_or_else(|| beside.into(), PathBuf::from)
}

/// The clients that the tests know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The machine's own.
    Kubectl132,
    Kubectl137,
    Helm,
}

impl Client {
    /// Its file; `None`, said aloud, where it is missing.
    fn path(self) -> Option<PathBuf> {
        let path = match self {
            Client::Kubectl132 => PathBuf::from(crate::cluster::KUBECTL),
            Client::Kubectl137 => tools().join("kubectl-1.37/kubectl"),
            Client::Helm => tools().join("helm/helm"),
        };
        if path.exists() {
            return Some(path);
        }
        eprintln!("SKIPPED: {self:?} is not at {} (scripts/tools.sh)", path.display());
        None
    }
}

/// What a program printed, and whether it was content.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn expect_ok(self) -> String {
        assert!(self.ok, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub(crate) fn expect_failure(self, says: &str) {
        assert!(!self.ok && self.err.contains(says), "is to fail with {says:?}: {}{}", self.out, self.err);
    }
}

/// A program as the administrator of one cluster.
pub(crate) struct Program {
    pub(crate) client: Client,
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    pub(crate) fn of(cluster: &Cluster, client: Client) -> Option<Program> {
        let path = client.path()?;
        let folder = cluster.dir.path().join(format!("{client:?}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(cluster.kubeconfig(), folder.join("config")).unwrap();
        Some(Program { client, path, folder })
    }

    /// A file beside the program, which it finds by its name alone.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).current_dir(&self.folder).env("HOME", &self.folder);
        command.env("KUBECONFIG", self.folder.join("config")).env("KUBECACHEDIR", self.folder.join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().await.unwrap();
        Said {
            ok: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, of words that have no spaces; it must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        let words = words.to_owned();
        async move {
            let said = self.run(&words.split(' ').collect::<Vec<_>>()).await;
            assert!(said.ok, "{caller}: {words}: {}{}", said.out, said.err);
            said.out
        }
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }
}
