//! exec, attach and port-forward: asks the runtime where it streams, connects there, and joins the two connections.
//!
//! Whatever protocol the client asked to upgrade to (SPDY, WebSocket) is passed through untouched.

use super::Server;
use super::reply::{Body, full, text};
use super::route::{flag, values};
use crate::router::PodView;
use bytes::Bytes;
use cri::v1::{AttachRequest, ExecRequest, PortForwardRequest};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes of a streaming server's refusal that are passed on.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

type Refused = (u16, String);

pub(super) async fn exec(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let url = async {
        let known = find(server, namespace, pod).await?;
        let container_id = running_id(&known, container)?;
        let command = values(&query, "command");
        if command.is_empty() {
            return Err((400, "you must specify at least 1 command".to_owned()));
        }
        let streams = Streams::of(&query)?;
        let asked = ExecRequest {
            container_id,
            cmd: command,
            tty: streams.tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        server.context.runtime.exec(asked).await.map(|answer| answer.url).map_err(of_status)
    };
    join(request, url.await).await
}

pub(super) async fn attach(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let url = async {
        let known = find(server, namespace, pod).await?;
        let container_id = running_id(&known, container)?;
        let streams = Streams::of(&query)?;
        let (tty, stdin, stdout, stderr) = (streams.tty, streams.stdin, streams.stdout, streams.stderr);
        let asked = AttachRequest { container_id, stdin, tty, stdout, stderr };
        server.context.runtime.attach(asked).await.map(|answer| answer.url).map_err(of_status)
    };
    join(request, url.await).await
}

pub(super) async fn port_forward(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let url = async {
        let known = find(server, namespace, pod).await?;
        let sandbox = known.view.borrow().sandbox.clone();
        let pod_sandbox_id = sandbox.ok_or_else(|| (400, format!("pod {pod:?} is not running")))?;
        let ports = [values(&query, "port"), values(&query, "ports")].concat();
        let ports = ports.iter().flat_map(|list| list.split(',')).map(|port| port.parse::<i32>());
        let port = ports.collect::<Result<Vec<_>, _>>().map_err(|_| (400, "ports must be numbers".to_owned()))?;
        let asked = PortForwardRequest { pod_sandbox_id, port };
        server.context.runtime.port_forward(asked).await.map(|answer| answer.url).map_err(of_status)
    };
    join(request, url.await).await
}

async fn find(server: &Server, namespace: &str, pod: &str) -> Result<PodView, Refused> {
    server.pods.find(namespace, pod).await.ok_or_else(|| (404, "pod does not exist".to_owned()))
}

fn running_id(known: &PodView, container: &str) -> Result<String, Refused> {
    let view = known.view.borrow();
    let running = view.instances.iter().find(|instance| instance.container == container && instance.running);
    running.map(|instance| instance.id.clone()).ok_or_else(|| (404, format!("container not found ({container:?})")))
}

fn of_status(status: tonic::Status) -> Refused {
    let code = match status.code() {
        tonic::Code::NotFound => 404,
        tonic::Code::InvalidArgument | tonic::Code::FailedPrecondition => 400,
        tonic::Code::Unimplemented => 501,
        _ => 500,
    };
    (code, status.message().to_owned())
}

/// Which of the streams are wanted; both the API server's names and the API's.
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Streams {
    fn of(query: &str) -> Result<Streams, Refused> {
        let either = |one: &str, other: &str| flag(query, one) || flag(query, other);
        let tty = flag(query, "tty");
        let streams = Streams {
            stdin: either("input", "stdin"),
            stdout: either("output", "stdout"),
            // A terminal has one output.
            stderr: either("error", "stderr") && !tty,
            tty,
        };
        if !streams.stdin && !streams.stdout && !streams.stderr {
            return Err((400, "you must specify at least 1 of stdin, stdout, stderr".to_owned()));
        }
        Ok(streams)
    }
}

async fn join(request: Request<Incoming>, url: Result<String, Refused>) -> Response<Body> {
    let url = match url {
        Ok(url) => url,
        Err((code, message)) => return text(code, message),
    };
    match splice(request, &url).await {
        Ok(response) => response,
        Err((code, message)) => text(code, message),
    }
}

/// Hop-by-hop headers are passed on too: the upgrade is what this hop is for.
async fn splice(mut request: Request<Incoming>, url: &str) -> Result<Response<Body>, Refused> {
    if !request.headers().contains_key(UPGRADE) {
        return Err((400, "Upgrade request required".to_owned()));
    }
    let failed =
        |what: &'static str| move |error: String| (502, format!("{what} the runtime's streaming server: {error}"));
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| failed("understanding")(error.to_string()))?;
    if uri.scheme_str() != Some("http") {
        return Err((501, format!("the runtime streams at {url}, and this node speaks only http to it")));
    }
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let address = if uri.port().is_some() { authority.clone() } else { format!("{authority}:80") };
    let stream = TcpStream::connect(&address).await.map_err(|error| failed("connecting to")(error.to_string()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed("connecting to")(error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a stream's connection to the runtime ended");
        }
    });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut outgoing = Request::builder().method(request.method().clone()).uri(path);
    for (name, value) in request.headers() {
        if name != http::header::HOST {
            outgoing = outgoing.header(name, value);
        }
    }
    let outgoing = outgoing.header(http::header::HOST, authority).body(Empty::<Bytes>::new());
    let outgoing = outgoing.map_err(|error| failed("asking")(error.to_string()))?;
    let answered = sender.send_request(outgoing).await.map_err(|error| failed("asking")(error.to_string()))?;
    if answered.status() != StatusCode::SWITCHING_PROTOCOLS {
        let code = answered.status().as_u16();
        let body = Limited::new(answered.into_body(), REFUSAL_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err((code, String::from_utf8_lossy(&body).into_owned()));
    }
    let headers = answered.headers().clone();
    let own = hyper::upgrade::on(&mut request);
    let theirs = hyper::upgrade::on(answered);
    tokio::spawn(async move {
        let (own, theirs) = match tokio::try_join!(own, theirs) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "a stream was not upgraded"),
        };
        if let Err(error) = tokio::io::copy_bidirectional(&mut TokioIo::new(own), &mut TokioIo::new(theirs)).await {
            tracing::debug!(%error, "a stream ended in the middle");
        }
    });
    Ok(switching(&headers))
}

fn switching(headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in headers {
        response.headers_mut().append(name, value.clone());
    }
    response.headers_mut().entry(CONNECTION).or_insert(http::HeaderValue::from_static("Upgrade"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_no_stderr_of_its_own() {
        let check = |query: &str| Streams::of(query).map(|s| (s.stdin, s.stdout, s.stderr, s.tty)).ok();
        assert_eq!(check("input=1&output=1&error=1&tty=1"), Some((true, true, false, true)));
        assert_eq!(check("stdout=true&stderr=true"), Some((false, true, true, false)));
        assert_eq!(check("tty=1"), None);
    }
}
