//! Debian's containerd as the runtime of a machine of the test: a process, directories and a control group of its own,
//! so that the system's containerd, if there is one, is never met.

use crate::harness::{Machine, PATIENCE, must, pause};
use crate::image;
use cri::Runtime;
use cri::v1::{ListImagesRequest, VersionRequest};
use kernel::cgroup::Cgroup;
use kernel::process::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

/// Where every shim of the machine has its socket, whatever containerd's settings say.
const SHIM_SOCKETS: &str = "/run/containerd/s";
/// Where every network keeps what its plugins answered.
const CNI_RESULTS: &str = "/var/lib/cni/results";

pub(crate) struct Containerd {
    process: Child,
    folder: PathBuf,
    /// Of containerd and its shims; containers are in their pods' groups.
    cgroup: Cgroup,
    network: String,
    sockets_before: BTreeSet<String>,
    calls: tokio::runtime::Runtime,
}

impl Containerd {
    /// Starts it in the machine's network, with all it has in `folder`.
    pub(crate) fn start(machine: &Machine, folder: &Path) -> Containerd {
        std::fs::create_dir_all(folder.join("cni")).unwrap();
        let network = machine.cgroup_root.trim_start_matches('/').to_owned();
        std::fs::write(folder.join("cni.template"), network_template(folder, &network)).unwrap();
        std::fs::write(folder.join("config.toml"), config(folder)).unwrap();
        let cgroup = Cgroup::at(format!("{}-containerd", machine.cgroup_root)).unwrap();
        cgroup.create().unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = machine.inside("containerd");
        command.arg("--config").arg(folder.join("config.toml")).stdout(log.try_clone().unwrap()).stderr(log);
        let sockets_before = names_in(SHIM_SOCKETS);
        let process = command.spawn().expect("containerd is there: scripts/packages.sh installs it");
        cgroup.attach(process.id().try_into().unwrap()).unwrap();
        let calls = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let own = Containerd { process, folder: folder.to_owned(), cgroup, network, sockets_before, calls };
        own.until("containerd answers", |own| {
            own.ask(|cri| async move { cri.version(VersionRequest::default()).await })
        });
        own.import_pause();
        own
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// `name` is the image's in the archive, as containerd writes it out.
    pub(crate) fn import(&self, archive: &Path, name: &str) {
        self.ctr(&["images", "import", archive.to_str().unwrap()]);
        // CRI hears of it a moment later.
        self.until(&format!("CRI has {name}"), |own| {
            let images = own.ask(|cri| async move { cri.list_images(ListImagesRequest::default()).await })?.images;
            let known = images.iter().any(|image| image.repo_tags.iter().any(|tag| tag == name));
            if known { Ok(()) } else { Err(format!("{images:?}")) }
        });
    }

    /// The image of every sandbox's first process, which does nothing.
    fn import_pause(&self) {
        let work = self.folder.join("pause");
        std::fs::create_dir(&work).unwrap();
        let example = image::archive(&work, "pause");
        let script = "cd \"$0\" && tar -xf \"$1\" && sed -i 's/\"Cmd\":\\[[^]]*\\]/\"Cmd\":[\"sleep\",\"1000000000\"]/' *.json \
                      && tar -cf pause.tar *.json layer.tar";
        must(Command::new("sh").args(["-c", script]).arg(&work).arg(example));
        self.import(&work.join("pause.tar"), "docker.io/library/user-center:pause");
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        must(Command::new("ctr").arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]).args(arguments))
    }

    /// How many there are, those that are being made and those of sandboxes included.
    pub(crate) fn containers(&self) -> usize {
        self.ctr(&["containers", "list", "-q"]).lines().count()
    }

    fn ask<T, E, F>(&self, question: impl FnOnce(cri::Remote) -> F) -> Result<T, String>
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let answer = async {
            let remote = cri::Remote::at(&self.socket()).map_err(|error| error.to_string())?;
            question(remote).await.map_err(|error| error.to_string())
        };
        self.calls.block_on(answer)
    }

    fn until<T>(&self, what: &str, look: impl Fn(&Containerd) -> Result<T, String>) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(seen) = look(self) {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; last seen: {seen}\n{}", self.log());
            pause();
        }
    }

    /// What it complained of.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let complaints: Vec<&str> = text.lines().filter(|line| !line.contains(" level=info ")).collect();
        complaints[complaints.len().saturating_sub(40)..].join("\n")
    }

    /// Ends it after its pods have been removed, and asserts that they were, without a trace.
    pub(crate) fn finish(mut self) {
        assert_eq!(self.ctr(&["tasks", "list", "-q"]), "", "no container runs");
        assert_eq!(self.ctr(&["containers", "list", "-q"]), "", "no container is kept");
        let process = Process::open(self.process.id().try_into().unwrap()).unwrap().expect("containerd lives");
        kill(Pid::from_raw(process.pid()), Signal::SIGTERM).unwrap();
        assert!(process.wait(PATIENCE).unwrap(), "containerd ends when told to");
        self.process.wait().unwrap();
        assert_eq!(self.cgroup.processes().unwrap(), Vec::<i32>::new(), "no shim is left");
        self.cgroup.remove().unwrap();
        assert_eq!(self.mounts(), Vec::<PathBuf>::new(), "no mount is left");
        self.remove_sockets();
        assert_eq!(self.results(), Vec::<PathBuf>::new(), "no network's answer is left");
    }

    /// A shim of containerd 1.6 that ends while it is being told to end leaves its socket's file behind: a defect of its
    /// own (containerd's issue 5173), which no client can prevent.
    fn remove_sockets(&self) {
        for name in names_in(SHIM_SOCKETS).difference(&self.sockets_before) {
            let path = Path::new(SHIM_SOCKETS).join(name);
            eprintln!("a shim of containerd left {}: {:?}", path.display(), std::fs::remove_file(&path));
        }
    }

    fn mounts(&self) -> Vec<PathBuf> {
        let all = kernel::mount::table().unwrap().into_iter().map(|mount| mount.target);
        all.filter(|target| target.starts_with(&self.folder)).collect()
    }

    fn results(&self) -> Vec<PathBuf> {
        let own = names_in(CNI_RESULTS).into_iter().filter(|name| name.starts_with(&self.network));
        own.map(|name| Path::new(CNI_RESULTS).join(name)).collect()
    }
}

impl Drop for Containerd {
    /// After a failed test, whatever is there is taken away by force.
    fn drop(&mut self) {
        if !self.cgroup.exists() {
            return;
        }
        eprintln!("---- log of containerd\n{}", self.log());
        if let Err(error) = self.cgroup.end(PATIENCE) {
            eprintln!("ending containerd and its shims: {error}");
        }
        eprintln!("containerd: {:?}", self.process.wait());
        for mount in self.mounts().iter().rev() {
            eprintln!("unmounting {}: {:?}", mount.display(), kernel::mount::unmount(mount));
        }
        self.remove_sockets();
        for path in self.results() {
            eprintln!("removing {}: {:?}", path.display(), std::fs::remove_file(&path));
        }
    }
}

/// None when there is no such directory.
fn names_in(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Routed, as our own pods are; addresses from the range that the kubelet tells.
fn network_template(folder: &Path, network: &str) -> String {
    let ranges = r#"{{range $i, $range := .PodCIDRRanges}}{{if $i}},{{end}}[{"subnet": "{{$range}}"}]{{end}}"#;
    let addresses = format!(
        r#"{{"type": "host-local", "dataDir": "{}", "ranges": [{ranges}], "routes": [{{"dst": "0.0.0.0/0"}}]}}"#,
        folder.join("addresses").display()
    );
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "{network}", "plugins": [{{"type": "ptp", "mtu": 1500, "ipam": {addresses}}}]}}"#
    )
}

fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/user-center:pause"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
    conf_template = "{folder}/cni.template"
"#
    )
}
