//! exec, attach and port-forward: the client's upgrade request goes to the kubelet, and after its 101 bytes flow.
//!
//! Bound: two copy buffers per stream; a stream is a connection, and connections are bounded.

use super::logs::{no_access, query_text};
use super::{dial, pod};
use crate::authz::Attributes;
use crate::call::Call;
use crate::http::{Answer, AnswerBody};
use api::{Status, Subresource};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header, request};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

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
    may_create(call)?;
    let pod = pod::find(call).await?;
    let path = kubelet_path(call, subresource, &pod)?;
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
    tokio::spawn(splice(upgrade, kubelet, call.backend.stopping.clone()));
    Ok(answer)
}

/// A WebSocket begins with GET, and does what POST does: who may only `get` must not run commands.
fn may_create(call: &Call<'_>) -> Result<(), Status> {
    if call.info.verb == "create" {
        return Ok(());
    }
    let info = &call.info;
    let asked = Attributes {
        verb: "create",
        group: info.group,
        version: info.version,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        name: info.name,
        path: info.path,
        is_resource: true,
        field_selector: "",
    };
    call.backend.parts()?.authz.require(call.user, &asked)
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
) -> Result<String, Status> {
    let (namespace, name, query) = (call.namespace(), call.info.name, call.query);
    if subresource == Subresource::PortForward {
        let ports = query.all("ports").chain(query.all("port")).flat_map(|list| list.split(','));
        return Ok(format!("/portForward/{namespace}/{name}{}", query_text(ports.map(|port| ("port", port)))));
    }
    let container = pod::container(found, query.get("container"))?;
    let flags = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
    let mut pairs: Vec<(&str, &str)> =
        flags.iter().filter(|(asked, _)| query.flag(asked)).map(|(_, own)| (*own, "1")).collect();
    if pairs.is_empty() {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let action = if subresource == Subresource::Exec {
        pairs.extend(query.all("command").map(|part| ("command", part)));
        if query.find("command").is_none() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
        "exec"
    } else {
        "attach"
    };
    Ok(format!("/{action}/{namespace}/{name}/{container}{}", query_text(pairs.into_iter())))
}

/// Ends in order: what either side said last reaches the other.
pub(super) async fn splice(client: OnUpgrade, kubelet: OnUpgrade, stopping: CancellationToken) {
    let copy = async {
        let (client, kubelet) = tokio::try_join!(client, kubelet)?;
        Ok::<_, hyper::Error>(spdy::splice(TokioIo::new(client), TokioIo::new(kubelet)).await)
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        copied = copy => match copied {
            Ok((up, down)) => tracing::debug!(up, down, "a stream ended"),
            Err(error) => tracing::debug!(%error, "a stream was not upgraded"),
        },
    }
}
