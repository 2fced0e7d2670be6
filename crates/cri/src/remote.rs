//! A runtime behind a unix socket: containerd, CRI-O, or another of ours.

use std::path::Path;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::calls::{Events, Runtime, each_call};
use crate::v1::GetEventsRequest;
use crate::v1::image_service_client::ImageServiceClient;
use crate::v1::runtime_service_client::RuntimeServiceClient;

/// How long a connection to the socket may take; upstream's kubelet waits as long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A gRPC client of a CRI server. Cheap to clone; reconnects by itself.
#[derive(Clone, Debug)]
pub struct Remote {
    runtime: RuntimeServiceClient<Channel>,
    image: ImageServiceClient<Channel>,
}

impl Remote {
    /// A client of the server at `endpoint`: a path, or `unix://` and a path. Connects at the first call.
    pub fn new(endpoint: &str) -> Result<Remote, tonic::transport::Error> {
        let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        let channel = Endpoint::from_shared(format!("unix://{path}"))?.connect_timeout(CONNECT_TIMEOUT).connect_lazy();
        Ok(Remote::over(channel))
    }

    /// Like [`Remote::new`] for a path.
    pub fn at(path: &Path) -> Result<Remote, tonic::transport::Error> {
        Remote::new(&path.to_string_lossy())
    }

    fn over(channel: Channel) -> Remote {
        Remote {
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(crate::MESSAGE_BYTES_MAX)
                .max_encoding_message_size(crate::MESSAGE_BYTES_MAX),
            image: ImageServiceClient::new(channel)
                .max_decoding_message_size(crate::MESSAGE_BYTES_MAX)
                .max_encoding_message_size(crate::MESSAGE_BYTES_MAX),
        }
    }
}

macro_rules! call_remote {
    ($($service:ident { $($(#[$doc:meta])* $call:ident($request:ident) -> $response:ident;)* })*) => {
        #[async_trait::async_trait]
        impl Runtime for Remote {
            $($(
                async fn $call(&self, request: crate::v1::$request) -> Result<crate::v1::$response, Status> {
                    // A clone shares the connection; the generated methods want `&mut self`.
                    Ok(self.$service.clone().$call(Request::new(request)).await?.into_inner())
                }
            )*)*
            async fn get_container_events(&self, request: GetEventsRequest) -> Result<Events, Status> {
                Ok(Box::pin(self.runtime.clone().get_container_events(Request::new(request)).await?.into_inner()))
            }
        }
    };
}
each_call!(call_remote);
