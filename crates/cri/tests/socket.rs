//! A runtime served on a socket answers a remote client as it answers in process.

use std::sync::Arc;

use cri::v1::{
    ContainerEventResponse, ContainerEventType, GetEventsRequest, ImageStatusRequest, ListImagesRequest,
    ListImagesResponse, VersionRequest, VersionResponse,
};
use cri::{Events, Remote, Runtime};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

struct Fake;

#[tonic::async_trait]
impl Runtime for Fake {
    async fn version(&self, request: VersionRequest) -> Result<VersionResponse, Status> {
        Ok(VersionResponse { version: request.version, runtime_name: "fake".into(), ..Default::default() })
    }

    async fn list_images(&self, _: ListImagesRequest) -> Result<ListImagesResponse, Status> {
        Err(Status::resource_exhausted("no room"))
    }

    async fn get_container_events(&self, _: GetEventsRequest) -> Result<Events, Status> {
        let stopped = ContainerEventType::ContainerStoppedEvent as i32;
        let events = ["a", "b"].map(|id| {
            Ok(ContainerEventResponse { container_id: id.into(), container_event_type: stopped, ..Default::default() })
        });
        Ok(Box::pin(tokio_stream::iter(events)))
    }
}

#[tokio::test]
async fn remote_answers_like_the_served_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    std::fs::write(&socket, "left over").unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let path = socket.clone();
    let server = tokio::spawn(async move {
        cri::serve(Arc::new(Fake), &path, async {
            stopped.await.ok();
        })
        .await
    });
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        tokio::task::yield_now().await;
    }
    let remote = Remote::new(&format!("unix://{}", socket.display())).unwrap();
    let version = remote.version(VersionRequest { version: "v1".into() }).await.unwrap();
    assert_eq!((version.version.as_str(), version.runtime_name.as_str()), ("v1", "fake"));
    let error = remote.list_images(ListImagesRequest::default()).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, "no room"));
    let error = remote.image_status(ImageStatusRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented, "what the runtime lacks is said");
    let events: Vec<_> = remote.get_container_events(GetEventsRequest {}).await.unwrap().collect().await;
    let ids: Vec<_> = events.into_iter().map(|event| event.unwrap().container_id).collect();
    assert_eq!(ids, ["a", "b"]);
    drop(remote);
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
