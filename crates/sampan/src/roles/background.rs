//! Tasks that go on for as long as the process does.

use std::time::Duration;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// What a start sets in motion has come to rest by then.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Gives back, when the start is over, what it alone needed.
pub(crate) fn settle() {
    tokio::spawn(async {
        tokio::time::sleep(SETTLED_AFTER).await;
        if let Err(error) = kernel::memory::forget_program() {
            tracing::warn!(%error, "the process stays larger than it need be");
        }
    });
}

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
