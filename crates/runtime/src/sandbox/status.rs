//! What is told of sandboxes.

use std::sync::Arc;

use cri::v1;
use tonic::Status;

use super::namespaces;
use crate::container::{internal, matches_labels};
use crate::embedded::Parts;
use crate::record::{SandboxRecord, SandboxState, now_ns};
use crate::table::Sandbox;

/// A sandbox's status as CRI has it.
pub(crate) fn status(record: &SandboxRecord) -> v1::PodSandboxStatus {
    let config = &record.config.0;
    let mut ips = record.ips.iter().map(|ip| v1::PodIp { ip: ip.to_string() });
    let network = v1::PodSandboxNetworkStatus {
        ip: ips.next().map(|ip| ip.ip).unwrap_or_default(),
        additional_ips: ips.collect(),
    };
    let options = v1::Namespace { options: Some(namespaces(config)) };
    v1::PodSandboxStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: state(record) as i32,
        created_at: record.created_ns,
        network: Some(network),
        linux: Some(v1::LinuxPodSandboxStatus { namespaces: Some(options) }),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        runtime_handler: String::new(),
    }
}

fn state(record: &SandboxRecord) -> v1::PodSandboxState {
    match record.state {
        SandboxState::Ready => v1::PodSandboxState::SandboxReady,
        SandboxState::Creating | SandboxState::NotReady => v1::PodSandboxState::SandboxNotready,
    }
}

impl Parts {
    /// The sandbox with this id.
    pub(crate) fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>, Status> {
        self.table.sandbox(id).ok_or_else(|| Status::not_found(format!("sandbox {id:?} not found")))
    }

    /// Answers PodSandboxStatus.
    pub(crate) fn sandbox_status(
        &self,
        request: &v1::PodSandboxStatusRequest,
    ) -> Result<v1::PodSandboxStatusResponse, Status> {
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        let containers = self.table.containers_of(&sandbox.record.id);
        let mut info = std::collections::HashMap::new();
        if request.verbose {
            let config = serde_json::to_string(&sandbox.record.config.0);
            info.insert("config".into(), config.map_err(|error| internal("print the sandbox", error))?);
        }
        Ok(v1::PodSandboxStatusResponse {
            status: Some(status(&sandbox.record)),
            info,
            containers_statuses: containers.iter().map(|one| crate::container::status(&one.record)).collect(),
            timestamp: now_ns(),
        })
    }

    /// Answers ListPodSandbox. Sandboxes that are still being made are not shown.
    pub(crate) fn list_sandboxes(&self, filter: &v1::PodSandboxFilter) -> Vec<v1::PodSandbox> {
        let wanted = |sandbox: &&Arc<Sandbox>| {
            let record = &sandbox.record;
            record.state != SandboxState::Creating
                && record.id.starts_with(&filter.id)
                && filter.state.is_none_or(|wanted| wanted.state() == state(record))
                && matches_labels(&record.config.0.labels, &filter.label_selector)
        };
        let show = |sandbox: &Arc<Sandbox>| {
            let config = &sandbox.record.config.0;
            v1::PodSandbox {
                id: sandbox.record.id.clone(),
                metadata: config.metadata.clone(),
                state: state(&sandbox.record) as i32,
                created_at: sandbox.record.created_ns,
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
                runtime_handler: String::new(),
            }
        };
        self.table.sandboxes().iter().filter(wanted).map(show).collect()
    }
}
