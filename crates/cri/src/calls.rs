//! The table of CRI calls. From each row come the trait's method, the client's and the server's.
//!
//! A row is `service method(Request) -> Response;`. The one call that streams, `get_container_events`, stands apart.

use std::pin::Pin;

use tonic::Status;
use tonic::codegen::tokio_stream::Stream;

use crate::v1::{ContainerEventResponse, GetEventsRequest};

/// Container events in the order they happened; ends when the runtime goes away or the reader lags too far.
pub type Events = Pin<Box<dyn Stream<Item = Result<ContainerEventResponse, Status>> + Send>>;

/// Hands the table to another macro as `callback! { runtime { rows } image { rows } }`.
macro_rules! each_call {
    ($callback:ident) => {
        $callback! {
            runtime {
                /// Name and version of the runtime.
                version(VersionRequest) -> VersionResponse;
                /// Conditions `RuntimeReady` and `NetworkReady`.
                status(StatusRequest) -> StatusResponse;
                /// Makes a pod's namespaces, cgroup and network; the sandbox is ready on return.
                run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse;
                /// Ends every process of the sandbox and gives its addresses back. Idempotent.
                stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse;
                /// Removes a sandbox with its containers, by force when they still run. Idempotent.
                remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse;
                /// One sandbox; `NotFound` when there is none.
                pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse;
                /// Sandboxes that match the filter.
                list_pod_sandbox(ListPodSandboxRequest) -> ListPodSandboxResponse;
                /// Makes a container that does not run yet.
                create_container(CreateContainerRequest) -> CreateContainerResponse;
                /// Starts a created container.
                start_container(StartContainerRequest) -> StartContainerResponse;
                /// Stop signal, then SIGKILL after `timeout` seconds. Idempotent.
                stop_container(StopContainerRequest) -> StopContainerResponse;
                /// Removes a container, by force when it still runs. Idempotent.
                remove_container(RemoveContainerRequest) -> RemoveContainerResponse;
                /// Containers that match the filter.
                list_containers(ListContainersRequest) -> ListContainersResponse;
                /// One container; `NotFound` when there is none.
                container_status(ContainerStatusRequest) -> ContainerStatusResponse;
                /// Changes the limits of a created or running container.
                update_container_resources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
                /// Opens the log file anew after it was renamed.
                reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse;
                /// Runs a command to its end; `DeadlineExceeded` after `timeout` seconds (0: no limit).
                exec_sync(ExecSyncRequest) -> ExecSyncResponse;
                /// The URL that streams a command's input and output.
                exec(ExecRequest) -> ExecResponse;
                /// The URL that streams the running container's input and output.
                attach(AttachRequest) -> AttachResponse;
                /// The URL that forwards connections into the sandbox.
                port_forward(PortForwardRequest) -> PortForwardResponse;
                /// Usage of one container.
                container_stats(ContainerStatsRequest) -> ContainerStatsResponse;
                /// Usage of the containers that match the filter.
                list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse;
                /// Usage of one sandbox.
                pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
                /// Usage of the sandboxes that match the filter.
                list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
                /// Tells the runtime the node's pod range.
                update_runtime_config(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse;
                /// The cgroup driver the runtime wants.
                runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse;
                /// Checkpoints a container to a file.
                checkpoint_container(CheckpointContainerRequest) -> CheckpointContainerResponse;
                /// Metrics the runtime could answer.
                list_metric_descriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
                /// Metrics of every sandbox.
                list_pod_sandbox_metrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
            }
            image {
                /// Images that match the filter.
                list_images(ListImagesRequest) -> ListImagesResponse;
                /// One image; an answer without `image` when there is none.
                image_status(ImageStatusRequest) -> ImageStatusResponse;
                /// Pulls an image and answers its id.
                pull_image(PullImageRequest) -> PullImageResponse;
                /// Removes an image. Idempotent.
                remove_image(RemoveImageRequest) -> RemoveImageResponse;
                /// What images and container layers use on disk.
                image_fs_info(ImageFsInfoRequest) -> ImageFsInfoResponse;
            }
        }
    };
}
pub(crate) use each_call;

macro_rules! declare {
    ($($service:ident { $($(#[$doc:meta])* $call:ident($request:ident) -> $response:ident;)* })*) => {
        /// What a kubelet asks of a container runtime: the calls of CRI v1, without gRPC around them.
        ///
        /// Errors are gRPC statuses with the codes that containerd uses. A call that an implementation lacks
        /// answers `Unimplemented`.
        #[async_trait::async_trait]
        pub trait Runtime: Send + Sync {
            $($(
                $(#[$doc])*
                async fn $call(&self, _request: crate::v1::$request) -> Result<crate::v1::$response, Status> {
                    Err(Status::unimplemented(concat!("this runtime has no ", stringify!($call))))
                }
            )*)*
            /// Every container's creation, start, stop and deletion from now on.
            async fn get_container_events(&self, request: GetEventsRequest) -> Result<Events, Status>;
        }
    };
}
each_call!(declare);
