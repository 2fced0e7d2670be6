//! Makes and starts one container.

use super::effects::Snapshot;
use super::observe;
use crate::cri_request::container::{self, Parts};
use crate::cri_request::mounts::{Planned, plan};
use crate::cri_request::{hosts, labels, security};
use crate::dirs::Dirs;
use crate::environment::field_ref::Addresses;
use crate::environment::{self, Environment, Sources};
use crate::images;
use crate::logs;
use crate::objects::Wanted;
use crate::pod;
use crate::pod::containers::find;
use crate::pod_machine::{Event, Exit, Name, Note, ObservedRun};
use crate::volumes::subpath;
use cri::v1::{CreateContainerRequest, Mount, StartContainerRequest};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Why it did not start: upstream's reason, the message, and the instance where one was made.
struct Failure {
    reason: &'static str,
    message: String,
    ended: Option<Exit>,
}

fn config_error(message: impl Into<String>) -> Failure {
    Failure { reason: "CreateContainerConfigError", message: message.into(), ended: None }
}

pub(super) async fn start(snapshot: &Snapshot, name: &Name, attempt: u32, sandbox: &str) -> Event {
    match try_start(snapshot, name, attempt, sandbox).await {
        Ok(event) => event,
        Err(failure) => Event::StartFailed {
            container: name.clone(),
            reason: failure.reason,
            message: failure.message,
            ended: failure.ended,
        },
    }
}

async fn try_start(snapshot: &Snapshot, name: &Name, attempt: u32, sandbox: &str) -> Result<Event, Failure> {
    let context = &snapshot.context;
    let _permit = context.starts.acquire().await.map_err(|error| config_error(error.to_string()))?;
    let (_, spec) = find(&snapshot.pod, name).ok_or_else(|| config_error("the container left the pod's spec"))?;
    let config = container_config(snapshot, &spec, attempt).await?;
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(config),
        sandbox_config: Some(snapshot.sandbox_config(snapshot.sandbox_attempt)),
    };
    let runtime = context.runtime.clone();
    let created = context.making.call(async move { runtime.create_container(request).await }).await;
    let id = created.map(|created| created.container_id).map_err(|status| Failure {
        reason: "CreateContainerError",
        message: status.message().to_owned(),
        ended: None,
    })?;
    snapshot.record(&Note::normal("Created", "Container created").about(name));
    let (runtime, request) = (context.runtime.clone(), StartContainerRequest { container_id: id.clone() });
    let started = context.making.call(async move { runtime.start_container(request).await }).await;
    let found = observe::one(context, &id).await;
    if let Err(status) = started {
        let message = status.message().to_owned();
        let ended = match found.ok().flatten().map(|found| found.run) {
            Some(ObservedRun::Exited(exit)) => exit,
            // Made and never run: it counts as one that failed, so that it is not made again in a hurry.
            _ => Exit {
                id,
                code: 128,
                reason: "StartError".into(),
                message: message.clone(),
                started_at: None,
                finished_at: Timestamp::now(),
            },
        };
        return Err(Failure { reason: "RunContainerError", message, ended: Some(ended) });
    }
    snapshot.record(&Note::normal("Started", "Container started").about(name));
    let (started_at, image, image_id) = match found.ok().flatten() {
        Some(found) => {
            let at = match found.run {
                ObservedRun::Running { started_at } => Some(started_at),
                ObservedRun::Exited(exit) => exit.started_at,
                ObservedRun::Created => None,
            };
            (at.unwrap_or_else(Timestamp::now), found.image, found.image_id)
        }
        None => (Timestamp::now(), String::new(), String::new()),
    };
    Ok(Event::Started { container: name.clone(), id, started_at, image, image_id })
}

async fn container_config(
    snapshot: &Snapshot,
    spec: &Container,
    attempt: u32,
) -> Result<cri::v1::ContainerConfig, Failure> {
    let (context, pod) = (&snapshot.context, &snapshot.pod);
    let written = spec.image.as_deref().unwrap_or_default();
    let name = images::reference::with_tag(written).map_err(config_error)?;
    let image = images::status(context, &name).await.map_err(config_error)?;
    let image = image.ok_or_else(|| config_error(format!("image {written:?} is not on the node any more")))?;
    let image_user = images::user_of(&image);
    security::verify_non_root(pod, spec, &image_user).map_err(config_error)?;
    let environment = environment_of(snapshot, spec).await.map_err(config_error)?;
    let source = |volume: &_| context.dirs.volume_source(pod, volume);
    let planned = plan(pod, spec, &environment, source).map_err(config_error)?;
    let mounts = prepare(snapshot, spec, planned, attempt).await.map_err(config_error)?;
    let target = security::target_name(pod, spec);
    let target = target.and_then(|target| snapshot.running.iter().find(|(name, _)| **name == *target));
    Ok(container::config(Parts {
        pod,
        container: spec,
        attempt,
        image_ref: image.id.clone(),
        image_user: &image_user,
        environment: &environment,
        mounts,
        target: target.map(|(_, id)| id.as_str()),
        memory_capacity: context.machine.capacity.memory_bytes,
        unified: crate::cgroups::are_unified(),
        dirs: &context.dirs,
    }))
}

async fn environment_of(snapshot: &Snapshot, spec: &Container) -> Result<Environment, String> {
    let (context, pod) = (&snapshot.context, &snapshot.pod);
    let namespace = pod::namespace(pod);
    let objects = context.namespaces.get(namespace).states(&Wanted::by_container(spec)).await?;
    let mut services = context.services.list_namespace(namespace);
    if namespace != "default" {
        services.extend(context.services.get("default", "kubernetes"));
    }
    let addresses = Addresses { host_ips: context.facts.host_ips.clone(), pod_ips: snapshot.pod_ips.clone() };
    let node = &context.machine.allocatable;
    environment::build(&Sources { pod, objects: &objects, services: &services, addresses: &addresses, node }, spec)
}

/// Binds subpaths and writes the files that a container gets of the node: hosts, termination message, log directory.
async fn prepare(
    snapshot: &Snapshot,
    spec: &Container,
    planned: Vec<Planned>,
    attempt: u32,
) -> Result<Vec<Mount>, String> {
    let (dirs, pod, spec) = (snapshot.context.dirs.clone(), snapshot.pod.clone(), spec.clone());
    let context = snapshot.context.clone();
    let domain = snapshot.context.dns.domain.clone();
    let (pod_ips, host_network) = (snapshot.pod_ips.clone(), pod::is_host_network(&snapshot.pod));
    let work = tokio::task::spawn_blocking(move || {
        let uid = pod::uid(&pod);
        let mut mounts = Vec::with_capacity(planned.len() + 2);
        for (index, planned) in planned.into_iter().enumerate() {
            mounts.push(bind_subpath(&dirs, uid, &spec.name, index, planned)?);
        }
        let taken = |path: &str, mounts: &[Mount]| {
            mounts.iter().any(|mount| mount.container_path.trim_end_matches('/') == path)
        };
        if !taken("/etc/hosts", &mounts) && (host_network || !pod_ips.is_empty()) {
            let host =
                if host_network { std::fs::read_to_string("/etc/hosts").unwrap_or_default() } else { String::new() };
            let content = hosts::content(&pod, &pod_ips, &domain, &host);
            let file = dirs.hosts_file(uid);
            write_file(&file, content.as_bytes(), 0o644).map_err(|error| format!("writing the hosts file: {error}"))?;
            mounts.push(mount("/etc/hosts", file));
        }
        let path = spec.termination_message_path.as_deref().filter(|path| !path.is_empty());
        let path = path.unwrap_or(labels::TERMINATION_PATH_DEFAULT);
        if !taken(path, &mounts) {
            let file = dirs.container(uid, &spec.name).join(format!("{attempt}.termination"));
            write_file(&file, b"", 0o666).map_err(|error| format!("making the termination message file: {error}"))?;
            mounts.push(mount(path, file));
        }
        let log = dirs.log_file(&pod, &spec.name, attempt);
        let directory = log.parent().unwrap_or(&log);
        std::fs::create_dir_all(directory).map_err(|error| format!("making the log directory: {error}"))?;
        logs::identity::write(&context, &pod).map_err(|error| format!("saying whose the logs are: {error}"))?;
        Ok(mounts)
    });
    work.await.map_err(|error| error.to_string())?
}

fn bind_subpath(dirs: &Dirs, uid: &str, container: &str, index: usize, planned: Planned) -> Result<Mount, String> {
    if planned.sub_path.is_empty() {
        return Ok(planned.mount);
    }
    let target = dirs.subpaths(uid).join(&planned.volume.name).join(container).join(index.to_string());
    let create = !planned.mount.readonly;
    subpath::bind(planned.mount.host_path.as_ref(), &planned.sub_path, create, &target)?;
    Ok(Mount { host_path: target.to_string_lossy().into_owned(), ..planned.mount })
}

fn mount(container_path: &str, host: PathBuf) -> Mount {
    Mount {
        container_path: container_path.to_owned(),
        host_path: host.to_string_lossy().into_owned(),
        ..Mount::default()
    }
}

fn write_file(path: &std::path::Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // Written in place: running containers have the file itself mounted, not its name.
    std::fs::write(path, bytes)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
