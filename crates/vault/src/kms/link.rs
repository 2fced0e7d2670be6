//! Calls to a key management service on a unix socket.
//!
//! Invariant: a call ends within the configured time, answered or not.

use super::proto::{
    DECRYPT, DecryptRequest, DecryptResponse, ENCRYPT, EncryptRequest, EncryptResponse, STATUS, StatusRequest,
    StatusResponse,
};
use crate::envelope::Sealed;
use prost::Message;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

/// Why a call has no result.
pub(super) enum Failure {
    /// The service did not answer: it may later.
    Silent(String),
    Refused(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::Silent(why) | Failure::Refused(why)) = self;
        f.write_str(why)
    }
}

fn failure(status: &Status) -> Failure {
    let why = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => Failure::Silent(why),
        _ => Failure::Refused(why),
    }
}

pub(super) struct Link {
    client: Grpc<Channel>,
    timeout: Duration,
}

impl Link {
    /// Connects at the first call, and again whenever the service is back.
    pub(super) fn new(socket: &str, timeout: Duration) -> Result<Link, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("unix://{socket}"))?.connect_timeout(timeout);
        Ok(Link { client: Grpc::new(endpoint.connect_lazy()), timeout })
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut client = self.client.clone();
        let asked = async {
            client.ready().await.map_err(|error| Failure::Silent(format!("the service is not there: {error}")))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = client.unary(Request::new(request), PathAndQuery::from_static(path), codec).await;
            answer.map(Response::into_inner).map_err(|status| failure(&status))
        };
        let late = || Failure::Silent(format!("no answer within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// The id of the key that wraps today, of a service that is well.
    pub(super) async fn status(&self) -> Result<String, String> {
        let answer: StatusResponse = self.call(STATUS, StatusRequest {}).await.map_err(|why| why.to_string())?;
        if answer.healthz != "ok" {
            return Err(format!("got unexpected healthz status: {}", answer.healthz));
        }
        if !matches!(answer.version.as_str(), "v2" | "v2beta1") {
            return Err(format!("unsupported KMS API version {:?}: expected v2", answer.version));
        }
        Ok(answer.key_id)
    }

    /// An empty envelope of a new seed.
    pub(super) async fn wrap(&self, seed: &[u8]) -> Result<Sealed, String> {
        let request = EncryptRequest { plaintext: seed.to_vec(), uid: uuid::Uuid::new_v4().to_string() };
        let answer: EncryptResponse = self.call(ENCRYPT, request).await.map_err(|why| why.to_string())?;
        let envelope = Sealed::of_seed(answer.key_id, answer.ciphertext, answer.annotations);
        envelope.check()?;
        Ok(envelope)
    }

    pub(super) async fn unwrap(&self, sealed: &Sealed) -> Result<Vec<u8>, Failure> {
        let request = DecryptRequest {
            ciphertext: sealed.source.clone(),
            uid: uuid::Uuid::new_v4().to_string(),
            key_id: sealed.key_id.clone(),
            annotations: sealed.annotations.clone(),
        };
        let answer: DecryptResponse = self.call(DECRYPT, request).await?;
        Ok(answer.plaintext)
    }
}
