//! CRI's calls, each handed to where it belongs.

use async_trait::async_trait;
use cri::{Events, Runtime, v1};
use tonic::Status;

use crate::container::internal;
use crate::embedded::Embedded;
use crate::image::{Credentials, Image, ImageError};
use crate::record::now_ns;

/// What this runtime is called, also at the front of container ids.
const NAME: &str = "sampan";

#[async_trait]
impl Runtime for Embedded {
    async fn version(&self, _: v1::VersionRequest) -> Result<v1::VersionResponse, Status> {
        Ok(v1::VersionResponse {
            version: "0.1.0".into(),
            runtime_name: NAME.into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            runtime_api_version: "v1".into(),
        })
    }

    async fn status(&self, _: v1::StatusRequest) -> Result<v1::StatusResponse, Status> {
        let ok = |kind: &str| v1::RuntimeCondition { r#type: kind.into(), status: true, ..Default::default() };
        let features = v1::RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: false };
        Ok(v1::StatusResponse {
            status: Some(v1::RuntimeStatus { conditions: vec![ok("RuntimeReady"), ok("NetworkReady")] }),
            runtime_handlers: vec![v1::RuntimeHandler { name: String::new(), features: Some(features) }],
            features: Some(v1::RuntimeFeatures { supplemental_groups_policy: true }),
            ..Default::default()
        })
    }

    async fn run_pod_sandbox(&self, request: v1::RunPodSandboxRequest) -> Result<v1::RunPodSandboxResponse, Status> {
        Ok(v1::RunPodSandboxResponse { pod_sandbox_id: self.0.run_sandbox(request).await? })
    }

    async fn stop_pod_sandbox(&self, request: v1::StopPodSandboxRequest) -> Result<v1::StopPodSandboxResponse, Status> {
        self.0.stop_sandbox(&request.pod_sandbox_id).await?;
        Ok(v1::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(
        &self,
        request: v1::RemovePodSandboxRequest,
    ) -> Result<v1::RemovePodSandboxResponse, Status> {
        self.0.remove_sandbox(&request.pod_sandbox_id).await?;
        Ok(v1::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(
        &self,
        request: v1::PodSandboxStatusRequest,
    ) -> Result<v1::PodSandboxStatusResponse, Status> {
        self.0.sandbox_status(&request)
    }

    async fn list_pod_sandbox(&self, request: v1::ListPodSandboxRequest) -> Result<v1::ListPodSandboxResponse, Status> {
        Ok(v1::ListPodSandboxResponse { items: self.0.list_sandboxes(&request.filter.unwrap_or_default()) })
    }

    async fn create_container(
        &self,
        request: v1::CreateContainerRequest,
    ) -> Result<v1::CreateContainerResponse, Status> {
        Ok(v1::CreateContainerResponse { container_id: self.0.create_container(request).await? })
    }

    async fn start_container(&self, request: v1::StartContainerRequest) -> Result<v1::StartContainerResponse, Status> {
        self.0.start_container(&request.container_id).await?;
        Ok(v1::StartContainerResponse {})
    }

    async fn stop_container(&self, request: v1::StopContainerRequest) -> Result<v1::StopContainerResponse, Status> {
        self.0.stop_container(&request.container_id, request.timeout).await?;
        Ok(v1::StopContainerResponse {})
    }

    async fn remove_container(
        &self,
        request: v1::RemoveContainerRequest,
    ) -> Result<v1::RemoveContainerResponse, Status> {
        self.0.remove_container(&request.container_id).await?;
        Ok(v1::RemoveContainerResponse {})
    }

    async fn list_containers(&self, request: v1::ListContainersRequest) -> Result<v1::ListContainersResponse, Status> {
        Ok(v1::ListContainersResponse { containers: self.0.list_containers(&request.filter.unwrap_or_default()) })
    }

    async fn container_status(
        &self,
        request: v1::ContainerStatusRequest,
    ) -> Result<v1::ContainerStatusResponse, Status> {
        self.0.container_status(&request)
    }

    async fn update_container_resources(
        &self,
        request: v1::UpdateContainerResourcesRequest,
    ) -> Result<v1::UpdateContainerResourcesResponse, Status> {
        self.0.update_resources(&request)?;
        Ok(v1::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: v1::ReopenContainerLogRequest,
    ) -> Result<v1::ReopenContainerLogResponse, Status> {
        self.0.reopen_log(&request.container_id).await?;
        Ok(v1::ReopenContainerLogResponse {})
    }

    async fn exec_sync(&self, request: v1::ExecSyncRequest) -> Result<v1::ExecSyncResponse, Status> {
        self.0.exec_sync(request).await
    }

    async fn exec(&self, request: v1::ExecRequest) -> Result<v1::ExecResponse, Status> {
        Ok(v1::ExecResponse { url: self.0.offer_exec(request)? })
    }

    async fn attach(&self, request: v1::AttachRequest) -> Result<v1::AttachResponse, Status> {
        Ok(v1::AttachResponse { url: self.0.offer_attach(request)? })
    }

    async fn port_forward(&self, request: v1::PortForwardRequest) -> Result<v1::PortForwardResponse, Status> {
        Ok(v1::PortForwardResponse { url: self.0.offer_port_forward(request)? })
    }

    async fn container_stats(&self, request: v1::ContainerStatsRequest) -> Result<v1::ContainerStatsResponse, Status> {
        Ok(v1::ContainerStatsResponse { stats: Some(self.0.container_stats(&request.container_id).await?) })
    }

    async fn list_container_stats(
        &self,
        request: v1::ListContainerStatsRequest,
    ) -> Result<v1::ListContainerStatsResponse, Status> {
        let stats = self.0.list_container_stats(&request.filter.unwrap_or_default()).await?;
        Ok(v1::ListContainerStatsResponse { stats })
    }

    async fn pod_sandbox_stats(
        &self,
        request: v1::PodSandboxStatsRequest,
    ) -> Result<v1::PodSandboxStatsResponse, Status> {
        Ok(v1::PodSandboxStatsResponse { stats: Some(self.0.sandbox_stats(&request.pod_sandbox_id).await?) })
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: v1::ListPodSandboxStatsRequest,
    ) -> Result<v1::ListPodSandboxStatsResponse, Status> {
        let stats = self.0.list_sandbox_stats(&request.filter.unwrap_or_default()).await?;
        Ok(v1::ListPodSandboxStatsResponse { stats })
    }

    /// The pod range is the network's business; there is nothing to keep.
    async fn update_runtime_config(
        &self,
        _: v1::UpdateRuntimeConfigRequest,
    ) -> Result<v1::UpdateRuntimeConfigResponse, Status> {
        Ok(v1::UpdateRuntimeConfigResponse {})
    }

    async fn runtime_config(&self, _: v1::RuntimeConfigRequest) -> Result<v1::RuntimeConfigResponse, Status> {
        let linux = v1::LinuxRuntimeConfiguration { cgroup_driver: v1::CgroupDriver::Cgroupfs as i32 };
        Ok(v1::RuntimeConfigResponse { linux: Some(linux) })
    }

    async fn get_container_events(&self, _: v1::GetEventsRequest) -> Result<Events, Status> {
        Ok(self.0.events.listen())
    }

    async fn list_images(&self, request: v1::ListImagesRequest) -> Result<v1::ListImagesResponse, Status> {
        let wanted = request.filter.and_then(|filter| filter.image).map(|image| image.image).unwrap_or_default();
        let images = match wanted.as_str() {
            "" => self.0.images.list().await.map_err(image_status)?,
            name => self.0.images.resolve(name).await.map_err(image_status)?.into_iter().collect(),
        };
        Ok(v1::ListImagesResponse { images: images.iter().map(|image| image_message(image)).collect() })
    }

    async fn image_status(&self, request: v1::ImageStatusRequest) -> Result<v1::ImageStatusResponse, Status> {
        let name = request.image.map(|image| image.image).unwrap_or_default();
        let image = self.0.images.resolve(&name).await.map_err(image_status)?;
        Ok(v1::ImageStatusResponse { image: image.map(|image| image_message(&image)), info: Default::default() })
    }

    async fn pull_image(&self, request: v1::PullImageRequest) -> Result<v1::PullImageResponse, Status> {
        let name = request.image.map(|image| image.image).unwrap_or_default();
        let credentials = request.auth.map(credentials).transpose()?;
        let image_ref = self.0.images.pull(&name, credentials.as_ref()).await.map_err(image_status)?;
        Ok(v1::PullImageResponse { image_ref })
    }

    async fn remove_image(&self, request: v1::RemoveImageRequest) -> Result<v1::RemoveImageResponse, Status> {
        let name = request.image.map(|image| image.image).unwrap_or_default();
        self.0.images.remove(&name).await.map_err(image_status)?;
        Ok(v1::RemoveImageResponse {})
    }

    async fn image_fs_info(&self, _: v1::ImageFsInfoRequest) -> Result<v1::ImageFsInfoResponse, Status> {
        let usage = self.0.images.usage().await.map_err(image_status)?;
        let filesystem = v1::FilesystemUsage {
            timestamp: now_ns(),
            fs_id: Some(v1::FilesystemIdentifier { mountpoint: usage.path.to_string_lossy().into_owned() }),
            used_bytes: Some(v1::UInt64Value { value: usage.bytes }),
            inodes_used: Some(v1::UInt64Value { value: usage.inodes }),
        };
        Ok(v1::ImageFsInfoResponse {
            image_filesystems: vec![filesystem.clone()],
            container_filesystems: vec![filesystem],
        })
    }
}

fn image_status(error: ImageError) -> Status {
    match error {
        ImageError::NotFound(_) => Status::not_found(error.to_string()),
        ImageError::Denied(_) => Status::permission_denied(error.to_string()),
        ImageError::InvalidName(_) => Status::invalid_argument(error.to_string()),
        ImageError::Failed(_) => Status::unknown(error.to_string()),
    }
}

fn image_message(image: &Image) -> v1::Image {
    let user = image.config.config().as_ref().and_then(|config| config.user().clone()).unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    let number = user.parse::<i64>().ok();
    v1::Image {
        id: image.id.clone(),
        repo_tags: image.tags.clone(),
        repo_digests: image.digests.clone(),
        size: image.size_bytes,
        uid: number.map(|value| v1::Int64Value { value }),
        username: if number.is_none() { user.to_owned() } else { String::new() },
        spec: None,
        pinned: image.pinned,
    }
}

/// `auth` is user and password as a browser would send them.
fn credentials(auth: v1::AuthConfig) -> Result<Credentials, Status> {
    use base64::Engine;
    let (mut username, mut password) = (auth.username, auth.password);
    if username.is_empty() && !auth.auth.is_empty() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(auth.auth.trim());
        let text = String::from_utf8(bytes.map_err(|error| Status::invalid_argument(format!("image auth: {error}")))?)
            .map_err(|error| internal("read the image auth", error))?;
        let (user, secret) = text.split_once(':').ok_or_else(|| Status::invalid_argument("image auth has no colon"))?;
        (username, password) = (user.to_owned(), secret.trim_matches('\0').to_owned());
    }
    Ok(Credentials { username, password, registry_token: auth.registry_token, identity_token: auth.identity_token })
}
