//! Tasks that go on for as long as the process does.

use std::time::Duration;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// Runs what `make` makes, and again when it fails, ever more slowly.
pub(crate) fn keep<F, E>(name: &'static str, mut make: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send,
{
    tokio::spawn(async move {
        let mut wait = RETRY_FIRST;
        loop {
            match make().await {
                Ok(()) => tracing::error!(task = name, "ended; it is started again"),
                Err(error) => tracing::error!(task = name, %error, "failed; it is started again"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MOST);
        }
    });
}
