//! A container's beginning, and changes while it runs.

use std::time::Duration;

use cri::v1;
use kernel::cgroup::Cgroup;
use tonic::Status;

use super::{internal, refused, resources};
use crate::embedded::Parts;
use crate::record::{ContainerRecord, Phase, now_ns};
use crate::shim::ClientError;

/// What containerd reports for a container whose program could not be run.
const START_FAILED_EXIT_CODE: i32 = 128;

/// How long mounts and the program's first pages may take. A file server that is away never answers.
const START_TIMEOUT: Duration = Duration::from_secs(120);

impl Parts {
    /// Starts a created container; it runs its program when this answers.
    pub(crate) async fn start_container(&self, id: &str) -> Result<(), Status> {
        let container = self.container(id)?;
        let sandbox = self.sandbox(&container.record.sandbox)?;
        let gate = sandbox.gate.clone();
        let _gate = gate.lock().await;
        let container = self.container(id)?;
        let record = &container.record;
        if record.phase != Phase::Created {
            return Err(Status::failed_precondition(format!("container {id:?} is not in created state")));
        }
        let group = Cgroup::at(&record.cgroup).map_err(|error| internal("use the container's cgroup", error))?;
        match self.begin_container(record, &group).await {
            Ok(()) => Ok(()),
            Err(status) => {
                if let Err(error) = group.remove() {
                    tracing::warn!(container = id, %error, "cgroup of a failed container not removed");
                }
                self.fail_container(record, &status);
                Err(status)
            }
        }
    }

    async fn begin_container(&self, record: &ContainerRecord, group: &Cgroup) -> Result<(), Status> {
        let what = "create the container's cgroup";
        group.create().map_err(|error| internal(what, error))?;
        let limits = resources::limits(&record.resources.0);
        group.limit(&limits).map_err(|error| internal("limit the container", error))?;
        let (spec, rules) = self.container_spec(record, group)?;
        group.allow_devices(&rules).map_err(|error| internal("limit the container's devices", error))?;
        let sandbox = self.sandbox(&record.sandbox)?;
        let shim = sandbox.shim.as_ref().ok_or(ClientError::Gone);
        let shim = shim.map_err(|error| refused("start container", error))?;
        match tokio::time::timeout(START_TIMEOUT, shim.start(spec)).await {
            Ok(started) => {
                self.learn(&started.map_err(|error| refused("start container process", error))?);
                Ok(())
            }
            Err(_) => {
                let killed = shim.signal(&record.id, libc::SIGKILL).await;
                killed.map_err(|error| refused("kill a container that does not start", error))?;
                Err(Status::deadline_exceeded("container process does not start: a volume that does not answer?"))
            }
        }
    }

    /// As containerd has it, a container that could not be started has exited.
    fn fail_container(&self, record: &ContainerRecord, status: &Status) {
        let now = now_ns();
        let phase = Phase::Exited {
            started_ns: now,
            finished_ns: now,
            exit_code: START_FAILED_EXIT_CODE,
            reason: "StartError".into(),
            message: status.message().to_owned(),
        };
        self.reach(&record.id, phase);
    }

    /// Changes limits of a created or running container.
    pub(crate) fn update_resources(&self, request: &v1::UpdateContainerResourcesRequest) -> Result<(), Status> {
        let container = self.container(&request.container_id)?;
        let Some(update) = &request.linux else { return Ok(()) };
        match container.record.phase {
            // The group is made with these limits when it starts.
            Phase::Created => {}
            Phase::Running { .. } => {
                let group = Cgroup::at(&container.record.cgroup);
                let changed = group.and_then(|group| group.limit(&resources::limits(update)));
                changed.map_err(|error| internal("update resources", error))?;
            }
            Phase::Exited { .. } => {
                return Err(Status::failed_precondition("container is in exited state"));
            }
        }
        let changed = self.table.change_container(&container.record.id, |record| {
            resources::merge(&mut record.resources.0, update);
        });
        match changed {
            Some(changed) => {
                self.save_container(&changed.record).map_err(|error| internal("save the container", error))
            }
            None => Ok(()),
        }
    }
}
