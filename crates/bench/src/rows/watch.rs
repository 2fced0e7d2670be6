//! Rows of watching: many watchers of all pods, writers held at a rate.

use crate::figure::Reporter;
use crate::target::Target;
use anyhow::{Context, Result};
use api::Kind;
use client::{EventType, PatchType, Request, Verb, WatchRequest};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const UPDATES_PER_SECOND: usize = 2_000;

pub(crate) async fn measure(target: &Target, namespace: &str, reporter: &Reporter) -> Result<()> {
    for (watchers, updates) in [(100, 10_000), (1_000, 200)] {
        let figure = format!("watch_{watchers}_watchers");
        if !reporter.wants(&figure) {
            continue;
        }
        let (delivered, mut latencies, elapsed) = deliver(target, namespace, watchers, updates).await?;
        reporter.report_with(&figure, delivered as f64 / elapsed.as_secs_f64(), "events/s", &mut latencies);
        reporter.report(&format!("{figure}_cut"), (watchers * updates - delivered) as f64, "events missing");
    }
    Ok(())
}

/// Events delivered, the delays of every hundredth, and the time from the first write to the last delivery.
async fn deliver(
    target: &Target,
    namespace: &str,
    watchers: usize,
    updates: usize,
) -> Result<(usize, Vec<Duration>, Duration)> {
    let start = Instant::now();
    let (ready, mut all_ready) = watch::channel(0_usize);
    let ready = Arc::new(ready);
    let (stop, _) = watch::channel(false);
    let mut tasks = Vec::new();
    for _ in 0..watchers {
        let client = target.client()?;
        tasks.push(tokio::spawn(one_watcher(
            client,
            namespace.to_owned(),
            updates,
            start,
            ready.clone(),
            stop.subscribe(),
        )));
    }
    tokio::time::timeout(Duration::from_secs(60), all_ready.wait_for(|ready| *ready == watchers))
        .await
        .context("watchers")??;
    let writing = Instant::now();
    write_at_rate(target, namespace, updates, start).await?;
    let (mut delivered, mut latencies, mut last) = (0, Vec::new(), writing);
    // What has not come 10 s after the last write is counted as missing.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    for task in tasks {
        let joined = tokio::time::timeout_at(deadline, task).await;
        if let Ok(watched) = joined {
            let (count, own, end) = watched.context("a watcher's task")??;
            delivered += count;
            latencies.extend(own);
            last = last.max(end);
        }
    }
    stop.send_replace(true);
    Ok((delivered, latencies, last - writing))
}

async fn one_watcher(
    client: client::Client,
    namespace: String,
    updates: usize,
    start: Instant,
    ready: Arc<watch::Sender<usize>>,
    mut stop: watch::Receiver<bool>,
) -> Result<(usize, Vec<Duration>, Instant)> {
    let newest = client.call(Request::new(Verb::List, &Pod::DEF, &namespace, "").query("limit", "1")).await?;
    let newest: serde_json::Value = serde_json::from_slice(&newest)?;
    let request = WatchRequest {
        def: &Pod::DEF,
        namespace,
        label_selector: String::new(),
        field_selector: String::new(),
        resource_version: newest["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
    };
    let mut events = client.transport().watch(request).await?;
    ready.send_modify(|count| *count += 1);
    let (mut count, mut latencies) = (0, Vec::new());
    while count < updates {
        let event = tokio::select! {
            event = events.next() => event,
            _ = stop.changed() => break,
        };
        let Some(event) = event else { break };
        let event = event?;
        if event.kind == EventType::Bookmark {
            continue;
        }
        count += 1;
        if count % 100 == 0
            && let Some(sent) = sent_at(&event.object)
        {
            latencies.push(start.elapsed().saturating_sub(sent));
        }
    }
    Ok((count, latencies, Instant::now()))
}

/// The microseconds since the row's start that the writer put in.
fn sent_at(object: &[u8]) -> Option<Duration> {
    const KEY: &[u8] = b"\"bench-sent\":\"";
    let at = object.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let text = std::str::from_utf8(object.get(at..)?.split(|byte| *byte == b'"').next()?).ok()?;
    text.parse().ok().map(Duration::from_micros)
}

async fn write_at_rate(target: &Target, namespace: &str, updates: usize, start: Instant) -> Result<()> {
    let clients: Vec<_> = (0..16).map(|_| target.client()).collect::<Result<_>>()?;
    let begun = tokio::time::Instant::now();
    let writers = clients.into_iter().enumerate().map(|(own, client)| {
        let namespace = namespace.to_owned();
        tokio::spawn(async move {
            for index in (own..updates).step_by(16) {
                tokio::time::sleep_until(begun + Duration::from_secs(1) * index as u32 / UPDATES_PER_SECOND as u32)
                    .await;
                let sent = start.elapsed().as_micros();
                let patch = format!(r#"{{"metadata":{{"annotations":{{"bench-sent":"{sent}"}}}}}}"#);
                let name = format!("p-{:06}", index % 100);
                client
                    .call(Request::new(Verb::Patch(PatchType::Merge), &Pod::DEF, &namespace, &name).body(patch))
                    .await?;
            }
            Ok::<_, api::Status>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.context("a writer's task")??;
    }
    Ok(())
}
