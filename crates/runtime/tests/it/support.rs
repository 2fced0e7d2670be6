//! A node of its own for each test: directories, cgroups and an image made from busybox, gone afterwards.

use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cri::v1;
use cri::{Events, Runtime};
use oci_spec::image::ImageConfiguration;
use runtime::image::{Credentials, Image, ImageError, ImageStore, Usage};
use runtime::{Embedded, Network, NetworkError, Options, PodNetwork};
use tokio_stream::StreamExt;

/// Longer than anything takes, short enough to see that it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What containers run in.
pub(crate) struct Images {
    image: Arc<Image>,
}

impl Images {
    /// A root with busybox, made below `directory`; `prepare` may change it.
    pub(crate) fn new(directory: &Path, prepare: impl FnOnce(&Path)) -> Images {
        let root = directory.join("layer");
        for name in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        let list = std::process::Command::new("/bin/busybox").arg("--list").output().unwrap();
        for name in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n").unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nweb:x:34:\naudio:x:63:web\n").unwrap();
        prepare(&root);
        let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},
            "config":{"Env":["FROM_IMAGE=yes"],"Cmd":["sh"],"WorkingDir":"/tmp"}}"#;
        let config: ImageConfiguration = serde_json::from_str(config).unwrap();
        let image = Image {
            id: "sha256:busybox".into(),
            tags: vec!["busybox:test".into()],
            digests: vec!["busybox@sha256:busybox".into()],
            size_bytes: 1,
            config,
            layers: vec![root],
            pinned: false,
        };
        Images { image: Arc::new(image) }
    }
}

#[async_trait]
impl ImageStore for Images {
    async fn pull(&self, _: &str, _: Option<&Credentials>) -> Result<String, ImageError> {
        Ok(self.image.id.clone())
    }

    async fn resolve(&self, reference: &str) -> Result<Option<Arc<Image>>, ImageError> {
        Ok(Some(self.image.clone()).filter(|_| reference == "busybox:test"))
    }

    async fn list(&self) -> Result<Vec<Arc<Image>>, ImageError> {
        Ok(vec![self.image.clone()])
    }

    async fn remove(&self, _: &str) -> Result<(), ImageError> {
        Ok(())
    }

    async fn usage(&self) -> Result<Usage, ImageError> {
        Ok(Usage::default())
    }
}

/// A network that notes what it is asked.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) fail: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Network for Notes {
    async fn setup(&self, pod: &PodNetwork) -> Result<Vec<IpAddr>, NetworkError> {
        let netns = pod.netns.clone().expect("a pod to be connected has a namespace");
        let links = kernel::netns::in_netns(&netns, || std::fs::read_to_string("/proc/thread-self/net/dev"))??;
        let names: Vec<_> = links.lines().skip(2).filter_map(|line| line.split_once(':')).map(|x| x.0.trim()).collect();
        self.calls.lock().unwrap().push(format!("setup {} {names:?}", pod.name));
        if self.fail.load(Ordering::Relaxed) {
            return Err("no addresses left".into());
        }
        Ok(vec!["10.42.0.7".parse()?, "fd00::7".parse()?])
    }

    async fn teardown(&self, pod: &PodNetwork) -> Result<(), NetworkError> {
        self.calls.lock().unwrap().push(format!("teardown {} {}", pod.name, pod.netns.is_some()));
        Ok(())
    }
}

/// What tests' containers may write to their logs in a second.
pub(crate) const LOG_BYTES_PER_SECOND: u64 = 1 << 20;

/// One test's node.
pub(crate) struct Node {
    pub(crate) directory: PathBuf,
    pub(crate) cgroup: PathBuf,
    pub(crate) images: Arc<Images>,
    pub(crate) network: Arc<Notes>,
    runtime: Option<Embedded>,
}

/// Runs `test` on a node; `None`, said aloud, where containers cannot be made.
pub(crate) async fn with_node(test: impl AsyncFnOnce(&mut Node)) {
    with_image(|_| (), test).await;
}

/// [`with_node`] with another image.
pub(crate) async fn with_image(prepare: impl FnOnce(&Path), test: impl AsyncFnOnce(&mut Node)) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    if !nix::unistd::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
        eprintln!("SKIPPED: needs root and /bin/busybox");
        return;
    }
    let name = format!("runtime-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(directory.join("logs")).unwrap();
    let images = Arc::new(Images::new(&directory, prepare));
    let cgroup = Path::new("/").join(&name);
    let mut node = Node { directory, cgroup, images, network: Arc::default(), runtime: None };
    node.open().await;
    test(&mut node).await;
    node.expect_nothing_left().await;
}

impl Drop for Node {
    /// Also after a failed test: shims and containers are all below the test's cgroup.
    fn drop(&mut self) {
        kernel::cgroup::Cgroup::at(&self.cgroup).and_then(|group| group.end(PATIENCE)).unwrap();
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

impl Node {
    /// Starts the runtime, or starts it again as after a crash: the earlier one is simply dropped.
    pub(crate) async fn open(&mut self) {
        self.runtime = None;
        let options = Options {
            root: self.directory.join("root"),
            run_dir: self.directory.join("run"),
            cgroup_root: self.cgroup.clone(),
            images: self.images.clone(),
            network: self.network.clone(),
            log_bytes_per_second: LOG_BYTES_PER_SECOND,
        };
        self.runtime = Some(Embedded::open(options).await.unwrap());
    }

    /// Ends the runtime, not its containers.
    pub(crate) fn close(&mut self) {
        self.runtime = None;
    }

    pub(crate) fn runtime(&self) -> &Embedded {
        self.runtime.as_ref().unwrap()
    }

    pub(crate) async fn events(&self) -> Events {
        self.runtime().get_container_events(v1::GetEventsRequest {}).await.unwrap()
    }

    pub(crate) fn pod_config(&self, name: &str) -> v1::PodSandboxConfig {
        v1::PodSandboxConfig {
            metadata: Some(v1::PodSandboxMetadata {
                name: name.into(),
                uid: format!("uid-{name}"),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: name.into(),
            log_directory: self.directory.join("logs").to_str().unwrap().into(),
            dns_config: Some(v1::DnsConfig { servers: vec!["10.43.0.10".into()], ..Default::default() }),
            linux: Some(v1::LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup.join("kubepods").join(name).to_str().unwrap().into(),
                security_context: Some(v1::LinuxSandboxSecurityContext {
                    namespace_options: Some(own_pid()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub(crate) async fn run_pod(&self, config: v1::PodSandboxConfig) -> String {
        let request = v1::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        self.runtime().run_pod_sandbox(request).await.unwrap().pod_sandbox_id
    }

    pub(crate) async fn pod(&self) -> String {
        self.run_pod(self.pod_config("pod")).await
    }

    pub(crate) async fn create(&self, pod: &str, config: v1::ContainerConfig) -> Result<String, tonic::Status> {
        let request =
            v1::CreateContainerRequest { pod_sandbox_id: pod.into(), config: Some(config), sandbox_config: None };
        Ok(self.runtime().create_container(request).await?.container_id)
    }

    pub(crate) async fn start(&self, id: &str) -> Result<(), tonic::Status> {
        let request = v1::StartContainerRequest { container_id: id.into() };
        self.runtime().start_container(request).await.map(drop)
    }

    /// Creates and starts.
    pub(crate) async fn run(&self, pod: &str, config: v1::ContainerConfig) -> String {
        let id = self.create(pod, config).await.unwrap();
        self.start(&id).await.unwrap();
        id
    }

    /// Runs a shell script to its end; answers exit code and what it wrote.
    pub(crate) async fn script(&self, pod: &str, script: &str) -> (i32, String) {
        self.run_to_end(pod, sh(script)).await
    }

    pub(crate) async fn run_to_end(&self, pod: &str, config: v1::ContainerConfig) -> (i32, String) {
        let id = self.run(pod, config).await;
        let status = self.wait(&id).await;
        (status.exit_code, self.log(&status.log_path))
    }

    pub(crate) async fn status(&self, id: &str) -> v1::ContainerStatus {
        let request = v1::ContainerStatusRequest { container_id: id.into(), verbose: false };
        self.runtime().container_status(request).await.unwrap().status.unwrap()
    }

    pub(crate) async fn pid(&self, id: &str) -> i32 {
        let request = v1::ContainerStatusRequest { container_id: id.into(), verbose: true };
        self.runtime().container_status(request).await.unwrap().info["pid"].parse().unwrap()
    }

    pub(crate) async fn sandbox_state(&self, id: &str) -> v1::PodSandboxState {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.into(), verbose: false };
        self.runtime().pod_sandbox_status(request).await.unwrap().status.unwrap().state()
    }

    /// Waits until a container has exited.
    pub(crate) async fn wait(&self, id: &str) -> v1::ContainerStatus {
        let mut events = self.events().await;
        tokio::time::timeout(PATIENCE, async {
            loop {
                let status = self.status(id).await;
                if status.state() == v1::ContainerState::ContainerExited {
                    return status;
                }
                events.next().await.unwrap().unwrap();
            }
        })
        .await
        .expect("the container exits")
    }

    /// Waits until a container's log has a line.
    pub(crate) async fn wait_for_log(&self, id: &str, line: &str) {
        let path = self.status(id).await.log_path;
        until("a log line", || self.log(&path).lines().any(|found| found == line)).await;
    }

    /// What a log says, without times and tags.
    pub(crate) fn log(&self, path: &str) -> String {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let words = text.lines().map(|line| {
            let mut fields = line.splitn(4, ' ');
            let tag = fields.nth(2).unwrap();
            format!("{}{}", fields.next().unwrap(), if tag == "F" { "\n" } else { "" })
        });
        words.collect()
    }

    pub(crate) async fn exec(
        &self,
        id: &str,
        command: &[&str],
        timeout: i64,
    ) -> Result<v1::ExecSyncResponse, tonic::Status> {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        self.runtime().exec_sync(v1::ExecSyncRequest { container_id: id.into(), cmd, timeout }).await
    }

    pub(crate) async fn stop_pod(&self, id: &str) {
        self.runtime().stop_pod_sandbox(v1::StopPodSandboxRequest { pod_sandbox_id: id.into() }).await.unwrap();
    }

    pub(crate) async fn remove_pod(&self, id: &str) {
        self.runtime().remove_pod_sandbox(v1::RemovePodSandboxRequest { pod_sandbox_id: id.into() }).await.unwrap();
    }

    /// Processes below the test's cgroup.
    pub(crate) fn processes(&self) -> Vec<i32> {
        fn below(group: &kernel::cgroup::Cgroup) -> Vec<i32> {
            let mut all = group.processes().unwrap();
            all.extend(group.children().unwrap().iter().flat_map(below));
            all
        }
        below(&kernel::cgroup::Cgroup::at(&self.cgroup).unwrap())
    }

    /// Removes every pod, and then nothing may be left of any.
    async fn expect_nothing_left(&mut self) {
        let pods = self.runtime().list_pod_sandbox(v1::ListPodSandboxRequest::default()).await.unwrap().items;
        for pod in pods {
            self.remove_pod(&pod.id).await;
        }
        assert_eq!(self.processes(), Vec::<i32>::new(), "processes");
        let group = kernel::cgroup::Cgroup::at(self.cgroup.join("kubepods")).unwrap();
        let left = group.children().unwrap();
        assert!(left.is_empty(), "cgroups: {left:?}");
        let mounts = kernel::mount::table().unwrap();
        let left: Vec<_> = mounts.iter().filter(|mount| mount.target.starts_with(&self.directory)).collect();
        assert!(left.is_empty(), "mounts: {left:?}");
        for directory in ["run", "root/sandboxes", "root/containers"] {
            let left: Vec<_> = std::fs::read_dir(self.directory.join(directory)).unwrap().collect();
            assert!(left.is_empty(), "{directory}: {left:?}");
        }
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

pub(crate) fn own_pid() -> v1::NamespaceOption {
    v1::NamespaceOption { pid: v1::NamespaceMode::Container as i32, ..Default::default() }
}

/// A container that runs a command.
pub(crate) fn command(words: &[&str]) -> v1::ContainerConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("c{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    v1::ContainerConfig {
        log_path: format!("{name}.log"),
        metadata: Some(v1::ContainerMetadata { name, attempt: 0 }),
        image: Some(v1::ImageSpec { image: "busybox:test".into(), ..Default::default() }),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        linux: Some(v1::LinuxContainerConfig {
            security_context: Some(v1::LinuxContainerSecurityContext {
                namespace_options: Some(own_pid()),
                seccomp: Some(v1::SecurityProfile { profile_type: 0, localhost_ref: String::new() }),
                ..Default::default()
            }),
            resources: Some(v1::LinuxContainerResources::default()),
        }),
        ..Default::default()
    }
}

/// A container that runs a shell script.
pub(crate) fn sh(script: &str) -> v1::ContainerConfig {
    command(&["sh", "-c", script])
}

/// Changes a container's security context.
pub(crate) fn secured(
    mut config: v1::ContainerConfig,
    change: impl FnOnce(&mut v1::LinuxContainerSecurityContext),
) -> v1::ContainerConfig {
    change(config.linux.as_mut().unwrap().security_context.as_mut().unwrap());
    config
}

/// Changes a container's limits.
pub(crate) fn limited(
    mut config: v1::ContainerConfig,
    change: impl FnOnce(&mut v1::LinuxContainerResources),
) -> v1::ContainerConfig {
    change(config.linux.as_mut().unwrap().resources.as_mut().unwrap());
    config
}
