//! exec, attach and port-forward: the client's upgrade request goes to the kubelet, and after its 101 bytes flow.
//!
//! Bound: two copy buffers per stream; a stream is a connection, and connections are bounded.

use super::logs::no_access;
use super::options::{self, Options};
use super::{dial, pod};
use crate::authz::Attributes;
use crate::call::Call;
use crate::http::{Answer, AnswerBody, query_text};
use api::{Status, Subresource};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header, request};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// As upstream's kubelets have it: a stream without a byte is cut after it.
const IDLE_MAX: Duration = Duration::from_secs(4 * 3600);

/// What an upgrade needs to get through, on the way there and back.
const HANDED_ON: &[&str] = &[
    "connection",
    "upgrade",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "x-accept-stream-protocol-version",
    "x-stream-protocol-version",
];

pub(crate) async fn connect(call: &Call<'_>, parts: &mut request::Parts) -> Result<Answer, Status> {
    let Some(subresource) = call.subresource.filter(|subresource| call.def().has(*subresource)) else {
        return Err(Status::no_such_path());
    };
    if !matches!(call.info.verb, "get" | "create") {
        return Err(Status::method_not_allowed());
    }
    may_create(call).await?;
    let pod = pod::find(call).await?;
    let options = options::of_stream(call, subresource).await?;
    let path = kubelet_path(call, subresource, &pod, &options)?;
    let node = pod::node_name(&pod);
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", call.info.name)));
    }
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>().filter(|_| parts.headers.contains_key(header::UPGRADE))
    else {
        return Err(Status::bad_request("Upgrade request required"));
    };
    let access = call.backend.kubelets.as_ref().ok_or_else(no_access)?;
    let (host, port) = pod::kubelet_address(call, node).await?;
    let mut request = Request::builder()
        .method(parts.method.clone())
        .uri(path)
        .body(Full::new(Bytes::new()))
        .map_err(Status::internal)?;
    hand_on(&parts.headers, request.headers_mut());
    let mut response = access.send(&host, port, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(dial::refusal(response).await);
    }
    let mut answer = Answer::of("", AnswerBody::empty()).code(StatusCode::SWITCHING_PROTOCOLS);
    hand_on(response.headers(), &mut answer.headers);
    let kubelet = hyper::upgrade::on(&mut response);
    answer.spliced = Some(tokio::spawn(splice(upgrade, kubelet, call.backend.stopping.clone())));
    Ok(answer)
}

/// A WebSocket begins with GET, and does what POST does: who may only `get` must not run commands.
async fn may_create(call: &Call<'_>) -> Result<(), Status> {
    if call.info.verb == "create" {
        return Ok(());
    }
    let asked = Attributes { verb: "create", ..Attributes::of(&call.info) };
    call.backend.parts()?.authz.require(call.user, &asked).await
}

fn hand_on(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if HANDED_ON.contains(&name.as_str()) {
            to.append(name.clone(), value.clone());
        }
    }
}

/// The kubelet's path of a stream; its own names for the flags.
fn kubelet_path(
    call: &Call<'_>,
    subresource: Subresource,
    found: &k8s_openapi::api::core::v1::Pod,
    options: &Options,
) -> Result<String, Status> {
    let (namespace, name) = (call.namespace(), call.info.name);
    if subresource == Subresource::PortForward {
        let ports: Vec<String> = options.list("ports").map(ToString::to_string).collect();
        let pairs = ports.iter().map(|port| ("port", port.as_str()));
        return Ok(format!("/portForward/{namespace}/{name}{}", query_text(pairs)));
    }
    let container = pod::container(found, options.text("container"))?;
    let flags = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
    let mut pairs: Vec<(&str, &str)> =
        flags.iter().filter(|(asked, _)| options.flag(asked)).map(|(_, own)| (*own, "1")).collect();
    if pairs.is_empty() {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let action = if subresource == Subresource::Exec {
        pairs.extend(options.list("command").filter_map(|part| Some(("command", part.as_str()?))));
        if options.list("command").next().is_none() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
        "exec"
    } else {
        "attach"
    };
    Ok(format!("/{action}/{namespace}/{name}/{container}{}", query_text(pairs.into_iter())))
}

/// Ends in order: what either side said last reaches the other.
pub(crate) async fn splice(client: OnUpgrade, kubelet: OnUpgrade, stopping: CancellationToken) {
    let copy = async {
        let (client, kubelet) = tokio::try_join!(client, kubelet)?;
        Ok::<_, hyper::Error>(spdy::splice_while_used(TokioIo::new(client), TokioIo::new(kubelet), IDLE_MAX).await)
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        copied = copy => match copied {
            Ok((up, down)) => tracing::debug!(up, down, "a stream ended"),
            Err(error) => tracing::debug!(%error, "a stream was not upgraded"),
        },
    }
}
