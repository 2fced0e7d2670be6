//! A connection to a kubelet: TLS with the server's own client certificate, one request each.

use crate::http::AnswerBody;
use api::{Reason, Status};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
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

impl KubeletAccess {
    /// Sends one request on a connection of its own; the answer may be an upgrade.
    pub(super) async fn send(
        &self,
        host: &str,
        port: u16,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Status> {
        let connect = async {
            let tcp = TcpStream::connect((host, port))
                .await
                .map_err(|error| dialing(&format_args!("dial tcp {host}:{port}: {error}")))?;
            tcp.set_nodelay(true).map_err(|error| dialing(&error))?;
            let name = ServerName::try_from(host.to_owned()).map_err(|error| dialing(&error))?;
            TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(|error| dialing(&error))
        };
        let tls = tokio::time::timeout(DIAL_TIMEOUT, connect)
            .await
            .map_err(|_| dialing(&format_args!("dial tcp {host}:{port}: i/o timeout")))??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(|error| dialing(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a kubelet ended");
            }
        });
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let value = http::HeaderValue::from_str(&authority).map_err(|error| dialing(&error))?;
        request.headers_mut().insert(http::header::HOST, value);
        tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request))
            .await
            .map_err(|_| dialing(&"the kubelet did not answer in time"))?
            .map_err(|error| dialing(&error))
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
