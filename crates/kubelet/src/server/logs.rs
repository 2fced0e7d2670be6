//! `/containerLogs/{namespace}/{pod}/{container}`.

use super::Server;
use super::reply::{self, Body, text};
use super::route::{flag, value};
use crate::logs::follow::{Growth, Wanted, stream};
use crate::pod::containers::find;
use crate::router::PodView;
use crate::worker::View;
use bytes::Bytes;
use http::Response;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ContainerStatus;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Chunks that wait for a slow reader.
const CHUNKS: usize = 4;

fn wanted(query: &str) -> Result<(Wanted, bool), String> {
    let number = |name: &str| -> Result<Option<i64>, String> {
        let text = value(query, name);
        text.map(|text| text.parse().map_err(|_| format!("invalid {name}: {text:?} is not a number"))).transpose()
    };
    let unsigned = |name: &str| -> Result<Option<u64>, String> {
        let number = number(name)?;
        number
            .map(|number| u64::try_from(number).map_err(|_| format!("{name} must be greater than or equal to 0")))
            .transpose()
    };
    let since_time = value(query, "sinceTime");
    let since_time =
        since_time.map(|time| time.parse::<Timestamp>().map_err(|error| format!("invalid sinceTime: {error}")));
    let since_seconds = number("sinceSeconds")?.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds));
    let only_stderr = match value(query, "stream").as_deref() {
        None | Some("All") => None,
        Some("Stdout") => Some(false),
        Some("Stderr") => Some(true),
        Some(other) => return Err(format!("unsupported stream {other:?}")),
    };
    let wanted = Wanted {
        follow: flag(query, "follow"),
        tail_lines: unsigned("tailLines")?,
        since: since_time.transpose()?.or(since_seconds),
        timestamps: flag(query, "timestamps"),
        limit_bytes: unsigned("limitBytes")?,
        only_stderr,
    };
    Ok((wanted, flag(query, "previous")))
}

pub(super) async fn answer(
    server: &Server,
    namespace: &str,
    pod: &str,
    container: &str,
    query: &str,
) -> Response<Body> {
    let (wanted, previous) = match wanted(query) {
        Ok(parsed) => parsed,
        Err(error) => return text(400, error),
    };
    let Some(known) = server.pods.find(namespace, pod).await else {
        return text(404, format!("pods {pod:?} not found"));
    };
    if find(&known.pod, container).is_none() {
        return text(404, format!("container {container:?} not found in pod {pod:?}"));
    }
    let log = match log_of(server, &known, container, previous) {
        Ok(log) => log,
        Err(message) => return text(400, message),
    };
    let growth = match (wanted.follow && log.running).then(|| follow(server, &known, &log)).transpose() {
        Ok(growth) => growth,
        Err(error) => return text(500, format!("failed to watch the log of container {container:?}: {error}")),
    };
    if !log.file.exists() {
        // Started, and nothing written or already rotated away: an empty log is the truth.
        tracing::debug!(file = %log.file.display(), "no such log");
    }
    let (sink, chunks) = mpsc::channel::<Bytes>(CHUNKS);
    tokio::spawn(async move {
        if let Err(error) = Box::pin(stream(log.file, wanted, growth, sink)).await {
            tracing::debug!(%error, "a log was not read to its end");
        }
    });
    reply::answer(200, "text/plain", reply::chunked(chunks))
}

struct Log {
    file: PathBuf,
    id: String,
    running: bool,
}

fn log_of(server: &Server, known: &PodView, container: &str, previous: bool) -> Result<Log, String> {
    let view = known.view.borrow().clone();
    let pod = known.pod.metadata.name.as_deref().unwrap_or_default();
    let mut instances = view.instances.iter().filter(|instance| instance.container == container);
    let instance = if previous {
        // A container that waits for its restart has its last end as the present instance.
        let waits = status_of(&view, container)
            .and_then(|status| status.state.as_ref())
            .is_some_and(|state| state.waiting.is_some());
        let before = if waits { instances.next() } else { instances.nth(1) };
        before.ok_or_else(|| format!("previous terminated container {container:?} in pod {pod:?} not found"))?
    } else {
        instances.next().ok_or_else(|| {
            let waiting =
                status_of(&view, container).and_then(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
            let reason = waiting.unwrap_or_else(|| "ContainerCreating".to_owned());
            format!("container {container:?} in pod {pod:?} is waiting to start: {reason}")
        })?
    };
    let file = server.context.dirs.log_file(&known.pod, container, instance.attempt);
    Ok(Log { file, id: instance.id.clone(), running: instance.running })
}

fn status_of<'a>(view: &'a View, container: &str) -> Option<&'a ContainerStatus> {
    let status = view.status.as_ref()?;
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.name == container)
}

/// Hears of the file's growth, and of the instance's end.
fn follow(server: &Server, known: &PodView, log: &Log) -> io::Result<Growth> {
    let directory = log.file.parent().unwrap_or(&log.file);
    let changed = server.watcher.follow(directory)?;
    let (running, is_running) = watch::channel(true);
    let (mut views, id) = (known.view.clone(), log.id.clone());
    tokio::spawn(async move {
        let runs = |view: &Arc<View>| view.instances.iter().any(|instance| instance.id == id && instance.running);
        loop {
            let now = runs(&views.borrow_and_update());
            if running.send(now).is_err() || !now {
                return;
            }
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = running.closed() => return,
            }
        }
    });
    Ok(Growth { changed, running: is_running })
}
