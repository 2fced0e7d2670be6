//! Offers a [`Runtime`] as the CRI's two gRPC services on a unix socket.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::calls::{Events, Runtime, each_call};
use crate::v1::GetEventsRequest;
use crate::v1::image_service_server::{ImageService, ImageServiceServer};
use crate::v1::runtime_service_server::{RuntimeService, RuntimeServiceServer};

/// Serves `runtime` on a socket at `path` until `stop` resolves.
///
/// A socket file left over from an earlier process is replaced; only root may connect, as whoever reaches
/// this socket is root on the node.
pub async fn serve(runtime: Arc<dyn Runtime>, path: &Path, stop: impl Future<Output = ()>) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Server::builder()
        .add_service(
            RuntimeServiceServer::new(Served(runtime.clone()))
                .max_decoding_message_size(crate::MESSAGE_BYTES_MAX)
                .max_encoding_message_size(crate::MESSAGE_BYTES_MAX),
        )
        .add_service(
            ImageServiceServer::new(Served(runtime))
                .max_decoding_message_size(crate::MESSAGE_BYTES_MAX)
                .max_encoding_message_size(crate::MESSAGE_BYTES_MAX),
        )
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop)
        .await
        .map_err(io::Error::other)
}

struct Served(Arc<dyn Runtime>);

macro_rules! serve_calls {
    (runtime { $($(#[$rdoc:meta])* $rcall:ident($rrequest:ident) -> $rresponse:ident;)* }
     image { $($(#[$idoc:meta])* $icall:ident($irequest:ident) -> $iresponse:ident;)* }) => {
        #[tonic::async_trait]
        impl RuntimeService for Served {
            $(
                async fn $rcall(
                    &self,
                    request: Request<crate::v1::$rrequest>,
                ) -> Result<Response<crate::v1::$rresponse>, Status> {
                    self.0.$rcall(request.into_inner()).await.map(Response::new)
                }
            )*
            type GetContainerEventsStream = Events;
            async fn get_container_events(
                &self,
                request: Request<GetEventsRequest>,
            ) -> Result<Response<Events>, Status> {
                self.0.get_container_events(request.into_inner()).await.map(Response::new)
            }
        }
        #[tonic::async_trait]
        impl ImageService for Served {
            $(
                async fn $icall(
                    &self,
                    request: Request<crate::v1::$irequest>,
                ) -> Result<Response<crate::v1::$iresponse>, Status> {
                    self.0.$icall(request.into_inner()).await.map(Response::new)
                }
            )*
        }
    };
}
each_call!(serve_calls);
