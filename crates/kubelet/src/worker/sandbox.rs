//! Makes and stops a pod's sandbox.

use super::Outcome;
use super::effects::Snapshot;
use super::observe::{again, sandbox_ips};
use crate::cri_request;
use crate::pod;
use crate::pod_machine::Event;
use cri::v1::{PodSandboxConfig, RemovePodSandboxRequest, RunPodSandboxRequest, StopPodSandboxRequest};
use k8s_openapi::api::node::v1::RuntimeClass;
use std::net::IpAddr;

impl Snapshot {
    pub(super) fn sandbox_config(&self, attempt: u32) -> PodSandboxConfig {
        let context = &self.context;
        let cgroup = context.cgroups.of_pod(&self.pod);
        cri_request::sandbox::config(&self.pod, attempt, &context.dirs, &cgroup, &context.dns)
    }
}

pub(super) async fn create(snapshot: &Snapshot, attempt: u32) -> Event {
    match try_create(snapshot, attempt).await {
        Ok((id, ips)) => Event::SandboxCreated { id, ips },
        Err(message) => Event::SandboxFailed(message),
    }
}

async fn try_create(snapshot: &Snapshot, attempt: u32) -> Result<(String, Vec<String>), String> {
    let context = &snapshot.context;
    let (cgroups, dirs, pod) = (context.cgroups.clone(), context.dirs.clone(), snapshot.pod.clone());
    let prepared = tokio::task::spawn_blocking(move || {
        cgroups.make(&pod).map_err(|error| format!("cgroup: {error}"))?;
        std::fs::create_dir_all(dirs.pod_logs(&pod)).map_err(|error| format!("log directory: {error}"))
    });
    prepared.await.map_err(|error| error.to_string())??;
    let request = RunPodSandboxRequest {
        config: Some(snapshot.sandbox_config(attempt)),
        runtime_handler: runtime_handler(snapshot).await?,
    };
    let runtime = context.runtime.clone();
    let made = context.making.call(async move { runtime.run_pod_sandbox(request).await }).await;
    let answer = made.map_err(|status| status.message().to_owned())?;
    if pod::is_host_network(&snapshot.pod) {
        return Ok((answer.pod_sandbox_id, context.facts.host_ips.clone()));
    }
    match isolated(snapshot, &answer.pod_sandbox_id).await {
        Ok(ips) => Ok((answer.pod_sandbox_id, ips)),
        Err(error) => Err(given_up(snapshot, answer.pod_sandbox_id, error).await),
    }
}

/// A sandbox's addresses, once nobody can reach them who may not.
async fn isolated(snapshot: &Snapshot, id: &str) -> Result<Vec<String>, String> {
    let ips = sandbox_ips(&snapshot.context, id).await?;
    if let Some(isolation) = &snapshot.context.isolation {
        let addresses: Vec<IpAddr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        isolation.isolate(&snapshot.pod, &addresses).await?;
    }
    Ok(ips)
}

/// A sandbox of which nothing is known would hold the name of the next.
async fn given_up(snapshot: &Snapshot, pod_sandbox_id: String, error: String) -> String {
    let runtime = &snapshot.context.runtime;
    let stopped = runtime.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() }).await;
    let removed = runtime.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id }).await;
    match stopped.map(drop).and(removed.map(drop)) {
        Ok(()) => error,
        Err(status) => format!("{error}; and it was not removed: {}", status.message()),
    }
}

async fn runtime_handler(snapshot: &Snapshot) -> Result<String, String> {
    let name = pod::spec(&snapshot.pod).runtime_class_name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Ok(String::new());
    }
    match snapshot.context.client.find::<RuntimeClass>("", name).await {
        Ok(Some(class)) => Ok(class.handler),
        Ok(None) => Err(format!("failed to get RuntimeClass {name:?}: RuntimeClass.node.k8s.io {name:?} not found")),
        Err(status) => Err(format!("failed to get RuntimeClass {name:?}: {status}")),
    }
}

/// Ends what runs in it, and reports how it ended.
pub(super) async fn stop(snapshot: &Snapshot, id: &str) -> Outcome {
    let request = StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
    match snapshot.context.runtime.stop_pod_sandbox(request).await {
        Err(status) if status.code() != tonic::Code::NotFound => not_stopped(snapshot, status.message()),
        _ => {
            let expected = snapshot.running.iter().map(|(_, id)| id.clone()).collect();
            let mut events = Vec::new();
            match again(&snapshot.context, expected, None).await {
                Ok(observed) => events.push(Event::Observed(observed)),
                Err(error) => return not_stopped(snapshot, &error),
            }
            events.push(Event::SandboxStopped);
            Outcome { events, volumes: None }
        }
    }
}

fn not_stopped(snapshot: &Snapshot, error: &str) -> Outcome {
    tracing::warn!(pod = %pod::described(&snapshot.pod), error, "a sandbox was not stopped; it is tried again");
    Event::SandboxStopFailed.into()
}
