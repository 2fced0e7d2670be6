//! Calls that make something in the runtime. Once asked they are heard to their end, even when the task that asked is
//! over: a runtime whose client hangs up in the middle may keep a half of a pod that nobody knows of.
//!
//! Bound: one call per effect that is under way.

use std::time::Duration;
use tokio_util::task::TaskTracker;
use tonic::Status;

/// Within the time that the supervisor gives the node's process to end. A runtime that takes longer is left alone.
const LAST_CALLS_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Making {
    calls: TaskTracker,
}

impl Making {
    /// Answers as the call does; dropping it does not end the call.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        let answered = self.calls.spawn(call).await;
        answered.unwrap_or_else(|error| Err(Status::internal(format!("a call of the runtime was not made: {error}"))))
    }

    /// Waits for the calls that are under way; nobody asks for more by then.
    pub(crate) async fn end(&self) {
        self.calls.close();
        if tokio::time::timeout(LAST_CALLS_TIME_MAX, self.calls.wait()).await.is_err() {
            let left = self.calls.len();
            tracing::warn!(left, "the runtime is still making what it was asked for; it is not waited for");
        }
    }
}
