//! A container's end and removal.

use std::path::Path;
use std::time::Duration;

use kernel::cgroup::Cgroup;
use tonic::Status;

use super::{internal, refused};
use crate::embedded::Parts;
use crate::files;
use crate::record::Phase;
use crate::shim::ClientError;
use crate::table::Container;

/// How long killed processes may take to end. Longer means that one waits for a device or a file server.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);

impl Parts {
    /// Asks a container to end, and after `grace_seconds` makes it. Idempotent.
    pub(crate) async fn stop_container(&self, id: &str, grace_seconds: i64) -> Result<(), Status> {
        let Some(container) = self.table.container(id) else { return Ok(()) };
        let Phase::Running { .. } = container.record.phase else { return Ok(()) };
        if let Ok(grace) = u64::try_from(grace_seconds)
            && grace > 0
        {
            self.signal(&container, container.record.plan.stop_signal).await?;
            if tokio::time::timeout(Duration::from_secs(grace), container.wait()).await.is_ok() {
                return Ok(());
            }
        }
        self.kill_container(&container).await
    }

    async fn signal(&self, container: &Container, signal: i32) -> Result<(), Status> {
        let sandbox = self.sandbox(&container.record.sandbox)?;
        let Some(shim) = &sandbox.shim else { return Ok(()) };
        match shim.signal(&container.record.id, signal).await {
            // Its end has been noticed, or will be.
            Err(ClientError::Gone | ClientError::NotFound(_)) => Ok(()),
            result => result.map_err(|error| refused("signal the container", error)),
        }
    }

    async fn kill_container(&self, container: &Container) -> Result<(), Status> {
        self.signal(container, libc::SIGKILL).await?;
        kill_group(&container.record.cgroup).await.map_err(|error| internal("kill the container", error))?;
        // All its processes are dead; what is left is that the shim says so.
        match tokio::time::timeout(KILL_TIMEOUT, container.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Status::deadline_exceeded(format!("container {:?} does not end", container.record.id))),
        }
    }

    /// Removes a container, by force when it still runs. Idempotent.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), Status> {
        let Some(container) = self.table.container(id) else { return Ok(()) };
        let id = container.record.id.as_str();
        self.stop_container(id, 0).await?;
        if let Some(shim) = self.table.sandbox(&container.record.sandbox).and_then(|sandbox| sandbox.shim.clone()) {
            match shim.forget(id).await {
                Err(ClientError::Gone) => {}
                result => result.map_err(|error| refused("forget the container", error))?,
            }
        }
        let (cgroup, directory) = (container.record.cgroup.clone(), self.container_directory(id));
        let removed = tokio::task::spawn_blocking(move || {
            end_group(&cgroup)?;
            files::remove_tree(&directory)
        });
        removed
            .await
            .map_err(|error| internal("remove the container", error))?
            .map_err(|error| internal("remove the container", error))?;
        self.table.drop_container(id);
        self.tell(id, &container.record.sandbox, cri::v1::ContainerEventType::ContainerDeletedEvent);
        Ok(())
    }
}

fn end_group(cgroup: &Path) -> std::io::Result<()> {
    let group = Cgroup::at(cgroup).map_err(std::io::Error::other)?;
    group.end(KILL_TIMEOUT).map_err(std::io::Error::other)
}

/// Kills everything in a container's group and waits until it has ended.
pub(crate) async fn kill_group(cgroup: &Path) -> std::io::Result<()> {
    let cgroup = cgroup.to_owned();
    let killed = tokio::task::spawn_blocking(move || Cgroup::at(&cgroup).and_then(|group| group.kill(KILL_TIMEOUT)));
    killed.await.map_err(std::io::Error::other)?.map_err(std::io::Error::other)
}
