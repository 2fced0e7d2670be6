//! How often a service's endpoints are written: the first change at once, those that follow it together.
//!
//! The more endpoints a service has, the more each write costs everybody who watches, and the less one of them matters.
//! Bound: one entry per service that was written within the longest wait.

use parking_lot::Mutex;
use reconcile::Key;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

pub(super) struct Pace {
    per_endpoint: Duration,
    most: Duration,
    written: Mutex<HashMap<Key, Instant>>,
}

impl Pace {
    pub(super) fn new(per_endpoint: Duration, most: Duration) -> Pace {
        Pace { per_endpoint, most, written: Mutex::default() }
    }

    /// How long the service has to wait yet before it is written again.
    pub(super) fn wait(&self, service: &Key, endpoints: usize) -> Option<Duration> {
        let since = *self.written.lock().get(service)?;
        let count = u32::try_from(endpoints).unwrap_or(u32::MAX);
        let pause = self.per_endpoint.saturating_mul(count).min(self.most);
        pause.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
    }

    pub(super) fn wrote(&self, service: &Key) {
        let mut written = self.written.lock();
        written.retain(|_, since| since.elapsed() < self.most);
        written.insert(service.clone(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_larger_service_waits_longer_and_none_too_long() {
        let pace = Pace::new(Duration::from_millis(1), Duration::from_millis(500));
        let key: Key = "d/web".into();
        assert_eq!(pace.wait(&key, 1000), None, "the first change does not wait");
        pace.wrote(&key);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(pace.wait(&key, 40), None);
        assert_eq!(pace.wait(&key, 70), Some(Duration::from_millis(20)));
        assert_eq!(pace.wait(&key, 10_000), Some(Duration::from_millis(450)));
        assert_eq!(pace.wait(&"d/db".into(), 10_000), None);
        tokio::time::sleep(Duration::from_millis(500)).await;
        pace.wrote(&"d/db".into());
        assert_eq!(pace.written.lock().len(), 1, "what is past is forgotten");
    }
}
