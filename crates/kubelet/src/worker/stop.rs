//! Stops one container: its hook, the stop signal, and force when its time is up.

use super::effects::Snapshot;
use super::observe;
use crate::actions::hook;
use crate::pod::containers::find;
use crate::pod_machine::{Event, Name, Note, Observation};
use cri::v1::StopContainerRequest;
use std::time::{Duration, Instant};

/// The least between the stop signal and force, however long the hook took: upstream's figure.
const SIGNAL_SECONDS_MIN: i64 = 2;

pub(super) async fn stop(snapshot: &Snapshot, name: &Name, id: &str, grace_seconds: i64, with_hook: bool) -> Event {
    let began = Instant::now();
    if with_hook {
        pre_stop(snapshot, name, id, Duration::from_secs(u64::try_from(grace_seconds).unwrap_or_default())).await;
    }
    let used = i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX);
    let left = grace_seconds.saturating_sub(used).max(SIGNAL_SECONDS_MIN.min(grace_seconds));
    let request = StopContainerRequest { container_id: id.to_owned(), timeout: left };
    let failed = |error: &str| {
        tracing::warn!(container = %name, id, error, "a container was not stopped; it is tried again");
        Event::StopFailed { container: name.clone(), id: id.to_owned() }
    };
    match snapshot.context.runtime.stop_container(request).await {
        Err(status) if status.code() != tonic::Code::NotFound => return failed(status.message()),
        _ => {}
    }
    match observe::one(&snapshot.context, id).await {
        Ok(Some(found)) => Event::Observed(Observation { containers: vec![found], ..Observation::default() }),
        Ok(None) => Event::Observed(Observation { gone: vec![id.to_owned()], ..Observation::default() }),
        Err(error) => failed(&error),
    }
}

async fn pre_stop(snapshot: &Snapshot, name: &Name, id: &str, grace: Duration) {
    let Some((_, spec)) = find(&snapshot.pod, name) else { return };
    let Some(handler) = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) else { return };
    let runtime = snapshot.context.runtime.as_ref();
    let address = snapshot.address();
    let ran = hook::run(runtime, handler, &snapshot.pod, &spec, id, &address);
    match tokio::time::timeout(grace, ran).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(container = %name, error, "preStop hook failed");
            snapshot.record(&Note::warning("FailedPreStopHook", "PreStopHook failed").about(name));
        }
        Err(_) => tracing::debug!(container = %name, "preStop hook used up the grace period"),
    }
}
