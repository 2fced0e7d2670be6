//! What keeps a view up to date: one task that lists once and then follows, by watch or by a followed log.
//!
//! Invariants: a closed view's tasks end with it; updates wait in a bounded queue, so that a view that is not looked at
//! holds the server back instead of filling memory; only measurements are asked for again and again, as often as the
//! server takes them.

use crate::calls::{At, Selection, text};
use crate::commands::top::{Usage, metrics};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::live::Change;
use crate::server::{Ask, JSON, TABLE, lines, resource_path, with_query};
use crate::target::Target;
use api::{Kind, ResourceDef};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

const QUEUE: usize = 64;
/// Before a server that failed is asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// Nodes measure as often.
const MEASURED: Duration = Duration::from_secs(10);
/// The lines of a log that were written before it is opened.
const LINES_BEFORE: &str = "500";
/// Lines that arrive together are one update.
const LINES_AT_ONCE: usize = 256;

/// What a view shows.
#[derive(Clone, Debug)]
pub(in crate::commands) enum Source {
    Objects {
        def: &'static ResourceDef,
        namespace: String,
        selection: Selection,
    },
    Containers {
        pod: Target,
    },
    Log {
        pod: Target,
        container: String,
        previous: bool,
    },
    /// A text that stays as it is.
    Text,
}

/// By namespace and name.
pub(in crate::commands) type Usages = BTreeMap<(String, String), Usage>;

pub(in crate::commands) enum Update {
    Change(Change),
    Lines(Vec<String>),
    Usages(Usages),
    /// What is wrong; it is tried again.
    Trouble(String),
    /// The log has ended.
    Ended,
}

pub(in crate::commands) struct Feed {
    updates: Receiver<Update>,
    /// Ends them when it is dropped.
    _tasks: JoinSet<()>,
}

impl Feed {
    pub(super) fn open(context: &Arc<Context>, source: &Source) -> Option<Feed> {
        let (sender, updates) = channel(QUEUE);
        let mut tasks = JoinSet::new();
        let (own, followed, queue) = (context.clone(), source.clone(), sender.clone());
        match source {
            Source::Text => return None,
            Source::Log { .. } => tasks.spawn(async move { log(&own, &followed, &queue).await }),
            _ => tasks.spawn(async move { follow(&own, &followed, &queue).await }),
        };
        if is_measured(source) {
            let (own, source) = (context.clone(), source.clone());
            tasks.spawn(async move { measure(&own, &source, &sender).await });
        }
        Some(Feed { updates, _tasks: tasks })
    }

    /// Of a list, without measurements.
    pub(in crate::commands) fn unmeasured(context: &Arc<Context>, source: &Source) -> Feed {
        let (sender, updates) = channel(QUEUE);
        let mut tasks = JoinSet::new();
        let (own, followed) = (context.clone(), source.clone());
        tasks.spawn(async move { follow(&own, &followed, &sender).await });
        Feed { updates, _tasks: tasks }
    }

    /// The next updates, several where several wait.
    pub(in crate::commands) async fn next(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        self.updates.recv_many(&mut updates, QUEUE).await;
        if updates.is_empty() {
            // All that there was to say was said.
            std::future::pending::<()>().await;
        }
        updates
    }
}

/// Nobody takes updates any more: the view was closed.
struct Closed;

async fn send(queue: &Sender<Update>, update: Update) -> Result<(), Closed> {
    queue.send(update).await.map_err(|_| Closed)
}

async fn follow(context: &Context, source: &Source, queue: &Sender<Update>) {
    loop {
        let trouble = match round(context, source, queue).await {
            Ok(Err(Closed)) => return,
            // The revision is older than what the server keeps: list again.
            Ok(Ok(())) => continue,
            Err(Failure::Api(status)) if status.code == 410 => continue,
            Err(failure) => failure.report(),
        };
        if send(queue, Update::Trouble(trouble)).await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One list, and the watches behind it until one cannot go on.
async fn round(context: &Context, source: &Source, queue: &Sender<Update>) -> Result<Result<(), Closed>> {
    let (at, selection, accept) = match source {
        Source::Objects { def, namespace, selection } => (At::collection(def, namespace), selection.clone(), TABLE),
        Source::Containers { pod } => (At::collection(&Pod::DEF, &pod.namespace), Selection::of_name(&pod.name), JSON),
        Source::Log { .. } | Source::Text => return Ok(Err(Closed)),
    };
    let pages = context.pages(at, &selection, accept, &[]).await?;
    let mut version = pages.last().map(|page| text(page, "/metadata/resourceVersion").to_owned()).unwrap_or_default();
    let listed = match source {
        Source::Containers { .. } => pages.iter().flat_map(items).map(containers_table).collect(),
        _ => pages,
    };
    if send(queue, Update::Change(Change::Listed(listed))).await.is_err() {
        return Ok(Err(Closed));
    }
    loop {
        let mut events = context.watch(at, &selection, &version, accept, &[]).await?;
        let mut silent = true;
        while let Some(event) = events.next().await {
            let event = event?;
            silent = false;
            let seen = text(&event.object, "/metadata/resourceVersion");
            if !seen.is_empty() {
                seen.clone_into(&mut version);
            }
            let change = match source {
                Source::Containers { .. } if event.kind == "DELETED" => Change::Listed(Vec::new()),
                Source::Containers { .. } if event.kind != "BOOKMARK" => {
                    Change::Listed(vec![containers_table(&event.object)])
                }
                _ => Change::Event { kind: event.kind, object: event.object },
            };
            if send(queue, Update::Change(change)).await.is_err() {
                return Ok(Err(Closed));
            }
        }
        if silent {
            // A server that closes at once is not asked again at once.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().into_iter().flatten()
}

/// A pod's containers as the server's tables are.
fn containers_table(pod: &Value) -> Value {
    let columns = ["Name", "Image", "Ready", "State", "Restarts", "Kind"].map(|name| json!({"name": name}));
    let mut rows = Vec::new();
    for (kind, list, statuses) in [
        ("init", "/spec/initContainers", "/status/initContainerStatuses"),
        ("", "/spec/containers", "/status/containerStatuses"),
        ("ephemeral", "/spec/ephemeralContainers", "/status/ephemeralContainerStatuses"),
    ] {
        let all = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        for container in all(list) {
            let status = all(statuses).find(|status| status["name"] == container["name"]);
            let ready = status.is_some_and(|status| status["ready"] == true);
            let restarts = status.and_then(|status| status["restartCount"].as_i64()).unwrap_or_default();
            let ready = if ready { "True" } else { "False" };
            let state = status.map_or_else(|| "Waiting".to_owned(), state);
            rows.push(json!({
                "cells": [container["name"], container["image"], ready, state, restarts, kind],
                "object": {"metadata": {"name": container["name"]}},
            }));
        }
    }
    json!({"kind": "Table", "columnDefinitions": columns, "rows": rows})
}

fn state(status: &Value) -> String {
    let state = &status["state"];
    let reason = |of: &str, otherwise: &str| {
        let reason = state[of]["reason"].as_str().filter(|reason| !reason.is_empty());
        reason.unwrap_or(otherwise).to_owned()
    };
    match () {
        () if state["running"].is_object() => "Running".to_owned(),
        () if state["terminated"].is_object() => reason("terminated", "Terminated"),
        () => reason("waiting", "Waiting"),
    }
}

async fn log(context: &Context, source: &Source, queue: &Sender<Update>) {
    let said = match lines_of(context, source, queue).await {
        Ok(Err(Closed)) => return,
        Ok(Ok(())) => Update::Ended,
        Err(failure) => Update::Trouble(failure.report()),
    };
    // Nobody listens: the view was closed meanwhile.
    match send(queue, said).await {
        Ok(()) | Err(Closed) => {}
    }
}

async fn lines_of(context: &Context, source: &Source, queue: &Sender<Update>) -> Result<Result<(), Closed>> {
    let Source::Log { pod, container, previous } = source else { return Ok(Err(Closed)) };
    let (follow, previous) = if *previous { ("", "true") } else { ("true", "") };
    let query =
        [("container", container.as_str()), ("follow", follow), ("previous", previous), ("tailLines", LINES_BEFORE)];
    let path = with_query(resource_path(&Pod::DEF, &pod.namespace, &pod.name, "log"), &query);
    let answer = context.server.ask(Ask::get(path).accept("*/*")).await?;
    let mut batches = lines(answer.body).ready_chunks(LINES_AT_ONCE);
    while let Some(batch) = batches.next().await {
        let (lines, failures): (Vec<_>, Vec<_>) = batch.into_iter().partition(Result::is_ok);
        let lines = lines.into_iter().flatten().map(|line| super::plain::plain(&line)).collect();
        if send(queue, Update::Lines(lines)).await.is_err() {
            return Ok(Err(Closed));
        }
        if let Some(failure) = failures.into_iter().find_map(Result::err) {
            return Err(failure);
        }
    }
    Ok(Ok(()))
}

/// The kinds that `metrics.k8s.io` measures.
fn is_measured(source: &Source) -> bool {
    match source {
        Source::Objects { def, .. } => {
            [&Pod::DEF, &Node::DEF].iter().any(|measured| measured.group_resource() == def.group_resource())
        }
        Source::Containers { .. } => true,
        Source::Log { .. } | Source::Text => false,
    }
}

/// Asks as often as is measured; a cluster that measures nothing has no columns for it.
async fn measure(context: &Context, source: &Source, queue: &Sender<Update>) {
    let mut ticks = tokio::time::interval(MEASURED);
    loop {
        ticks.tick().await;
        let Ok(usages) = usages(context, source).await else { continue };
        if send(queue, Update::Usages(usages)).await.is_err() {
            return;
        }
    }
}

async fn usages(context: &Context, source: &Source) -> Result<Usages> {
    let of = |object: &Value, pointer: &str| text(object, pointer).to_owned();
    let containers = |pod: &Value| pod["containers"].as_array().cloned().unwrap_or_default();
    Ok(match source {
        Source::Objects { def, namespace, selection } => {
            let query = [("labelSelector", selection.labels.as_str())];
            let measured = metrics(context, def.plural, namespace, "", &query).await?;
            let usage = |object: &Value| {
                let own = (!object["usage"].is_null()).then(|| Usage::of(&object["usage"]));
                let parts = containers(object);
                own.unwrap_or_else(|| {
                    parts.iter().map(|one| Usage::of(&one["usage"])).fold(Usage::default(), Usage::plus)
                })
            };
            let key = |object: &Value| (of(object, "/metadata/namespace"), of(object, "/metadata/name"));
            measured.iter().map(|object| (key(object), usage(object))).collect()
        }
        Source::Containers { pod } => {
            let measured = metrics(context, "pods", &pod.namespace, &pod.name, &[]).await?;
            let all = measured.iter().flat_map(containers);
            all.map(|one| ((String::new(), of(&one, "/name")), Usage::of(&one["usage"]))).collect()
        }
        Source::Log { .. } | Source::Text => Usages::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_containers_are_a_table() {
        let pod = json!({
            "spec": {"initContainers": [{"name": "i", "image": "x"}], "containers": [{"name": "a", "image": "y"}, {"name": "b"}]},
            "status": {
                "initContainerStatuses": [{"name": "i", "state": {"terminated": {"reason": "Completed"}}}],
                "containerStatuses": [{"name": "a", "ready": true, "restartCount": 3, "state": {"running": {}}},
                    {"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            },
        });
        let rows: Vec<Value> =
            containers_table(&pod)["rows"].as_array().unwrap().iter().map(|row| row["cells"].clone()).collect();
        assert_eq!(
            rows,
            [
                json!(["i", "x", "False", "Completed", 0, "init"]),
                json!(["a", "y", "True", "Running", 3, ""]),
                json!(["b", null, "False", "CrashLoopBackOff", 0, ""]),
            ]
        );
    }
}
