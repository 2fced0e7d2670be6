//! Many writes of one reconcile, side by side.

use std::future::Future;
use tokio::task::JoinSet;

/// Writes of one reconcile that may be under way at once: enough to fill a group commit, little enough that a failing
/// server gets few requests in vain.
pub const IN_FLIGHT_MAX: usize = 64;

/// Runs the futures that `make` yields, at most `IN_FLIGHT_MAX` at once; after earlier failures one at first, doubling
/// with each round, as an API that refuses one will refuse many. Starts no more after an error. How many succeeded,
/// and the first error.
pub async fn in_batches<I, F, Fut, E>(items: I, failures: u32, make: F) -> (usize, Option<E>)
where
    I: IntoIterator,
    F: Fn(I::Item) -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    let mut width = if failures == 0 { IN_FLIGHT_MAX } else { 1 };
    let mut items = items.into_iter();
    let mut running = JoinSet::new();
    let (mut succeeded, mut error) = (0, None);
    loop {
        while error.is_none() && running.len() < width {
            let Some(item) = items.next() else { break };
            running.spawn(make(item));
        }
        let Some(ended) = running.join_next().await else { break };
        match ended.expect("tasks of a batch are not aborted, and a panic is passed on") {
            Ok(()) => {
                succeeded += 1;
                // One more per success doubles the width in each round.
                width = (width + 1).min(IN_FLIGHT_MAX);
            }
            Err(first) => error = error.or(Some(first)),
        }
    }
    (succeeded, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn an_error_stops_what_has_not_begun() {
        let begun = Arc::new(AtomicUsize::new(0));
        let run = |failures| {
            let begun = begun.clone();
            begun.store(0, Ordering::SeqCst);
            in_batches(0..1000, failures, move |n| {
                begun.fetch_add(1, Ordering::SeqCst);
                async move { if n < 10 { Ok(()) } else { Err(n) } }
            })
        };
        let (succeeded, error) = run(0).await;
        assert_eq!((succeeded, error.is_some()), (10, true));
        assert!(begun.load(Ordering::SeqCst) <= 10 + IN_FLIGHT_MAX);
        let (succeeded, error) = run(3).await;
        assert_eq!((succeeded, error.is_some()), (10, true));
        assert!(begun.load(Ordering::SeqCst) < 10 + 32, "a key that failed before begins with one request");
    }

    #[tokio::test]
    async fn all_run_when_none_fails() {
        let (succeeded, error) = in_batches(0..1000, 1, |_| async { Ok::<(), ()>(()) }).await;
        assert_eq!((succeeded, error), (1000, None));
    }
}
