//! The runtime itself: its parts, and how a container's state goes forward.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::shim::protocol as wire;
use cri::v1;
use tokio::sync::mpsc;

use crate::container::Filters;
use crate::events::Publisher;
use crate::files;
use crate::image::ImageStore;
use crate::network::Network;
use crate::record::{ContainerRecord, Identity, Phase, SandboxRecord, SandboxState, now_ns};
use crate::shim::{Binary, Event};
use crate::streaming::Streaming;
use crate::table::{Container, Table};

/// Events of one pod's shim that wait for this process.
const SHIM_EVENTS_MAX: usize = 64;

/// What a runtime is made of.
pub struct Options {
    /// Where sandboxes, containers and the shim's program are kept.
    pub root: PathBuf,
    /// Where the shims' sockets are; on a file system that ends with the machine's power, such as `/run`.
    pub run_dir: PathBuf,
    /// Absolute path of the cgroup that the runtime's own processes are put below, such as `/sampan`.
    pub cgroup_root: PathBuf,
    /// Where images come from.
    pub images: Arc<dyn ImageStore>,
    /// What connects pods.
    pub network: Arc<dyn Network>,
    /// What each container may write to its log in a second; beyond a burst, lines are dropped. 0 for no limit.
    pub log_bytes_per_second: u64,
}

/// Why the runtime could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory or file of its own.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

/// The embedded runtime. Cheap to clone; dropping the last clone leaves all containers running.
#[derive(Clone)]
pub struct Embedded(pub(crate) Arc<Parts>);

/// Its parts.
pub(crate) struct Parts {
    pub(crate) root: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) images: Arc<dyn ImageStore>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) binary: Binary,
    pub(crate) table: Table,
    pub(crate) events: Publisher,
    pub(crate) filters: Filters,
    pub(crate) streaming: Streaming,
    /// The cgroup of all shims.
    pub(crate) shims: kernel::cgroup::Cgroup,
    pub(crate) log_bytes_per_second: u64,
    /// What this process can give away at all.
    pub(crate) bounding: u64,
}

impl Embedded {
    /// Opens the runtime and finds every pod again that an earlier process left.
    pub async fn open(options: Options) -> Result<Embedded, OpenError> {
        let file = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::File { action, path, source }
        };
        for directory in [options.root.join("sandboxes"), options.root.join("containers"), options.run_dir.clone()] {
            std::fs::create_dir_all(&directory).map_err(file("create", &directory))?;
            private(&directory).map_err(file("protect", &directory))?;
        }
        kernel::mount::load_file_system("overlay")?;
        let programs = options.root.join("shim");
        let binary = Binary::install(&programs).map_err(file("install the shim in", &programs))?;
        let shims = kernel::cgroup::Cgroup::at(options.cgroup_root.join("shims"))?;
        shims.create()?;
        let streaming = Streaming::start().await.map_err(file("listen on", Path::new("127.0.0.1")))?;
        let parts = Arc::new(Parts {
            root: options.root,
            run_dir: options.run_dir,
            images: options.images,
            network: options.network,
            log_bytes_per_second: options.log_bytes_per_second,
            binary,
            table: Table::default(),
            events: Publisher::new(),
            filters: Filters::default(),
            streaming,
            shims,
            bounding: kernel::capability::bounding()?,
        });
        parts.recover().await?;
        Ok(Embedded(parts))
    }

    /// Whether a container stacks this layer, one of [`crate::image::Image::layers`]: such a one must stay on disk.
    pub fn uses_layer(&self, directory: &Path) -> bool {
        self.0.table.containers().iter().any(|container| container.record.layers.iter().any(|layer| layer == directory))
    }
}

/// Others have no business here: containers' configurations hold secrets, and a socket is root on the node.
fn private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

impl Parts {
    pub(crate) fn sandbox_directory(&self, id: &str) -> PathBuf {
        self.root.join("sandboxes").join(id)
    }

    pub(crate) fn container_directory(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// Where a pod's socket is.
    pub(crate) fn run_directory(&self, id: &str) -> PathBuf {
        self.run_dir.join(id)
    }

    pub(crate) fn save_sandbox(&self, record: &SandboxRecord) -> std::io::Result<()> {
        let path = self.sandbox_directory(&record.id).join("sandbox.json");
        files::replace(&path, &serde_json::to_vec(record)?)
    }

    pub(crate) fn save_container(&self, record: &ContainerRecord) -> std::io::Result<()> {
        let path = self.container_directory(&record.id).join("container.json");
        files::replace(&path, &serde_json::to_vec(record)?)
    }

    /// Saves a change that has happened already. Where the disk is full, the shim still knows.
    pub(crate) fn save_late(&self, container: &Container) {
        if let Err(error) = self.save_container(&container.record) {
            tracing::warn!(container = container.record.id, %error, "container state not saved");
        }
    }

    /// Listens to a pod's shim from now on.
    pub(crate) fn follow(self: &Arc<Self>, sandbox: &str) -> mpsc::Sender<Event> {
        let (sender, mut events) = mpsc::channel(SHIM_EVENTS_MAX);
        // Weak: what is left of a runtime that was dropped must not keep it alive.
        let parts = Arc::downgrade(self);
        let sandbox = sandbox.to_owned();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(parts) = parts.upgrade() else { return };
                match event {
                    Event::Changed(state) => parts.learn(&state),
                    Event::Gone => parts.lose_shim(&sandbox).await,
                }
            }
        });
        sender
    }

    /// Takes a container to the state that its shim reports.
    pub(crate) fn learn(&self, state: &wire::ContainerState) {
        let running = Phase::Running { started_ns: state.started_ns, pid: state.pid };
        match state.phase {
            wire::PHASE_RUNNING => self.advance(state, running),
            wire::PHASE_EXITED => {
                // Whoever listens hears of the start too, even when both came at once.
                self.advance(state, running);
                self.advance(state, exited(state));
            }
            _ => {}
        }
    }

    fn advance(&self, state: &wire::ContainerState, phase: Phase) {
        let identity = &state.identity;
        self.table.change_container(&state.id, |record| {
            record.identity = Some(Identity { uid: identity.uid, gid: identity.gid, groups: identity.groups.clone() });
        });
        self.reach(&state.id, phase);
    }

    /// Takes a container forward, saves it and tells of it.
    pub(crate) fn reach(&self, id: &str, phase: Phase) {
        let kind = match phase {
            Phase::Created => v1::ContainerEventType::ContainerCreatedEvent,
            Phase::Running { .. } => v1::ContainerEventType::ContainerStartedEvent,
            Phase::Exited { .. } => v1::ContainerEventType::ContainerStoppedEvent,
        };
        let Some((_, container)) = self.table.advance(id, phase) else { return };
        self.save_late(&container);
        if kind == v1::ContainerEventType::ContainerStoppedEvent {
            container.exited.send_replace(true);
        }
        self.tell(id, &container.record.sandbox, kind);
    }

    /// Tells of a container, or of a sandbox as the container that it also is.
    pub(crate) fn tell(&self, id: &str, sandbox: &str, kind: v1::ContainerEventType) {
        let Some(entry) = self.table.sandbox(sandbox) else { return };
        let containers = self.table.containers_of(&entry.record.id);
        self.events.publish(v1::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind as i32,
            created_at: now_ns(),
            pod_sandbox_status: Some(crate::sandbox::status(&entry.record)),
            containers_statuses: containers.iter().map(|one| crate::container::status(&one.record)).collect(),
        });
    }

    /// A shim is gone. Unless the sandbox was stopped, that is a failure: what it held is ended, as nobody could say
    /// any more how it ended by itself.
    pub(crate) async fn lose_shim(&self, id: &str) {
        let mut failed = false;
        let changed = self.table.change_sandbox(id, |sandbox| {
            sandbox.shim = None;
            failed = sandbox.record.state == SandboxState::Ready;
            if failed {
                sandbox.record.state = SandboxState::NotReady;
            }
        });
        let Some(sandbox) = changed.filter(|_| failed) else { return };
        tracing::warn!(sandbox = id, "the pod's shim is gone");
        if let Err(error) = self.save_sandbox(&sandbox.record) {
            tracing::warn!(sandbox = id, %error, "sandbox state not saved");
        }
        self.orphan_containers(id).await;
        self.tell(id, id, v1::ContainerEventType::ContainerStoppedEvent);
    }

    /// Ends the containers of a sandbox without a shim.
    pub(crate) async fn orphan_containers(&self, sandbox: &str) {
        for container in self.table.containers_of(sandbox) {
            let Phase::Running { started_ns, .. } = container.record.phase else { continue };
            if let Err(error) = crate::container::kill_group(&container.record.cgroup).await {
                tracing::warn!(container = container.record.id, %error, "orphaned container not killed");
            }
            let message = "the pod's shim is gone, and with it the exit code".to_owned();
            let phase = Phase::Exited {
                started_ns,
                finished_ns: now_ns(),
                exit_code: crate::container::UNKNOWN_EXIT_CODE,
                reason: "Unknown".into(),
                message,
            };
            self.reach(&container.record.id, phase);
        }
    }
}

/// How a container ended, in the words that users know.
fn exited(state: &wire::ContainerState) -> Phase {
    let reason = match (state.oom_killed, state.exit_code) {
        (true, _) => "OOMKilled",
        (false, 0) => "Completed",
        (false, _) => "Error",
    };
    let message = match state.log_lines_lost {
        0 => String::new(),
        lost => format!("{lost} log lines could not be written"),
    };
    Phase::Exited {
        started_ns: state.started_ns,
        finished_ns: state.finished_ns,
        exit_code: state.exit_code,
        reason: reason.into(),
        message,
    }
}
