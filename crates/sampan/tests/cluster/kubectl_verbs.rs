//! Every verb of `kubectl` a user reaches for, with three clients: the machine's own and the newest, both unmodified, and
//! ours.
//!
//! One cluster serves all clients of a test, each in a namespace of its own.

mod forwarding;
mod nodes;
mod objects;
mod python;
mod rollouts;
mod streams;

use crate::harness::{Cluster, Machine, Runtime, possible, run, said};
use crate::image;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One `kubectl` with a configuration, a namespace and a discovery cache of its own.
pub(crate) struct Client<'m> {
    pub(crate) machine: &'m Machine,
    program: PathBuf,
    folder: PathBuf,
    environment: &'static [(&'static str, &'static str)],
}

impl<'m> Client<'m> {
    fn new(machine: &'m Machine, program: &Path, version: &str) -> Client<'m> {
        let folder = machine.data_dir.join(format!("client-{version}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(machine.data_dir.join("admin.kubeconfig"), folder.join("config")).unwrap();
        // Ours is a client by the name that it is called by.
        let called = folder.join("kubectl");
        std::os::unix::fs::symlink(program, &called).unwrap();
        let client = Client { machine, program: called, folder, environment: &[] };
        let namespace = format!("with-{version}");
        client.ok(&format!("create namespace {namespace}"));
        client.ok(&format!("config set-context --current --namespace={namespace}"));
        client
    }

    /// The same, made to stream as clients did before they knew WebSockets.
    pub(crate) fn over_spdy(&self) -> Client<'m> {
        Client {
            machine: self.machine,
            program: self.program.clone(),
            folder: self.folder.clone(),
            environment: &[
                ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"),
                ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false"),
            ],
        }
    }

    /// The command, to be started in the test's own way.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.inside(&self.program);
        command.args(arguments).current_dir(&self.folder);
        command.env("KUBECONFIG", self.folder.join("config")).env("KUBECACHEDIR", self.folder.join("cache"));
        command.envs(self.environment.iter().copied());
        command
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn try_args(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments))
    }

    /// What it printed, of words that have no spaces.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        self.ok_args(&arguments.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn ok_args(&self, arguments: &[&str]) -> String {
        let output = self.try_args(arguments);
        assert!(output.status.success(), "{} {arguments:?}: {}", self.program.display(), said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it complained, after it ended with this code.
    pub(crate) fn fails(&self, code: i32, arguments: &str) -> String {
        let output = self.try_args(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(code), "{} {arguments}: {}", self.program.display(), said(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// A file beside the client, which it finds by its name alone.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// Waits until what it prints is exactly this.
    pub(crate) fn until(&self, arguments: &str, expected: &str) {
        self.machine.until(&format!("kubectl {arguments} prints {expected:?}"), |_| {
            let output = self.try_args(&arguments.split(' ').collect::<Vec<_>>());
            if output.stdout == expected.as_bytes() { Ok(()) } else { Err(said(&output)) }
        });
    }
}

/// Where the clients are that are not the machine's own.
pub(crate) fn tools() -> PathBuf {
    std::env::var_os("SAMPAN_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_BIN_EXE_sampan")).ancestors().nth(2).unwrap().join("tools"),
        PathBuf::from,
    )
}

/// The clients of this machine by version; a missing one is said aloud.
fn programs() -> Vec<(&'static str, PathBuf)> {
    let tools = tools();
    let all = [
        ("1-32", PathBuf::from("/usr/bin/kubectl")),
        ("1-37", tools.join("kubectl-1.37/kubectl")),
        ("ours", PathBuf::from(env!("CARGO_BIN_EXE_sampan"))),
    ];
    let present = |(version, path): &(&str, PathBuf)| {
        let found = path.exists();
        if !found {
            eprintln!("SKIPPED: kubectl {version} is not at {}", path.display());
        }
        found
    };
    all.into_iter().filter(present).collect()
}

/// Runs a test with each client, one after the other, on one cluster that has both versions of the image.
fn with_each_client(test: impl Fn(&Client<'_>)) {
    with_each_client_on(Runtime::Embedded, test);
}

fn with_each_client_on(runtime: Runtime, test: impl Fn(&Client<'_>)) {
    let programs = programs();
    if !possible() || programs.is_empty() {
        return;
    }
    let cluster = Cluster::up_on(runtime, &[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    image::import(machine, "v2.0");
    for (version, program) in programs {
        eprintln!("---- kubectl {version}");
        test(&Client::new(machine, &program, version));
    }
    cluster.finish();
}

/// Two pods of the example that are ready when they answer, and go as soon as they are told.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: user-center:v1.0
        readinessProbe:
          httpGet: {path: /, port: 8080}
          periodSeconds: 1
";
