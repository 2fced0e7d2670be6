//! Connections to kubelets and to what the `proxy` subresource leads to: one request each.

use crate::callout::kernel_words;
use crate::http::AnswerBody;
use api::{Reason, Status};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// As whom the server talks to kubelets, and whose certificates it believes.
#[derive(Clone)]
pub struct KubeletAccess {
    pub tls: Arc<rustls::ClientConfig>,
}

const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a kubelet may take to answer with headers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

fn dialing(why: &dyn std::fmt::Display) -> Status {
    Status::new(Reason::InternalError, format!("error dialing backend: {why}"))
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// `None`: plain.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

/// Why nothing came back; reads as Go's errors do, which clients show.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("dial tcp {0}: {1}")]
    Connect(String, String),
    #[error("tls: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Name(String),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Address {
    /// `HOST:PORT`, with an IPv6 address in brackets.
    pub(super) fn authority(&self) -> String {
        let Address { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    async fn connect(&self) -> Result<Box<dyn Io>, DialError> {
        let failed = |why: String| DialError::Connect(self.authority(), why);
        let connect = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port))
                .await
                .map_err(|error| failed(kernel_words(&error)))?;
            tcp.set_nodelay(true).map_err(|error| failed(kernel_words(&error)))?;
            let Some(tls) = &self.tls else { return Ok(Box::new(tcp) as Box<dyn Io>) };
            let name = ServerName::try_from(self.host.clone()).map_err(|error| DialError::Name(error.to_string()))?;
            let stream = TlsConnector::from(tls.clone()).connect(name, tcp).await.map_err(DialError::Tls)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        };
        tokio::time::timeout(DIAL_TIMEOUT, connect).await.map_err(|_| failed("i/o timeout".to_owned()))?
    }

    /// Sends one request on a connection of its own; the answer may be an upgrade.
    pub(super) async fn exchange<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, DialError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a backend ended");
            }
        });
        let host = HeaderValue::from_str(&self.authority()).map_err(|error| DialError::Name(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host);
        Ok(sender.send_request(request).await?)
    }
}

impl KubeletAccess {
    pub(super) fn address(&self, host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port, tls: Some(self.tls.clone()) }
    }

    pub(super) async fn send(
        &self,
        host: &str,
        port: u16,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Status> {
        let address = self.address(host, port);
        let exchange = tokio::time::timeout(ANSWER_TIMEOUT, address.exchange(request));
        let answered = exchange.await.map_err(|_| dialing(&"the kubelet did not answer in time"))?;
        answered.map_err(|error| dialing(&error))
    }
}

/// The most of a kubelet's refusal that is handed on.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A kubelet's refusal, for the client: its code and its words.
pub(super) async fn refusal(response: Response<Incoming>) -> Status {
    let code = response.status().as_u16();
    let body = http_body_util::Limited::new(response.into_body(), REFUSAL_BYTES_MAX);
    let text = match http_body_util::BodyExt::collect(body).await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        Err(error) => format!("reading the kubelet's answer: {error}"),
    };
    if let Ok(object) = serde_json::from_str(&text) {
        return Status::from_object(code, object);
    }
    let reason = match code {
        400 => Reason::BadRequest,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        _ => Reason::InternalError,
    };
    Status { code, ..Status::new(reason, text) }
}

/// A kubelet's answer as the client's.
pub(super) fn body(response: Response<Incoming>) -> AnswerBody {
    AnswerBody::Proxied(response.into_body())
}
