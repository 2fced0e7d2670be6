//! A sandbox's end.

use std::sync::Arc;

use cri::v1;
use tonic::Status;

use super::{cgroup_parent, on_host_network};
use crate::container::internal;
use crate::embedded::Parts;
use crate::files;
use crate::record::SandboxState;
use crate::table::Sandbox;

impl Parts {
    /// Ends everything that runs in a sandbox, its network and its shim. Idempotent; one that is not there is ended.
    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<(), Status> {
        let Some(sandbox) = self.table.sandbox(id) else { return Ok(()) };
        let _gate = sandbox.gate.lock().await;
        self.end_sandbox(&sandbox.record.id).await
    }

    async fn end_sandbox(&self, id: &str) -> Result<(), Status> {
        for container in self.table.containers_of(id) {
            self.stop_container(&container.record.id, 0).await?;
        }
        // From here on the shim's end is wanted. Read again: it may have ended by itself before.
        let mut was_ready = false;
        let changed = self.table.change_sandbox(id, |sandbox| {
            was_ready = std::mem::replace(&mut sandbox.record.state, SandboxState::NotReady) == SandboxState::Ready;
        });
        let Some(sandbox) = changed else { return Ok(()) };
        self.save_sandbox(&sandbox.record).map_err(|error| internal("save the sandbox", error))?;
        self.disconnect_pod(&sandbox).await?;
        if let Some(shim) = &sandbox.shim {
            shim.shut_down().await.map_err(|error| internal("end the pod's shim", error))?;
        }
        self.table.change_sandbox(id, |sandbox| {
            sandbox.shim = None;
            sandbox.network = None;
        });
        if was_ready {
            self.tell(id, id, v1::ContainerEventType::ContainerStoppedEvent);
        }
        Ok(())
    }

    async fn disconnect_pod(&self, sandbox: &Sandbox) -> Result<(), Status> {
        if on_host_network(&sandbox.record.config.0) {
            return Ok(());
        }
        let pod = super::run::pod_network(sandbox);
        self.network.teardown(&pod).await.map_err(|error| internal("teardown network of the sandbox", error))
    }

    /// Ends a sandbox and removes all that is left of it. Idempotent.
    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<(), Status> {
        let Some(sandbox) = self.table.sandbox(id) else { return self.sweep_sandbox(id) };
        let id = sandbox.record.id.as_str();
        let gate = sandbox.gate.clone();
        let _gate = gate.lock().await;
        if self.table.sandbox(id).is_none() {
            return Ok(());
        }
        self.end_sandbox(id).await?;
        for container in self.table.containers_of(id) {
            self.remove_container(&container.record.id).await?;
        }
        self.remove_pod_cgroup(&sandbox)?;
        self.sweep_sandbox(id)?;
        self.tell(id, id, v1::ContainerEventType::ContainerDeletedEvent);
        self.table.drop_sandbox(id);
        Ok(())
    }

    /// Removes a sandbox's directories.
    pub(crate) fn sweep_sandbox(&self, id: &str) -> Result<(), Status> {
        if id.is_empty() || id.contains(['/', '.']) {
            return Ok(());
        }
        for directory in [self.run_directory(id), self.sandbox_directory(id)] {
            files::remove_tree(&directory).map_err(|error| internal("remove the sandbox's directory", error))?;
        }
        Ok(())
    }

    /// The pod's cgroup is the kubelet's to remove, unless nobody made it but us.
    fn remove_pod_cgroup(&self, sandbox: &Arc<Sandbox>) -> Result<(), Status> {
        let Some(parent) = cgroup_parent(&sandbox.record.config.0).filter(|_| sandbox.record.made_cgroup) else {
            return Ok(());
        };
        let group = kernel::cgroup::Cgroup::at(parent).map_err(|error| internal("use the cgroup parent", error))?;
        match group.remove() {
            // Somebody else has put something into it since.
            Err(error) if error.errno() != Some(libc::EBUSY) => Err(internal("remove the pod's cgroup", error)),
            _ => Ok(()),
        }
    }
}
