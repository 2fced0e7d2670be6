//! exec, attach and port-forward: asks the runtime where it streams, connects there, and joins the two connections.
//!
//! A runtime speaks SPDY/3.1, any of them: the embedded one, containerd, CRI-O. A client that asks for SPDY too is
//! passed through untouched; one that asks for a WebSocket has it ended here (`remote_command`, `port_forward`,
//! `tunnel`). Either way the answer to the upgrade waits for the runtime's, so that its refusal is a plain answer.

mod channels;
mod port_forward;
mod remote_command;
mod runtime;
mod tunnel;
mod upgrade;

use super::Server;
use super::reply::{Body, full, text};
use super::route::{flag, values};
use crate::router::PodView;
use bytes::Bytes;
use channels::Channels;
use cri::v1::{AttachRequest, ExecRequest, PortForwardRequest};
use http::header::CONNECTION;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use spdy::Session;
use upgrade::{Framing, Protocol, Upgrade};

/// A code and words for the client.
type Refused = (u16, String);

pub(super) async fn exec(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let offered = async {
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
        let url = server.context.runtime.exec(asked).await.map(|answer| answer.url).map_err(of_status)?;
        Ok(Offered { url, inside: Inside::Command(streams) })
    };
    join(request, offered.await).await
}

pub(super) async fn attach(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let offered = async {
        let known = find(server, namespace, pod).await?;
        let container_id = running_id(&known, container)?;
        let streams = Streams::of(&query)?;
        let Streams { tty, stdin, stdout, stderr } = streams;
        let asked = AttachRequest { container_id, stdin, tty, stdout, stderr };
        let url = server.context.runtime.attach(asked).await.map(|answer| answer.url).map_err(of_status)?;
        Ok(Offered { url, inside: Inside::Command(streams) })
    };
    join(request, offered.await).await
}

pub(super) async fn port_forward(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let offered = async {
        let known = find(server, namespace, pod).await?;
        let sandbox = known.view.borrow().sandbox.clone();
        let pod_sandbox_id = sandbox.ok_or_else(|| (400, format!("pod {pod:?} is not running")))?;
        let named = [values(&query, "port"), values(&query, "ports")].concat();
        let ports = port_forward::ports(&named)?;
        let port = ports.iter().copied().map(i32::from).collect();
        let asked = PortForwardRequest { pod_sandbox_id, port };
        let url = server.context.runtime.port_forward(asked).await.map(|answer| answer.url).map_err(of_status)?;
        Ok(Offered { url, inside: Inside::Ports(ports) })
    };
    join(request, offered.await).await
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
#[derive(Clone, Copy)]
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

/// Where the runtime streams, and what.
struct Offered {
    url: String,
    inside: Inside,
}

enum Inside {
    Command(Streams),
    Ports(Vec<u16>),
}

impl Inside {
    /// What a WebSocket may carry of it.
    fn protocols(&self) -> &'static [Protocol] {
        match self {
            Inside::Command(_) => upgrade::COMMAND_PROTOCOLS,
            Inside::Ports(_) => upgrade::PORT_PROTOCOLS,
        }
    }

    /// What SPDY carries of it, at the runtime.
    fn stream_protocol(&self) -> &'static str {
        match self {
            Inside::Command(_) => "v4.channel.k8s.io",
            Inside::Ports(_) => "portforward.k8s.io",
        }
    }
}

async fn join(mut request: Request<Incoming>, offered: Result<Offered, Refused>) -> Response<Body> {
    let joined = async {
        let Offered { url, inside } = offered?;
        let upgrade = Upgrade::of(request.headers(), inside.protocols())?;
        let outgoing = match &upgrade {
            Upgrade::Spdy => runtime::passed_on(request.headers()),
            Upgrade::WebSocket { .. } => runtime::own(inside.stream_protocol()),
        };
        let (headers, runtime) = runtime::dial(&url, outgoing).await?;
        let client = hyper::upgrade::on(&mut request);
        Ok(match upgrade {
            Upgrade::Spdy => {
                tokio::spawn(pass_through(client, runtime));
                switching(&headers)
            }
            Upgrade::WebSocket { key, protocol } => {
                tokio::spawn(end_socket(client, runtime, protocol.framing, inside));
                switching(&upgrade::accepted(&key, protocol.name))
            }
        })
    };
    joined.await.unwrap_or_else(|(code, message): Refused| text(code, message))
}

async fn pass_through(client: OnUpgrade, runtime: Upgraded) {
    match client.await {
        Ok(client) => {
            let (up, down) = spdy::splice(TokioIo::new(client), TokioIo::new(runtime)).await;
            tracing::debug!(up, down, "a stream ended");
        }
        Err(error) => tracing::debug!(%error, "a stream was not upgraded"),
    }
}

async fn end_socket(client: OnUpgrade, runtime: Upgraded, framing: Framing, inside: Inside) {
    let (client, runtime) = match client.await {
        Ok(client) => (TokioIo::new(client), TokioIo::new(runtime)),
        Err(error) => return tracing::debug!(%error, "a stream was not upgraded"),
    };
    let socket = channels::socket(client).await;
    match (framing, inside) {
        (Framing::Tunnel, _) => tunnel::run(socket, runtime).await,
        (Framing::Channels(coding), Inside::Command(streams)) => {
            remote_command::run(Channels::new(socket, coding.text), coding, Session::client(runtime), streams).await;
        }
        (Framing::Channels(coding), Inside::Ports(ports)) => {
            port_forward::run(Channels::new(socket, coding.text), Session::client(runtime), &ports).await;
        }
    }
}

/// Hop-by-hop headers are passed on too: the upgrade is what this hop is for.
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
