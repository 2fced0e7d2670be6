//! A cluster of one or more nodes, each in a network namespace of its own on one bridge.

use crate::containerd::Containerd;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine; a test that needs it all fails with what it waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const EVICTION_HARD: &str = "--eviction-hard";

/// Whether this machine can run clusters; says why not.
pub(crate) fn possible() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: a cluster needs root");
    }
    root
}

/// Whether this machine can run clusters whose objects are in an etcd; says why not.
pub(crate) fn possible_with_etcd() -> bool {
    let missing = ["etcd", "etcdctl"].into_iter().find(|program| {
        Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    });
    if let Some(program) = missing {
        eprintln!("SKIPPED: {program} is not installed (scripts/packages.sh installs it)");
    }
    missing.is_none() && possible()
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub(crate) fn must(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn said(output: &Output) -> String {
    let mut text = format!("{}\n", output.status);
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        write!(text, "{name}: {}", String::from_utf8_lossy(stream)).unwrap();
    }
    text
}

/// What runs the containers of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Embedded,
    Containerd,
}

/// A test for each runtime, named after it: `on_each_runtime! { fn name(runtime) { … } }`.
macro_rules! on_each_runtime {
    ($(fn $name:ident($runtime:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            fn test($runtime: crate::harness::Runtime) $body

            #[test]
            fn on_the_embedded_runtime() {
                test(crate::harness::Runtime::Embedded);
            }

            #[test]
            fn on_containerd() {
                test(crate::harness::Runtime::Containerd);
            }
        }
    )*};
}
pub(crate) use on_each_runtime;

/// One machine of the test: a namespace, an address, a data directory.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) cgroup_root: String,
    /// Its runtime, when that is not the embedded one.
    pub(crate) containerd: Option<Containerd>,
    /// The build of Sampan that it has.
    program: PathBuf,
    namespace: PathBuf,
    link: String,
}

pub(crate) struct Cluster {
    pub(crate) machines: Vec<Machine>,
    folder: tempfile::TempDir,
    bridge_namespace: PathBuf,
    finished: bool,
}

impl Cluster {
    /// Machines that can reach each other; nothing of sampan runs yet.
    pub(crate) fn machines(count: usize) -> Cluster {
        let folder = tempfile::Builder::new().prefix("sampan-e2e").tempdir().unwrap();
        let bridge_namespace = folder.path().join("bridge.ns");
        kernel::netns::create(&bridge_namespace).unwrap();
        let mut cluster = Cluster { machines: Vec::new(), folder, bridge_namespace, finished: false };
        cluster.ip_in_bridge("link add br0 type bridge");
        cluster.ip_in_bridge("link set br0 up");
        for index in 0..count {
            cluster.add_machine(index);
        }
        cluster
    }

    /// With this build of Sampan on every machine.
    pub(crate) fn running(mut self, program: &Path) -> Cluster {
        for machine in &mut self.machines {
            machine.program = program.to_owned();
        }
        self
    }

    /// One machine with server and node, ready.
    pub(crate) fn up(flags: &[&str]) -> Cluster {
        let cluster = Cluster::machines(1);
        cluster.machines[0].up(flags);
        cluster
    }

    /// One machine with server and node, ready, whose containers this runtime runs.
    pub(crate) fn up_on(runtime: Runtime, flags: &[&str]) -> Cluster {
        let mut cluster = Cluster::machines(1);
        cluster.install(0, runtime);
        cluster.machines[0].up(flags);
        cluster
    }

    /// Has a machine's containers run by this runtime; to be said before the machine is started.
    pub(crate) fn install(&mut self, index: usize, runtime: Runtime) {
        if runtime == Runtime::Containerd {
            let folder = self.folder.path().join(format!("containerd{index}"));
            let machine = &mut self.machines[index];
            machine.containerd = Some(Containerd::start(machine, &folder));
        }
    }

    fn ip_in_bridge(&self, arguments: &str) {
        must(nsenter(&self.bridge_namespace).arg("ip").args(arguments.split(' ')));
    }

    fn add_machine(&mut self, index: usize) {
        let name = format!("n{index}");
        let namespace = self.folder.path().join(format!("{name}.ns"));
        kernel::netns::create(&namespace).unwrap();
        let address = format!("192.168.77.{}", index + 1);
        let link = format!("e{index}");
        let data_dir = self.folder.path().join(&name);
        let cgroup_root = format!("/e2e-{}-{name}", std::process::id());
        let program = env!("CARGO_BIN_EXE_sampan").into();
        let machine = Machine { name, address, data_dir, cgroup_root, containerd: None, program, namespace, link };
        machine.ip("link set lo up");
        machine.ip(&format!("link add {} type veth peer name eth0", machine.link));
        // The bridge's namespace is named by a file below this folder, which `ip` takes as a path.
        machine.ip(&format!("link set {} netns {}", machine.link, self.bridge_namespace.display()));
        machine.ip(&format!("addr add {}/24 dev eth0", machine.address));
        machine.ip("link set eth0 up");
        self.ip_in_bridge(&format!("link set {} master br0 up", machine.link));
        self.machines.push(machine);
    }

    pub(crate) fn first(&self) -> &Machine {
        &self.machines[0]
    }

    /// Joins the machine at `index` to the cluster of the first.
    pub(crate) fn join(&self, index: usize, flags: &[&str]) {
        let token = self.first().sampan(&["token", "create"]);
        let server = format!("https://{}:6443", self.first().address);
        let machine = &self.machines[index];
        let output = machine.join(&server, token.trim(), flags);
        assert!(output.status.success(), "join: {}\n{}", said(&output), machine.log());
    }

    /// Ends everything and asserts that no trace is left.
    pub(crate) fn finish(mut self) {
        for machine in &self.machines {
            machine.assert_nothing_was_forbidden();
        }
        for machine in &mut self.machines {
            if machine.data_dir.exists() {
                machine.sampan(&["reset", "--yes"]);
            }
            if let Some(containerd) = machine.containerd.take() {
                containerd.finish();
            }
            machine.assert_clean();
        }
        self.finished = true;
        self.remove_namespaces();
    }

    fn remove_namespaces(&self) {
        for machine in &self.machines {
            kernel::netns::remove(&machine.namespace).unwrap();
        }
        kernel::netns::remove(&self.bridge_namespace).unwrap();
    }
}

impl Drop for Cluster {
    /// A failed test shows its logs and cleans up as far as it can.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for machine in &self.machines {
            eprintln!("---- log of {}\n{}", machine.name, machine.log());
            let reset = run(machine.command().args(["reset", "--yes"]).arg("--data-dir").arg(&machine.data_dir));
            eprintln!("---- reset of {}: {}", machine.name, said(&reset));
        }
        self.remove_namespaces();
    }
}

fn nsenter(namespace: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace.display()));
    command
}

impl Machine {
    /// A command inside the machine.
    pub(crate) fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = nsenter(&self.namespace);
        command.arg(program).env("KUBECONFIG", self.data_dir.join("admin.kubeconfig"));
        command
    }

    fn command(&self) -> Command {
        self.inside(&self.program)
    }

    fn ip(&self, arguments: &str) {
        must(self.inside("ip").args(arguments.split(' ')));
    }

    /// Our binary on this machine's data directory; what it printed.
    pub(crate) fn sampan(&self, arguments: &[&str]) -> String {
        must(self.command().args(arguments).arg("--data-dir").arg(&self.data_dir))
    }

    fn common(&self, command: &mut Command, flags: &[&str]) {
        command.arg("--detach").arg("--data-dir").arg(&self.data_dir);
        command.args(["--node-name", &self.name, "--node-ip", &self.address, "--cgroup-root", &self.cgroup_root]);
        if let Some(containerd) = &self.containerd {
            command.arg("--container-runtime-endpoint").arg(containerd.endpoint());
        }
        // How full the disk is where the tests run is no part of what they test.
        if !flags.contains(&EVICTION_HARD) {
            command.args([EVICTION_HARD, "memory.available<100Mi,nodefs.available<512Mi"]);
        }
        command.args(flags);
    }

    pub(crate) fn try_up(&self, flags: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("up");
        self.common(&mut command, flags);
        run(&mut command)
    }

    pub(crate) fn up(&self, flags: &[&str]) {
        let output = self.try_up(flags);
        assert!(output.status.success(), "up: {}\n{}", said(&output), self.log());
    }

    /// A server without a node.
    pub(crate) fn up_server(&self) {
        self.up_server_with(&[]);
    }

    pub(crate) fn up_server_with(&self, flags: &[&str]) {
        let output = self.try_server(flags);
        assert!(output.status.success(), "server: {}\n{}", said(&output), self.log());
    }

    pub(crate) fn try_server(&self, flags: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("server");
        self.common(&mut command, flags);
        run(&mut command)
    }

    /// What `work` opens sockets in; they stay in this machine.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        kernel::netns::in_netns(&self.namespace, work).unwrap()
    }

    pub(crate) fn join(&self, server: &str, token: &str, flags: &[&str]) -> Output {
        let mut command = self.command();
        command.args(["join", "--server", server, "--token", token]);
        self.common(&mut command, flags);
        run(&mut command)
    }

    /// The real `kubectl`; what it printed.
    pub(crate) fn kubectl(&self, arguments: &str) -> String {
        must(self.inside("kubectl").args(arguments.split(' ')))
    }

    /// As `kubectl`, of arguments that have spaces.
    pub(crate) fn kubectl_args(&self, arguments: &[&str]) -> String {
        must(self.inside("kubectl").args(arguments))
    }

    /// Starts what a machine had before it was killed, from its own settings.
    pub(crate) fn up_again(&self) {
        let output = run(self.command().args(["resume", "--detach"]).arg("--data-dir").arg(&self.data_dir));
        assert!(output.status.success(), "resume: {}\n{}", said(&output), self.log());
    }

    /// Ends supervisor, server and node; containers live on.
    pub(crate) fn stop(&self) {
        let pid = self.status()["pid"].as_i64().unwrap().try_into().unwrap();
        let supervisor = kernel::process::Process::open(pid).unwrap().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
        assert!(supervisor.wait(PATIENCE).unwrap(), "the supervisor ends when asked: {}", self.log());
    }

    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Output {
        run(self.inside("kubectl").args(arguments))
    }

    /// Applies a manifest's text.
    pub(crate) fn apply(&self, manifest: &str) {
        let mut file = tempfile::NamedTempFile::new_in(&self.data_dir).unwrap();
        std::io::Write::write_all(&mut file, manifest.as_bytes()).unwrap();
        must(self.inside("kubectl").args(["apply", "-f"]).arg(file.path()));
    }

    /// Empty where nothing was ever started.
    pub(crate) fn whole_log(&self) -> String {
        std::fs::read_to_string(self.data_dir.join("sampan.log")).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.sampan(&["status", "-o", "json"])).unwrap()
    }

    /// Waits until a condition holds; panics with what was last seen.
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut(&Machine) -> Result<T, String>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match look(self) {
                Ok(found) => return found,
                Err(seen) if Instant::now() > deadline => {
                    let events = run(self.inside("kubectl").args(["get", "events,pods", "-A", "-o", "wide"]));
                    panic!("not within {PATIENCE:?}: {what}; last seen: {seen}\n{}", said(&events));
                }
                Err(_) => pause(),
            }
        }
    }

    /// Our own processes ask for nothing that their roles do not allow.
    fn assert_nothing_was_forbidden(&self) {
        let log = self.whole_log();
        let refused: Vec<&str> = log.lines().filter(|line| line.contains("is forbidden: ")).collect();
        assert!(refused.is_empty(), "{} asked for what it may not: {refused:#?}", self.name);
    }

    fn assert_clean(&self) {
        assert!(!self.data_dir.exists(), "{} is left", self.data_dir.display());
        let interfaces = must(self.inside("ip").args(["-o", "link"]));
        assert_eq!(interfaces.lines().count(), 2, "lo and eth0 are left, no more:\n{interfaces}");
        assert_eq!(must(self.inside("nft").args(["list", "tables"])), "", "no nft table is left");
        assert_eq!(must(self.inside("ip").args(["route", "show", "proto", "83"])), "", "no route is left");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let data_dir = format!("{}/", self.data_dir.display());
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&data_dir)).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
        for hierarchy in ["memory", "pids", "cpu", "unified"] {
            let path = format!("/sys/fs/cgroup/{hierarchy}{}", self.cgroup_root);
            assert!(!Path::new(&path).exists(), "{path} is left");
        }
    }
}

/// Between two looks at a condition; not a synchronisation.
pub(crate) fn pause() {
    #[allow(clippy::disallowed_methods)]
    std::thread::sleep(Duration::from_millis(20));
}
