//! Listens, checks tokens, and turns requests into WebSockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tonic::Status;

use super::offers::{Offer, Offers};
use super::{port_forward, remote_command};

/// A client's WebSocket.
pub(super) type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// The server. It ends with this value; streams that are under way end with their connections.
pub(crate) struct Streaming {
    address: SocketAddr,
    offers: Arc<Offers>,
    task: JoinHandle<()>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Streaming {
    /// Listens on a free port of loopback.
    pub(crate) async fn start() -> std::io::Result<Streaming> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let offers = Arc::new(Offers::default());
        let task = tokio::spawn(accept(listener, offers.clone()));
        Ok(Streaming { address, offers, task })
    }

    /// The URL of an offer.
    pub(super) fn offer(&self, offer: Offer) -> Result<String, Status> {
        let kind = offer.kind();
        let token = self.offers.put(offer, Instant::now());
        let token = token.ok_or_else(|| Status::resource_exhausted("maximum number of in-flight requests exceeded"))?;
        Ok(format!("http://{}/{kind}/{token}", self.address))
    }
}

async fn accept(listener: TcpListener, offers: Arc<Offers>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, offers.clone()));
            }
            // A client that left, or no descriptors: those who asked see an error, the next may fare better.
            Err(error) => {
                tracing::warn!(%error, "streaming connection not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn serve(stream: TcpStream, offers: Arc<Offers>) {
    let service = service_fn(move |request| {
        let offers = offers.clone();
        async move { Ok::<_, Infallible>(respond(request, &offers)) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.with_upgrades().await {
        tracing::debug!(%error, "streaming connection");
    }
}

fn respond(mut request: Request<Incoming>, offers: &Offers) -> Response<Full<Bytes>> {
    let accepted = match Handshake::of(request.headers()) {
        Ok(accepted) => accepted,
        Err((status, text)) => return refuse(status, &text),
    };
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (kind, token) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(offer) = offers.take(kind, token, Instant::now()) else {
        return refuse(StatusCode::NOT_FOUND, "no such stream: its token was used, is too old, or never was");
    };
    let version = accepted.version;
    tokio::spawn(async move {
        match hyper::upgrade::on(&mut request).await {
            Ok(upgraded) => {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                stream(offer, socket, version).await;
            }
            Err(error) => tracing::debug!(%error, "streaming upgrade"),
        }
    });
    accepted.response()
}

async fn stream(offer: Offer, socket: Socket, version: u8) {
    match offer {
        Offer::Exec { shim, container, process, streams } => {
            remote_command::exec(socket, version, &shim, &container, *process, streams).await;
        }
        Offer::Attach { shim, container, streams, stdin_once } => {
            remote_command::attach(socket, version, &shim, &container, streams, stdin_once).await;
        }
        Offer::PortForward { network, ports } => port_forward::serve(socket, &network, &ports).await,
    }
}

/// What a client offered and gets.
struct Handshake {
    key: String,
    protocol: &'static str,
    version: u8,
}

/// Protocols by preference.
const PROTOCOLS: [(&str, u8); 2] = [("v5.channel.k8s.io", 5), ("v4.channel.k8s.io", 4)];

impl Handshake {
    fn of(headers: &HeaderMap) -> Result<Handshake, (StatusCode, String)> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let upgrade = text("upgrade");
        if upgrade.to_ascii_lowercase().starts_with("spdy") {
            let text = "SPDY is not implemented: exec and attach want WebSocket (kubectl 1.31 and newer), port-forward over \
                        SPDY, also within a WebSocket, is not implemented";
            return Err((StatusCode::NOT_IMPLEMENTED, text.into()));
        }
        let key = text("sec-websocket-key");
        if !upgrade.eq_ignore_ascii_case("websocket") || key.is_empty() {
            return Err((StatusCode::BAD_REQUEST, "this URL wants a WebSocket".into()));
        }
        let offered: Vec<&str> = headers
            .get_all("sec-websocket-protocol")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(',').map(str::trim))
            .collect();
        let chosen = PROTOCOLS.iter().find(|(name, _)| offered.contains(name));
        let (protocol, version) = *chosen.ok_or_else(|| {
            let known = PROTOCOLS.map(|(name, _)| name).join(", ");
            (StatusCode::BAD_REQUEST, format!("no common protocol: offered {offered:?}, known {known}"))
        })?;
        Ok(Handshake { key: key.to_owned(), protocol, version })
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(self.key.as_bytes()))
            .header(header::SEC_WEBSOCKET_PROTOCOL, self.protocol)
            .body(Full::default());
        response.expect("constant names and printable values")
    }
}

fn refuse(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &str)]) -> Result<(&'static str, u8), u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Handshake::of(&headers).map(|shake| (shake.protocol, shake.version)).map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn protocols_are_negotiated_or_refused() {
        let socket = [("upgrade", "WebSocket"), ("sec-websocket-key", "x")];
        let with = |protocols| check(&[socket[0], socket[1], ("sec-websocket-protocol", protocols)]);
        assert_eq!(with("v4.channel.k8s.io, v5.channel.k8s.io"), Ok(("v5.channel.k8s.io", 5)));
        assert_eq!(with("v4.channel.k8s.io"), Ok(("v4.channel.k8s.io", 4)));
        assert_eq!(with("base64.channel.k8s.io"), Err(400));
        assert_eq!(check(&socket), Err(400));
        assert_eq!(check(&[("upgrade", "SPDY/3.1")]), Err(501));
        assert_eq!(check(&[]), Err(400));
    }
}
