//! What the runtime holds of a pod, as the machine reads it.

use crate::context::Context;
use crate::cri_request::labels;
use crate::logs::tail::last_lines;
use crate::pod_machine::{Exit, Observation, ObservedContainer, ObservedRun, ObservedSandbox};
use cri::v1::{
    Container, ContainerState, ContainerStatus, ContainerStatusRequest, ListContainersRequest, ListPodSandboxRequest,
    PodSandbox, PodSandboxState, PodSandboxStatusRequest,
};
use jiff::Timestamp;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use tonic::Code;

/// Bytes and lines of a last message, as upstream.
const MESSAGE_BYTES_MAX: u64 = 4096;
const MESSAGE_LINES_MAX: usize = 80;
const LOG_MESSAGE_BYTES_MAX: usize = 2048;

/// Everything of every pod, by uid: what a node begins with.
pub(crate) async fn everything(context: &Context) -> Result<HashMap<String, Observation>, String> {
    let told = |status: tonic::Status| status.message().to_owned();
    let sandboxes = context.runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await.map_err(told)?.items;
    let listed = context.runtime.list_containers(ListContainersRequest::default()).await.map_err(told)?;
    let mut sandboxes_of: HashMap<String, Vec<PodSandbox>> = HashMap::new();
    for sandbox in sandboxes {
        let Some(uid) = sandbox.labels.get(labels::POD_UID).cloned() else { continue };
        sandboxes_of.entry(uid).or_default().push(sandbox);
    }
    let mut found: HashMap<String, Observation> = HashMap::new();
    for (uid, sandboxes) in sandboxes_of {
        let observation = found.entry(uid).or_default();
        observation.sandbox = latest(context, sandboxes).await?;
    }
    let mut containers = listed.containers;
    containers.sort_by_key(|container| container.created_at);
    for container in containers {
        let Some(uid) = container.labels.get(labels::POD_UID).cloned() else { continue };
        if let Some(observed) = observed(context, container).await? {
            found.entry(uid).or_default().containers.push(observed);
        }
    }
    Ok(found)
}

/// What became of the containers that should be running, and of the sandbox. Asked by id: the cost does not grow with
/// the number of pods on the node.
pub(crate) async fn again(
    context: &Context,
    expected: Vec<String>,
    sandbox: Option<String>,
) -> Result<Observation, String> {
    let mut observation = Observation::default();
    for id in expected {
        match one(context, &id).await? {
            Some(observed) => observation.containers.push(observed),
            None => observation.gone.push(id),
        }
    }
    let Some(id) = sandbox else { return Ok(observation) };
    let request = PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: false };
    match context.runtime.pod_sandbox_status(request).await {
        Ok(answer) => {
            let ready = answer.status.is_some_and(|status| status.state == PodSandboxState::SandboxReady as i32);
            observation.sandbox = Some(ObservedSandbox { id, ready, attempt: 0, ips: Vec::new() });
        }
        Err(status) if status.code() == Code::NotFound => observation.gone.push(id),
        Err(status) => return Err(status.message().to_owned()),
    }
    Ok(observation)
}

/// One container by its id; `None` when the runtime has none.
pub(crate) async fn one(context: &Context, id: &str) -> Result<Option<ObservedContainer>, String> {
    let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    match context.runtime.container_status(request).await {
        Ok(answer) => Ok(answer.status.map(|status| from_status(context, status))),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.message().to_owned()),
    }
}

async fn observed(context: &Context, container: Container) -> Result<Option<ObservedContainer>, String> {
    let observed = one(context, &container.id).await?;
    Ok(observed.map(|observed| ObservedContainer { sandbox_id: container.pod_sandbox_id, ..observed }))
}

async fn latest(context: &Context, sandboxes: Vec<PodSandbox>) -> Result<Option<ObservedSandbox>, String> {
    let Some(sandbox) = sandboxes.into_iter().max_by_key(|sandbox| sandbox.created_at) else { return Ok(None) };
    let ready = sandbox.state == PodSandboxState::SandboxReady as i32;
    let ips = if ready { sandbox_ips(context, &sandbox.id).await? } else { Vec::new() };
    let attempt = sandbox.metadata.map_or(0, |metadata| metadata.attempt);
    Ok(Some(ObservedSandbox { id: sandbox.id, ready, attempt, ips }))
}

/// A sandbox's addresses, the primary one first.
pub(crate) async fn sandbox_ips(context: &Context, id: &str) -> Result<Vec<String>, String> {
    let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
    let answer = context.runtime.pod_sandbox_status(request).await.map_err(|status| status.message().to_owned())?;
    let network = answer.status.and_then(|status| status.network).unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    Ok(std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty()).collect())
}

fn from_status(context: &Context, status: ContainerStatus) -> ObservedContainer {
    let label = |key: &str| status.labels.get(key).cloned().unwrap_or_default();
    let annotation = |key: &str| status.annotations.get(key).cloned().unwrap_or_default();
    let attempt = status.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
    let run = match ContainerState::try_from(status.state) {
        Ok(ContainerState::ContainerRunning) => ObservedRun::Running { started_at: time(status.started_at) },
        Ok(ContainerState::ContainerExited) => ObservedRun::Exited(exit(context, &status)),
        Ok(ContainerState::ContainerCreated) => ObservedRun::Created,
        Ok(ContainerState::ContainerUnknown) | Err(_) => {
            ObservedRun::Exited(Exit::unknown(&status.id, time(status.finished_at)))
        }
    };
    ObservedContainer {
        name: label(labels::CONTAINER_NAME).into(),
        sandbox_id: String::new(),
        restarts: annotation(labels::RESTART_COUNT).parse().unwrap_or(attempt),
        hash: annotation(labels::CONTAINER_HASH),
        image: image_name(&status),
        image_id: if status.image_ref.is_empty() { status.image_id.clone() } else { status.image_ref.clone() },
        run,
        id: status.id,
    }
}

/// As the user wrote it, where the runtime remembers; else what it calls it.
fn image_name(status: &ContainerStatus) -> String {
    let image = status.image.clone().unwrap_or_default();
    if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image }
}

fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn exit(context: &Context, status: &ContainerStatus) -> Exit {
    let message = last_words(context, status);
    Exit {
        id: status.id.clone(),
        code: status.exit_code,
        reason: status.reason.clone(),
        message: if message.is_empty() { status.message.clone() } else { message },
        started_at: (status.started_at > 0).then(|| time(status.started_at)),
        finished_at: if status.finished_at > 0 { time(status.finished_at) } else { Timestamp::now() },
    }
}

/// The termination message file, or the end of the log where the container failed and asked for that.
fn last_words(context: &Context, status: &ContainerStatus) -> String {
    let annotation = |key: &str| status.annotations.get(key).map(String::as_str).unwrap_or_default();
    let path = annotation(labels::TERMINATION_PATH);
    let host = status.mounts.iter().find(|mount| !path.is_empty() && mount.container_path == path);
    let written = host.map(|mount| read_start(Path::new(&mount.host_path))).unwrap_or_default();
    let fall_back = annotation(labels::TERMINATION_POLICY) == "FallbackToLogsOnError" && status.exit_code != 0;
    if !written.is_empty() || !fall_back || status.log_path.is_empty() {
        return written;
    }
    let log = Path::new(&status.log_path);
    // The pod's log directory may have gone with the pod.
    let log = if log.is_absolute() { log.to_owned() } else { context.dirs.logs().join(log) };
    last_lines(&log, MESSAGE_LINES_MAX, LOG_MESSAGE_BYTES_MAX).unwrap_or_default()
}

fn read_start(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::debug!(path = %path.display(), %error, "no termination message");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
