//! `/insight/logs`: lines of all containers' logs of the cluster, also of those that are gone, merged in the order of time.
//!
//! Every node searches its own; the server asks all of them at once and merges what they find. Invariants: nobody is told
//! lines of a namespace in which they may not `get pods/log`; a node that does not answer is named in the answer. Bounds:
//! [`NODES_MAX`] connections, and for each one chunk that waits: a slow client holds the nodes back.

mod feed;
mod merge;

use super::logs::no_access;
use super::pod::node_address;
use crate::authz::{Attributes, Decision};
use crate::backend::Backend;
use crate::http::{Answer, AnswerBody, Query, RequestInfo, query_text};
use api::user::User;
use api::{Kind, Status};
use bytes::Bytes;
use feed::Feed;
use futures::StreamExt;
use http::Request;
use http_body_util::Full;
use k8s_openapi::api::core::v1::{Namespace, Node};
use merge::{Merge, Wanted};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) const PATH: &str = "/insight/logs";
/// Where a node answers.
const NODE_PATH: &str = "/logs/search";
/// Parameters that are the server's to judge, and those that a node is asked with as they are.
const OWN: &[&str] = &["namespace", "node", "tail", "limit", "order"];
const HANDED_ON: &[&str] = &[
    "pod",
    "container",
    "workload",
    "name",
    "labelSelector",
    "sinceTime",
    "untilTime",
    "sinceSeconds",
    "grep",
    "level",
    "field",
    "stream",
    "follow",
];
/// Nodes that one search asks; larger clusters name the nodes.
const NODES_MAX: usize = 512;
/// Of them, those that are being connected to.
const DIALS_MAX: usize = 64;
/// How long a node may take to begin its answer: one that is known to be ill gets less.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const ILL_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Of the path and query to a node. Servers and proxies commonly refuse more than 64 KiB.
const PATH_BYTES_MAX: usize = 60_000;
/// The most lines that `tail` keeps to turn them round.
const TAIL_MAX: usize = 10_000;
/// Chunks that wait for a slow client.
const CHUNKS: usize = 4;

/// Answers a request that has been authorized by its path.
pub(crate) async fn answer(
    backend: &Arc<Backend>,
    user: &User,
    info: &RequestInfo<'_>,
    query: &Query,
) -> Result<Answer, Status> {
    if info.verb != "get" {
        return Err(Status::method_not_allowed());
    }
    let wanted = wanted(query)?;
    let namespaces = namespaces(backend, user, query).await?;
    let path = node_path(query, &namespaces, &wanted)?;
    let nodes = nodes(backend, query)?;
    let (feeds, warnings) = open(backend, nodes, &path).await?;
    let (sink, chunks) = mpsc::channel::<Bytes>(CHUNKS);
    let stopping = backend.stopping.clone();
    tokio::spawn(async move {
        let merge = Merge::new(feeds, wanted, sink);
        tokio::select! {
            () = stopping.cancelled() => {}
            () = Box::pin(merge.run(warnings)) => {}
        }
    });
    let chunks = futures::stream::unfold(chunks, |mut chunks| async move { Some((chunks.recv().await?, chunks)) });
    Ok(Answer::of("application/x-ndjson", AnswerBody::stream(chunks)))
}

fn wanted(query: &Query) -> Result<Wanted, Status> {
    let number = |name: &str, most: usize| -> Result<Option<usize>, Status> {
        let Some(value) = query.integer(name)? else { return Ok(None) };
        let value = usize::try_from(value).ok().filter(|value| *value <= most);
        value.map(Some).ok_or_else(|| Status::bad_request(format!("{name} must be between 0 and {most}")))
    };
    let (tail, limit) = (number("tail", TAIL_MAX)?, number("limit", usize::MAX)?);
    let newest_first = query.get("order") == "newest";
    if tail.is_some() && (limit.is_some() || newest_first) {
        return Err(Status::bad_request("tail goes with neither limit nor order=newest"));
    }
    Ok(Wanted { newest_first: newest_first || tail.is_some(), limit: tail.or(limit), tail: tail.is_some() })
}

/// Those that were asked for, or all that the user may see; empty stands for all there are and were.
async fn namespaces(backend: &Backend, user: &User, query: &Query) -> Result<BTreeSet<String>, Status> {
    let authz = &backend.parts()?.authz;
    let of = |namespace| Attributes {
        verb: "get",
        version: "v1",
        resource: "pods",
        subresource: "log",
        namespace,
        is_resource: true,
        ..Attributes::default()
    };
    let asked: BTreeSet<String> = query.all("namespace").map(str::to_owned).collect();
    for namespace in &asked {
        authz.require(user, &of(namespace)).await?;
    }
    if !asked.is_empty() {
        return Ok(asked);
    }
    let everywhere = authz.require(user, &of("")).await;
    let Err(refusal) = everywhere else { return Ok(BTreeSet::new()) };
    let mut visible = BTreeSet::new();
    for entry in backend.registry().resource(&Namespace::DEF)?.snapshot().objects.values() {
        if authz.authorize(user, &of(entry.name())).await == Decision::Allow {
            visible.insert(entry.name().to_owned());
        }
    }
    if visible.is_empty() { Err(refusal) } else { Ok(visible) }
}

/// The same question as a node is asked it: with what may be handed on, and the namespaces that were found to be seen.
fn node_path(query: &Query, namespaces: &BTreeSet<String>, wanted: &Wanted) -> Result<String, Status> {
    if let Some((name, _)) = query.pairs().find(|(name, _)| !OWN.contains(name) && !HANDED_ON.contains(name)) {
        return Err(Status::bad_request(format!("unknown parameter {name:?}")));
    }
    let limit = wanted.limit.map(|limit| limit.to_string());
    let mut pairs: Vec<(&str, &str)> = query.pairs().filter(|(name, _)| HANDED_ON.contains(name)).collect();
    pairs.extend(namespaces.iter().map(|namespace| ("namespace", namespace.as_str())));
    pairs.extend(limit.as_deref().map(|limit| ("limit", limit)));
    let order = if wanted.newest_first { "newest" } else { query.get("order") };
    pairs.extend((!order.is_empty()).then_some(("order", order)));
    let path = format!("{NODE_PATH}{}", query_text(pairs.into_iter()));
    if path.len() > PATH_BYTES_MAX {
        return Err(Status::bad_request("the question is too long: name fewer namespaces"));
    }
    Ok(path)
}

fn nodes(backend: &Backend, query: &Query) -> Result<Vec<Node>, Status> {
    let asked: BTreeSet<&str> = query.all("node").collect();
    let resource = backend.registry().resource(&Node::DEF)?;
    let mut nodes = Vec::new();
    for entry in resource.snapshot().objects.values() {
        if asked.is_empty() || asked.contains(entry.name()) {
            let object = entry.decode(resource.kind).map_err(Status::internal)?;
            nodes.extend(object.downcast::<Node>().cloned());
        }
    }
    if let Some(missing) = asked.iter().find(|asked| nodes.iter().all(|node| name(node) != **asked)) {
        return Err(Status::not_found(&Node::DEF, missing));
    }
    if nodes.len() > NODES_MAX {
        let message = format!("there are {} nodes: name up to {NODES_MAX} of them with node=NAME", nodes.len());
        return Err(Status::bad_request(message));
    }
    Ok(nodes)
}

fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Asks all nodes. A question that one of them finds wrong is wrong; who cannot be asked is told of in the answer. Where
/// none answers as all are too busy, so is the server.
async fn open(backend: &Backend, nodes: Vec<Node>, path: &str) -> Result<(Vec<Feed>, Vec<String>), Status> {
    let ask = |node: Node| async move {
        let answer = ask(backend, &node, path).await;
        (name(&node).to_owned(), answer)
    };
    let answers: Vec<_> = futures::stream::iter(nodes).map(ask).buffer_unordered(DIALS_MAX).collect().await;
    let (mut feeds, mut warnings, mut busy) = (Vec::new(), Vec::new(), None);
    for (node, answer) in answers {
        match answer {
            Ok(feed) => feeds.push(feed),
            Err(status) if status.code == 400 => return Err(status),
            Err(status) => {
                warnings.push(format!("logs of node {node} are missing: {}", status.message));
                busy = busy.or((status.code == 429).then_some(status));
            }
        }
    }
    if let Some(status) = busy.filter(|_| feeds.is_empty()) {
        return Err(status);
    }
    Ok((feeds, warnings))
}

async fn ask(backend: &Backend, node: &Node, path: &str) -> Result<Feed, Status> {
    let access = backend.kubelets.as_ref().ok_or_else(no_access)?;
    let (host, port) = node_address(node)?;
    let request = Request::get(path).body(Full::new(Bytes::new())).map_err(Status::internal)?;
    let timeout = if is_ready(node) { ANSWER_TIMEOUT } else { ILL_ANSWER_TIMEOUT };
    let late = |_| Status::unavailable(format!("it did not answer within {} s", timeout.as_secs()));
    let response = tokio::time::timeout(timeout, access.send(&host, port, request)).await.map_err(late)??;
    if !response.status().is_success() {
        return Err(super::dial::refusal(response).await);
    }
    Ok(Feed::new(name(node), response.into_body()))
}
