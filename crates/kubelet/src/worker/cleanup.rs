//! Takes away what a pod leaves on the node.

use super::effects::Snapshot;
use crate::context::Context;
use crate::cri_request::labels;
use crate::dirs::Dirs;
use crate::logs::identity as logs_identity;
use crate::pod;
use crate::pod_machine::Event;
use crate::volumes::tear_down;
use cri::Runtime;
use cri::v1::{
    ContainerFilter, ListContainersRequest, ListPodSandboxRequest, PodSandboxFilter, RemoveContainerRequest,
    RemovePodSandboxRequest, StopPodSandboxRequest,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::io;
use std::path::Path;

/// Pods that are ended at one time when a node is taken away.
const ENDS_MAX: usize = 8;

/// Volumes at once. The cgroup too if nothing is left in it: a runtime may keep a process of its own there for as
/// long as there is a sandbox, so it is ended for good only in `forget`.
pub(super) async fn clean_up(snapshot: &Snapshot) -> Event {
    let (dirs, cgroups, pod) = (snapshot.context.dirs.clone(), snapshot.context.cgroups.clone(), snapshot.pod.clone());
    let work = tokio::task::spawn_blocking(move || {
        let emptied = kernel::cgroup::Cgroup::at(cgroups.of_pod(&pod)).and_then(|group| group.remove());
        if let Err(error) = emptied {
            tracing::debug!(pod = %pod::described(&pod), %error, "the pod's cgroup stays until the pod is forgotten");
        }
        tear_down(&dirs, pod::uid(&pod))
    });
    match work.await {
        Ok(Ok(())) => Event::CleanedUp,
        Ok(Err(error)) => failed(snapshot, &error.to_string(), Event::CleanUpFailed),
        Err(error) => failed(snapshot, &error.to_string(), Event::CleanUpFailed),
    }
}

fn failed(snapshot: &Snapshot, error: &str, event: Event) -> Event {
    tracing::warn!(pod = %pod::described(&snapshot.pod), error, "a pod's traces were not removed; it is tried again");
    event
}

pub(super) async fn forget(snapshot: &Snapshot) -> Event {
    let uid = pod::uid(&snapshot.pod);
    let logs = snapshot.context.dirs.pod_logs(&snapshot.pod);
    // Labels change while a pod lives: those that it had last are kept with its logs.
    if let Err(error) = logs_identity::write(&snapshot.context, &snapshot.pod) {
        return failed(snapshot, &error.to_string(), Event::ForgetFailed);
    }
    match remove_everything(&snapshot.context, uid, Some(&logs)).await {
        Ok(()) => Event::Forgotten,
        Err(error) => failed(snapshot, &error, Event::ForgetFailed),
    }
}

/// Sandboxes, containers, cgroup, directories and logs of a pod, known only by its uid.
pub(crate) async fn remove_everything(context: &Context, uid: &str, logs: Option<&Path>) -> Result<(), String> {
    remove_from_runtime(context.runtime.as_ref(), uid).await.map_err(|status| status.message().to_owned())?;
    let (dirs, cgroups, uid) = (context.dirs.clone(), context.cgroups.clone(), uid.to_owned());
    let (logs, archive) = (logs.map(Path::to_owned), context.archive.clone());
    let work = tokio::task::spawn_blocking(move || -> Result<(), String> {
        cgroups.remove_by_uid(&uid).map_err(|error| error.to_string())?;
        tear_down(&dirs, &uid).map_err(|error| error.to_string())?;
        remove_tree(&dirs.pod(&uid)).map_err(|error| error.to_string())?;
        logs.map_or(Ok(()), |logs| let_go(&logs, archive.as_deref())).map_err(|error| error.to_string())
    });
    work.await.map_err(|error| error.to_string())?
}

/// Ends and removes from a runtime every pod that the node in `data_dir` ran; to be called when its agent has ended.
///
/// # Errors
/// The runtime's words. What was not removed is found again by another call.
pub async fn end_pods(runtime: &dyn Runtime, data_dir: &Path) -> Result<(), tonic::Status> {
    let uids = names_in(&Dirs::new(data_dir).pods());
    stream::iter(uids)
        .map(|uid| async move { remove_from_runtime(runtime, &uid).await })
        .buffer_unordered(ENDS_MAX)
        .try_collect()
        .await
}

/// The names in a directory; none when there is no such directory.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

async fn remove_from_runtime(runtime: &dyn Runtime, uid: &str) -> Result<(), tonic::Status> {
    let of_pod = labels::select_pod(uid);
    let filter = PodSandboxFilter { label_selector: of_pod.clone(), ..PodSandboxFilter::default() };
    let sandboxes = runtime.list_pod_sandbox(ListPodSandboxRequest { filter: Some(filter) }).await?.items;
    for sandbox in &sandboxes {
        runtime.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: sandbox.id.clone() }).await?;
    }
    let filter = ContainerFilter { label_selector: of_pod, ..ContainerFilter::default() };
    let containers = runtime.list_containers(ListContainersRequest { filter: Some(filter) }).await?.containers;
    for container in containers {
        runtime.remove_container(RemoveContainerRequest { container_id: container.id }).await?;
    }
    for sandbox in sandboxes {
        runtime.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: sandbox.id }).await?;
    }
    Ok(())
}

/// Takes a pod's logs away: to the archive, where there is one.
pub(crate) fn let_go(logs: &Path, archive: Option<&::logs::Archive>) -> io::Result<()> {
    match archive {
        Some(archive) => archive.take_over(logs),
        None => remove_tree(logs),
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
