//! The runtime's streaming server, as a client of it.

use super::Refused;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes of a streaming server's refusal that are passed on.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// How long the runtime may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The client's own headers, but for what is about this hop or between the client and the node.
pub(super) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [HOST, AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// The headers of a SPDY client that speaks one protocol.
pub(super) fn own(protocol: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert("x-stream-protocol-version", HeaderValue::from_static(protocol));
    headers
}

fn failed(what: &'static str) -> impl Fn(&dyn Display) -> Refused {
    move |error| (502, format!("{what} the runtime's streaming server: {error}"))
}

/// Connects to a URL that the runtime gave, and upgrades. Its refusal is the client's.
pub(super) async fn dial(url: &str, headers: HeaderMap) -> Result<(HeaderMap, Upgraded), Refused> {
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| failed("understanding")(&error))?;
    if uri.scheme_str() != Some("http") {
        return Err((501, format!("the runtime streams at {url}, and this node speaks only http to it")));
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, ask(&uri, headers)).await {
        Ok(answered) => answered,
        Err(_) => Err(failed("asking")(&"no answer in time")),
    }
}

async fn ask(uri: &Uri, headers: HeaderMap) -> Result<(HeaderMap, Upgraded), Refused> {
    let connecting = failed("connecting to");
    let asking = failed("asking");
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let address = if uri.port().is_some() { authority.clone() } else { format!("{authority}:80") };
    let stream = TcpStream::connect(&address).await.map_err(|error| connecting(&error))?;
    stream.set_nodelay(true).map_err(|error| connecting(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| connecting(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a stream's connection to the runtime ended");
        }
    });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path).body(Empty::<Bytes>::new()).map_err(|error| asking(&error))?;
    *request.headers_mut() = headers;
    let host = HeaderValue::from_str(&authority).map_err(|error| asking(&error))?;
    request.headers_mut().insert(HOST, host);
    let response = sender.send_request(request).await.map_err(|error| asking(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err((code, String::from_utf8_lossy(&body).into_owned()));
    }
    let headers = response.headers().clone();
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| asking(&error))?;
    Ok((headers, upgraded))
}
