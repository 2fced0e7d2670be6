//! postStart and preStop.

use super::exec::{self, Failure};
use super::http;
use crate::pod;
use cri::Runtime;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};
use std::time::Duration;

const AGENT: &str = "kube-lifecycle/1.37";
/// A hook that asks by HTTP and hangs is given up after this.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a hook to its end; the error is what the user reads. The caller bounds the time.
pub(crate) async fn run(
    runtime: &dyn Runtime,
    hook: &LifecycleHandler,
    pod: &Pod,
    container: &Container,
    id: &str,
    address: &str,
) -> Result<(), String> {
    let whose = format!("for Container {:?} in Pod {:?} failed", container.name, pod::described(pod));
    if let Some(action) = &hook.exec {
        let command = action.command.as_deref().unwrap_or_default();
        let what = format!("Exec lifecycle hook ([{}]) {whose}", command.join(" "));
        return match exec::run(runtime, id, command, Duration::ZERO).await {
            Ok(done) if done.code == 0 => Ok(()),
            Ok(done) => {
                let error = format!("command '{}' exited with {}: {}", command.join(" "), done.code, done.output);
                Err(format!("{what} - error: {error}, message: {:?}", done.output))
            }
            Err(Failure::TimedOut) => Err(format!("{what} - error: timed out")),
            Err(Failure::Impossible(error)) => Err(format!("{what} - error: {error}")),
        };
    }
    if let Some(action) = &hook.http_get {
        let what = format!("HTTP lifecycle hook ({}) {whose}", action.path.as_deref().unwrap_or_default());
        let target =
            http::Target::new(action, container, address, AGENT).map_err(|error| format!("{what} - error: {error}"))?;
        // Any answer will do, as upstream.
        return http::get(target, HTTP_TIMEOUT).await.map(drop).map_err(|error| format!("{what} - error: {error}"));
    }
    if let Some(action) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or_default())).await;
        return Ok(());
    }
    Err(format!("Cannot run handler: {}: no supported action", container.name))
}
