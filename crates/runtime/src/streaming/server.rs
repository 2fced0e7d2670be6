//! Listens, checks tokens, and turns requests into SPDY connections: what every client of CRI's streams speaks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use spdy::Session;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::Status;

use super::offers::{Offer, Offers};
use super::{port_forward, remote_command};

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
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a streaming connection stays with Nagle's delay");
    }
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
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (kind, token) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let protocol = match negotiate(kind, request.headers()) {
        Ok(protocol) => protocol,
        Err(refusal) => return refusal.response(kind),
    };
    let Some(offer) = offers.take(kind, token, Instant::now()) else {
        let refusal =
            Refusal(StatusCode::NOT_FOUND, "no such stream: its token was used, is too old, or never was".into());
        return refusal.response(kind);
    };
    tokio::spawn(async move {
        match hyper::upgrade::on(&mut request).await {
            Ok(upgraded) => stream(offer, Session::server(TokioIo::new(upgraded)), protocol).await,
            Err(error) => tracing::debug!(%error, "streaming upgrade"),
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(PROTOCOL, HeaderValue::from_static(protocol));
    response
}

async fn stream(offer: Offer, incoming: spdy::Incoming, protocol: &'static str) {
    match offer {
        Offer::Exec { shim, container, process, streams } => {
            remote_command::exec(incoming, protocol, &shim, &container, *process, streams).await;
        }
        Offer::Attach { shim, container, streams, stdin_once } => {
            remote_command::attach(incoming, protocol, &shim, &container, streams, stdin_once).await;
        }
        Offer::PortForward { sandbox, network } => port_forward::serve(incoming, &sandbox, network).await,
    }
}

const PROTOCOL: &str = "x-stream-protocol-version";
const ACCEPTED: &str = "x-accept-stream-protocol-version";

/// Protocols inside SPDY, by preference.
fn protocols(kind: &str) -> &'static [&'static str] {
    match kind {
        "portforward" => &[port_forward::PROTOCOL],
        _ => &remote_command::PROTOCOLS,
    }
}

struct Refusal(StatusCode, String);

impl Refusal {
    fn response(self, kind: &str) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{}\n", self.1)));
        *response.status_mut() = self.0;
        if self.0 == StatusCode::FORBIDDEN {
            for protocol in protocols(kind) {
                response.headers_mut().append(ACCEPTED, HeaderValue::from_static(protocol));
            }
        }
        response
    }
}

/// The protocol that both sides know. Who offers none is older than the choice, and gets the oldest.
fn negotiate(kind: &str, headers: &HeaderMap) -> Result<&'static str, Refusal> {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("SPDY/3.1") {
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            format!("this URL wants an upgrade to SPDY/3.1, not {upgrade:?}"),
        ));
    }
    let values = headers.get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> = values.flat_map(|value| value.split(',').map(str::trim)).collect();
    let known = protocols(kind);
    let chosen = if offered.is_empty() { known.last() } else { known.iter().find(|name| offered.contains(name)) };
    chosen.copied().ok_or_else(|| {
        let text = format!("unable to negotiate protocol: client supports {offered:?}, server accepts {known:?}");
        Refusal(StatusCode::FORBIDDEN, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, pairs: &[(&'static str, &str)]) -> Result<&'static str, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        negotiate(kind, &headers).map_err(|refusal| refusal.0.as_u16())
    }

    #[test]
    fn protocols_are_negotiated_or_refused() {
        let upgrade = ("upgrade", "SPDY/3.1");
        let both = [upgrade, (PROTOCOL, "v2.channel.k8s.io"), (PROTOCOL, "v4.channel.k8s.io")];
        assert_eq!(check("exec", &both), Ok("v4.channel.k8s.io"));
        assert_eq!(check("attach", &[upgrade, (PROTOCOL, "v3.channel.k8s.io, x")]), Ok("v3.channel.k8s.io"));
        assert_eq!(check("exec", &[upgrade]), Ok("channel.k8s.io"));
        assert_eq!(check("portforward", &[upgrade, (PROTOCOL, "portforward.k8s.io")]), Ok("portforward.k8s.io"));
        assert_eq!(check("portforward", &[upgrade, (PROTOCOL, "v4.channel.k8s.io")]), Err(403));
        assert_eq!(check("exec", &[("upgrade", "websocket"), ("sec-websocket-key", "x")]), Err(400));
        assert_eq!(check("exec", &[]), Err(400));
    }
}
