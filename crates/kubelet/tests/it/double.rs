//! A runtime in memory: sandboxes and containers are records, and tests decide how containers end.

use cri::v1::*;
use cri::{Events, Runtime};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::Mutex;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) config: ContainerConfig,
    pub(crate) sandbox: String,
    pub(crate) state: i32,
    pub(crate) started_at: i64,
    pub(crate) finished_at: i64,
    pub(crate) exit_code: i32,
    pub(crate) reason: String,
}

#[derive(Default)]
pub(crate) struct Held {
    pub(crate) sandboxes: BTreeMap<String, (PodSandboxConfig, bool)>,
    pub(crate) containers: BTreeMap<String, Record>,
    pub(crate) images: BTreeMap<String, Image>,
    /// Names of images that the registry has.
    pub(crate) pullable: Vec<String>,
    /// What `stop_container` was told, in order.
    pub(crate) stops: Vec<(String, i64)>,
    pub(crate) log_directories: HashMap<String, String>,
    /// Sandboxes that were asked for while they had to wait for their turn.
    pub(crate) asked: usize,
    next: u32,
}

/// Clones are the same runtime.
#[derive(Clone)]
pub(crate) struct Double {
    pub(crate) held: Arc<Mutex<Held>>,
    events: broadcast::Sender<ContainerEventResponse>,
    changed: Arc<watch::Sender<u64>>,
    /// Where `exec` and its like say that they stream.
    pub(crate) stream_url: Arc<Mutex<String>>,
    /// Makes sandboxes one after the other, each when it has a permit, if there is such a limit.
    pub(crate) turns: Arc<Mutex<Option<Arc<Semaphore>>>>,
}

const READY: i32 = PodSandboxState::SandboxReady as i32;
const NOT_READY: i32 = PodSandboxState::SandboxNotready as i32;
const CREATED: i32 = ContainerState::ContainerCreated as i32;
const RUNNING: i32 = ContainerState::ContainerRunning as i32;
const EXITED: i32 = ContainerState::ContainerExited as i32;

fn now() -> i64 {
    jiff::Timestamp::now().as_nanosecond() as i64
}

impl Double {
    pub(crate) fn new() -> Double {
        let held = Held { pullable: vec!["busybox:1".into()], ..Held::default() };
        Double {
            held: Arc::new(Mutex::new(held)),
            events: broadcast::channel(256).0,
            changed: Arc::new(watch::channel(0).0),
            stream_url: Arc::default(),
            turns: Arc::default(),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let result = change(&mut self.held.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    /// Ends a running container as if its process had.
    pub(crate) fn exit(&self, name: &str, code: i32, reason: &str) {
        let ended = self.change(|held| {
            let found = held.containers.iter_mut().find(|(_, record)| record.state == RUNNING && named(record) == name);
            let (id, record) = found.expect("the container runs");
            end(record, code, reason);
            (id.clone(), record.config.labels["io.kubernetes.pod.uid"].clone())
        });
        self.tell(&ended.0, &ended.1);
    }

    fn tell(&self, id: &str, uid: &str) {
        let metadata = PodSandboxMetadata { uid: uid.into(), ..Default::default() };
        let event = ContainerEventResponse {
            container_id: id.into(),
            container_event_type: ContainerEventType::ContainerStoppedEvent as i32,
            pod_sandbox_status: Some(PodSandboxStatus { metadata: Some(metadata), ..Default::default() }),
            ..Default::default()
        };
        // Nobody listens while the kubelet is down.
        self.events.send(event).ok();
    }

    /// Waits until what is held satisfies `done`.
    pub(crate) async fn until(&self, what: &str, mut done: impl FnMut(&Held) -> bool) {
        let mut changes = self.changed.subscribe();
        let waiting = async {
            while !done(&self.held.lock().unwrap()) {
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
        assert!(waited.is_ok(), "waited too long for: {what}");
    }
}

pub(crate) fn named(record: &Record) -> &str {
    &record.config.labels["io.kubernetes.container.name"]
}

fn end(record: &mut Record, code: i32, reason: &str) {
    record.state = EXITED;
    record.exit_code = code;
    record.reason = reason.into();
    record.finished_at = now();
}

fn selected(labels: &HashMap<String, String>, selector: &HashMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn status(id: &str, record: &Record) -> ContainerStatus {
    ContainerStatus {
        id: id.into(),
        metadata: record.config.metadata.clone(),
        state: record.state,
        created_at: record.started_at,
        started_at: record.started_at,
        finished_at: record.finished_at,
        exit_code: record.exit_code,
        reason: record.reason.clone(),
        image: record.config.image.clone(),
        image_ref: "sha256:image".into(),
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        mounts: record.config.mounts.clone(),
        ..Default::default()
    }
}

#[async_trait::async_trait]
impl Runtime for Double {
    async fn version(&self, _: VersionRequest) -> Result<VersionResponse, Status> {
        Ok(VersionResponse { runtime_name: "double".into(), runtime_version: "1".into(), ..Default::default() })
    }

    async fn status(&self, _: StatusRequest) -> Result<StatusResponse, Status> {
        Ok(StatusResponse::default())
    }

    async fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Result<RunPodSandboxResponse, Status> {
        let config = request.config.unwrap_or_default();
        let turns = self.turns.lock().unwrap().clone();
        if let Some(turns) = turns {
            self.change(|held| held.asked += 1);
            turns.acquire().await.unwrap().forget();
        }
        let id = self.change(|held| {
            held.next += 1;
            let id = format!("s{}", held.next);
            held.log_directories.insert(id.clone(), config.log_directory.clone());
            held.sandboxes.insert(id.clone(), (config, true));
            id
        });
        Ok(RunPodSandboxResponse { pod_sandbox_id: id })
    }

    async fn stop_pod_sandbox(&self, request: StopPodSandboxRequest) -> Result<StopPodSandboxResponse, Status> {
        self.change(|held| {
            if let Some(sandbox) = held.sandboxes.get_mut(&request.pod_sandbox_id) {
                sandbox.1 = false;
            }
            let of_sandbox = held.containers.values_mut().filter(|record| record.sandbox == request.pod_sandbox_id);
            of_sandbox.filter(|record| record.state == RUNNING).for_each(|record| end(record, 137, ""));
        });
        Ok(StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(&self, request: RemovePodSandboxRequest) -> Result<RemovePodSandboxResponse, Status> {
        self.change(|held| {
            held.sandboxes.remove(&request.pod_sandbox_id);
            held.containers.retain(|_, record| record.sandbox != request.pod_sandbox_id);
        });
        Ok(RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(&self, request: PodSandboxStatusRequest) -> Result<PodSandboxStatusResponse, Status> {
        let held = self.held.lock().unwrap();
        let (config, ready) =
            held.sandboxes.get(&request.pod_sandbox_id).ok_or_else(|| Status::not_found("sandbox"))?;
        let network = PodSandboxNetworkStatus { ip: "10.0.0.7".into(), ..Default::default() };
        let status = PodSandboxStatus {
            id: request.pod_sandbox_id,
            metadata: config.metadata.clone(),
            state: if *ready { READY } else { NOT_READY },
            network: Some(network),
            ..Default::default()
        };
        Ok(PodSandboxStatusResponse { status: Some(status), ..Default::default() })
    }

    async fn list_pod_sandbox(&self, request: ListPodSandboxRequest) -> Result<ListPodSandboxResponse, Status> {
        let selector = request.filter.unwrap_or_default().label_selector;
        let held = self.held.lock().unwrap();
        let chosen = held.sandboxes.iter().filter(|(_, (config, _))| selected(&config.labels, &selector));
        let items = chosen.map(|(id, (config, ready))| PodSandbox {
            id: id.clone(),
            metadata: config.metadata.clone(),
            state: if *ready { READY } else { NOT_READY },
            labels: config.labels.clone(),
            ..Default::default()
        });
        Ok(ListPodSandboxResponse { items: items.collect() })
    }

    async fn create_container(&self, request: CreateContainerRequest) -> Result<CreateContainerResponse, Status> {
        let config = request.config.unwrap_or_default();
        let id = self.change(|held| {
            held.next += 1;
            let id = format!("c{}", held.next);
            let record = Record { config, sandbox: request.pod_sandbox_id, state: CREATED, ..Record::default() };
            held.containers.insert(id.clone(), record);
            id
        });
        Ok(CreateContainerResponse { container_id: id })
    }

    async fn start_container(&self, request: StartContainerRequest) -> Result<StartContainerResponse, Status> {
        self.change(|held| {
            let record =
                held.containers.get_mut(&request.container_id).ok_or_else(|| Status::not_found("container"))?;
            record.state = RUNNING;
            record.started_at = now();
            Ok(StartContainerResponse {})
        })
    }

    async fn stop_container(&self, request: StopContainerRequest) -> Result<StopContainerResponse, Status> {
        self.change(|held| {
            held.stops.push((request.container_id.clone(), request.timeout));
            if let Some(record) =
                held.containers.get_mut(&request.container_id).filter(|record| record.state == RUNNING)
            {
                end(record, 143, "");
            }
        });
        Ok(StopContainerResponse {})
    }

    async fn remove_container(&self, request: RemoveContainerRequest) -> Result<RemoveContainerResponse, Status> {
        self.change(|held| held.containers.remove(&request.container_id));
        Ok(RemoveContainerResponse {})
    }

    async fn list_containers(&self, request: ListContainersRequest) -> Result<ListContainersResponse, Status> {
        let selector = request.filter.unwrap_or_default().label_selector;
        let held = self.held.lock().unwrap();
        let chosen = held.containers.iter().filter(|(_, record)| selected(&record.config.labels, &selector));
        let containers = chosen.map(|(id, record)| Container {
            id: id.clone(),
            pod_sandbox_id: record.sandbox.clone(),
            state: record.state,
            created_at: record.started_at,
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            ..Default::default()
        });
        Ok(ListContainersResponse { containers: containers.collect() })
    }

    async fn container_status(&self, request: ContainerStatusRequest) -> Result<ContainerStatusResponse, Status> {
        let held = self.held.lock().unwrap();
        let record = held.containers.get(&request.container_id).ok_or_else(|| Status::not_found("container"))?;
        Ok(ContainerStatusResponse { status: Some(status(&request.container_id, record)), ..Default::default() })
    }

    async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse, Status> {
        let ok = request.cmd.first().is_some_and(|command| command == "true");
        Ok(ExecSyncResponse { exit_code: i32::from(!ok), stdout: b"said no".to_vec(), ..Default::default() })
    }

    async fn exec(&self, _: ExecRequest) -> Result<ExecResponse, Status> {
        Ok(ExecResponse { url: self.stream_url.lock().unwrap().clone() })
    }

    async fn port_forward(&self, _: PortForwardRequest) -> Result<PortForwardResponse, Status> {
        Ok(PortForwardResponse { url: self.stream_url.lock().unwrap().clone() })
    }

    async fn list_images(&self, _: ListImagesRequest) -> Result<ListImagesResponse, Status> {
        Ok(ListImagesResponse { images: self.held.lock().unwrap().images.values().cloned().collect() })
    }

    async fn image_status(&self, request: ImageStatusRequest) -> Result<ImageStatusResponse, Status> {
        let name = request.image.unwrap_or_default().image;
        Ok(ImageStatusResponse { image: self.held.lock().unwrap().images.get(&name).cloned(), ..Default::default() })
    }

    async fn pull_image(&self, request: PullImageRequest) -> Result<PullImageResponse, Status> {
        let name = request.image.unwrap_or_default().image;
        self.change(|held| {
            if !held.pullable.contains(&name) {
                return Err(Status::not_found(format!("{name}: not found")));
            }
            let image =
                Image { id: "sha256:image".into(), repo_tags: vec![name.clone()], size: 5, ..Default::default() };
            held.images.insert(name, image);
            Ok(PullImageResponse { image_ref: "sha256:image".into() })
        })
    }

    async fn get_container_events(&self, _: GetEventsRequest) -> Result<Events, Status> {
        let events = BroadcastStream::new(self.events.subscribe());
        Ok(Box::pin(events.map(|event| event.map_err(|lag| Status::aborted(lag.to_string())))))
    }
}
