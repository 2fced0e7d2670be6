//! A container that does not run yet: decided, recorded, its directories made.

use std::path::Path;
use std::sync::Arc;

use cri::v1;
use tonic::Status;

use super::{internal, mounts, plan};
use crate::embedded::Parts;
use crate::image::Image;
use crate::record::{ContainerRecord, Message, Phase, SandboxState, new_id, now_ns};
use crate::sandbox::cgroup_parent;
use crate::table::{Container, Sandbox};

impl Parts {
    /// Makes a container, and answers its id.
    pub(crate) async fn create_container(&self, request: v1::CreateContainerRequest) -> Result<String, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("container config is missing"))?;
        if config.metadata.is_none() {
            return Err(Status::invalid_argument("container config must include metadata"));
        }
        let image = self.image_of(&config).await?;
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        let gate = sandbox.gate.clone();
        let _gate = gate.lock().await;
        // Again: it may have been stopped while we waited.
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        if sandbox.record.state != SandboxState::Ready {
            return Err(Status::failed_precondition(format!("sandbox {:?} is not ready", sandbox.record.id)));
        }
        let record = self.container_record(config, &sandbox, &image)?;
        // Everything that can be refused is refused now, not at the start.
        let readonly = read_only_root(&record.config.0);
        mounts::mounts(&record.config.0, &self.sandbox_directory(&sandbox.record.id), readonly)?;
        super::devices::devices(&record.config.0, record.plan.privileged)?;
        self.filters
            .programs(&record.plan.seccomp, record.plan.capabilities)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let id = record.id.clone();
        let directory = self.container_directory(&id);
        if let Err(error) = make_directories(&directory, &record.log_path).and_then(|()| self.save_container(&record)) {
            crate::files::remove_tree(&directory).map_err(|error| internal("remove the container", error))?;
            return Err(internal("make the container's directory", error));
        }
        let container = self.table.put_container(Container::new(record));
        // The image may have been removed since it was resolved; from now on its layers are in use.
        if let Some(gone) = container.record.layers.iter().find(|layer| !layer.exists()) {
            let message = format!("layer {} of the image is gone", gone.display());
            self.remove_container(&id).await?;
            return Err(Status::not_found(message));
        }
        self.tell(&id, &sandbox.record.id, v1::ContainerEventType::ContainerCreatedEvent);
        Ok(id)
    }

    async fn image_of(&self, config: &v1::ContainerConfig) -> Result<Arc<Image>, Status> {
        let name = config.image.as_ref().map(|image| image.image.as_str()).unwrap_or_default();
        let found = self.images.resolve(name).await.map_err(|error| internal("resolve the image", error))?;
        found.ok_or_else(|| Status::not_found(format!("failed to resolve image {name:?}: not found")))
    }

    fn container_record(
        &self,
        config: v1::ContainerConfig,
        sandbox: &Sandbox,
        image: &Image,
    ) -> Result<ContainerRecord, Status> {
        let id = new_id();
        let pod = &sandbox.record.config.0;
        let parent = match cgroup_parent(pod) {
            Some(parent) => Path::new(parent).to_owned(),
            None => self.shims.path().with_file_name("pods").join(&sandbox.record.id),
        };
        let log_path = match (pod.log_directory.is_empty(), config.log_path.is_empty()) {
            (false, false) => Path::new(&pod.log_directory).join(&config.log_path).to_string_lossy().into_owned(),
            _ => String::new(),
        };
        let plan = plan::plan(&config, &image.config, &pod.hostname, self.bounding)?;
        let resources = config.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
        let mut digests = image.digests.iter();
        Ok(ContainerRecord {
            cgroup: parent.join(&id),
            id,
            sandbox: sandbox.record.id.clone(),
            image_id: image.id.clone(),
            image_ref: digests.next().unwrap_or(&image.id).clone(),
            layers: image.layers.clone(),
            plan,
            log_path,
            resources: Message(resources),
            created_ns: now_ns(),
            phase: Phase::Created,
            identity: None,
            config: Message(config),
        })
    }
}

/// Whether the container may not write to its root.
pub(super) fn read_only_root(config: &v1::ContainerConfig) -> bool {
    let context = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    context.is_some_and(|context| context.readonly_rootfs)
}

/// The places of the writable layer, of overlayfs's own files, and to mount on.
fn make_directories(directory: &Path, log_path: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // The kubelet makes its own; others, such as crictl, expect it to be made.
    if let Some(logs) = Path::new(log_path).parent() {
        std::fs::create_dir_all(logs)?;
    }
    for name in ["upper", "work", "rootfs"] {
        std::fs::create_dir_all(directory.join(name))?;
    }
    // It is the container's root directory, which everybody in it passes.
    std::fs::set_permissions(directory.join("upper"), std::fs::Permissions::from_mode(0o755))
}
