//! What is told of containers.

use std::collections::HashMap;
use std::sync::Arc;

use cri::v1;
use tonic::Status;

use super::internal;
use crate::embedded::Parts;
use crate::record::{ContainerRecord, Phase};
use crate::table::Container;

/// A container's status as CRI has it.
pub(crate) fn status(record: &ContainerRecord) -> v1::ContainerStatus {
    let config = &record.config.0;
    let mut status = v1::ContainerStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: state(record) as i32,
        created_at: record.created_ns,
        image: config.image.clone(),
        image_ref: record.image_ref.clone(),
        image_id: record.image_id.clone(),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        mounts: config.mounts.clone(),
        log_path: record.log_path.clone(),
        resources: Some(v1::ContainerResources { linux: Some(record.resources.0.clone()), windows: None }),
        ..Default::default()
    };
    status.user = record.identity.as_ref().map(|identity| v1::ContainerUser {
        linux: Some(v1::LinuxContainerUser {
            uid: identity.uid.into(),
            gid: identity.gid.into(),
            supplemental_groups: identity.groups.iter().map(|group| (*group).into()).collect(),
        }),
    });
    match &record.phase {
        Phase::Created => {}
        Phase::Running { started_ns, .. } => status.started_at = *started_ns,
        Phase::Exited { started_ns, finished_ns, exit_code, reason, message } => {
            status.started_at = *started_ns;
            status.finished_at = *finished_ns;
            status.exit_code = *exit_code;
            status.reason.clone_from(reason);
            status.message.clone_from(message);
        }
    }
    status
}

fn state(record: &ContainerRecord) -> v1::ContainerState {
    match record.phase {
        Phase::Created => v1::ContainerState::ContainerCreated,
        Phase::Running { .. } => v1::ContainerState::ContainerRunning,
        Phase::Exited { .. } => v1::ContainerState::ContainerExited,
    }
}

/// Whether something has all labels that are wanted.
pub(crate) fn matches_labels(labels: &HashMap<String, String>, wanted: &HashMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

impl Parts {
    /// The container with this id.
    pub(crate) fn container(&self, id: &str) -> Result<Arc<Container>, Status> {
        self.table.container(id).ok_or_else(|| Status::not_found(format!("container {id:?} not found")))
    }

    /// The container with this id, if it runs.
    pub(crate) fn running_container(&self, id: &str) -> Result<Arc<Container>, Status> {
        let container = self.container(id)?;
        match container.record.phase {
            Phase::Running { .. } => Ok(container),
            _ => Err(Status::failed_precondition(format!("container {id:?} is not running"))),
        }
    }

    /// Answers ContainerStatus.
    pub(crate) fn container_status(
        &self,
        request: &v1::ContainerStatusRequest,
    ) -> Result<v1::ContainerStatusResponse, Status> {
        let container = self.container(&request.container_id)?;
        let mut info = HashMap::new();
        if request.verbose {
            let plan = serde_json::to_string(&container.record.plan);
            info.insert("plan".into(), plan.map_err(|error| internal("print the container", error))?);
            if let Phase::Running { pid, .. } = container.record.phase {
                info.insert("pid".into(), pid.to_string());
            }
        }
        Ok(v1::ContainerStatusResponse { status: Some(status(&container.record)), info })
    }

    /// Answers ListContainers.
    pub(crate) fn list_containers(&self, filter: &v1::ContainerFilter) -> Vec<v1::Container> {
        let wanted = |container: &&Arc<Container>| {
            let record = &container.record;
            record.id.starts_with(&filter.id)
                && record.sandbox.starts_with(&filter.pod_sandbox_id)
                && filter.state.is_none_or(|wanted| wanted.state() == state(record))
                && matches_labels(&record.config.0.labels, &filter.label_selector)
        };
        let show = |container: &Arc<Container>| {
            let record = &container.record;
            v1::Container {
                id: record.id.clone(),
                pod_sandbox_id: record.sandbox.clone(),
                metadata: record.config.0.metadata.clone(),
                image: record.config.0.image.clone(),
                image_ref: record.image_ref.clone(),
                image_id: record.image_id.clone(),
                state: state(record) as i32,
                created_at: record.created_ns,
                labels: record.config.0.labels.clone(),
                annotations: record.config.0.annotations.clone(),
            }
        };
        self.table.containers().iter().filter(wanted).map(show).collect()
    }

    /// Opens a container's log anew after its file was renamed.
    pub(crate) async fn reopen_log(&self, id: &str) -> Result<(), Status> {
        let container = self.running_container(id)?;
        let sandbox = self.sandbox(&container.record.sandbox)?;
        let shim = sandbox.shim.as_ref().ok_or(crate::shim::ClientError::Gone);
        let shim = shim.map_err(|error| super::refused("reopen the log", error))?;
        shim.reopen_log(&container.record.id).await.map_err(|error| super::refused("reopen the log", error))
    }
}
