//! The bounds of the embedded engine, and the clock that ages its history.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock that never goes backwards; its zero is arbitrary.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Duration;
}

/// The system's monotonic clock, from the moment this was made.
pub struct MonotonicClock(Instant);

impl Default for MonotonicClock {
    fn default() -> MonotonicClock {
        MonotonicClock(Instant::now())
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// How much the engine keeps.
///
/// History (old revisions for `range`, events for `watch`) is forgotten from its oldest end, one group commit at a
/// time, as soon as any of the three maxima is passed. A reader that needs what was forgotten gets `Compacted`.
///
/// On disk there are never more than two snapshots' worth of live data (one, while none is being written), the log of
/// the kept history, and `max(snapshot_log_bytes, live data)` of log that waits for the next snapshot, with what is
/// committed while one is being written.
#[derive(Clone)]
pub struct Options {
    /// Events kept at most.
    pub history_events_max: usize,
    /// Memory that history may hold beside the newest values: superseded values and the events themselves.
    pub history_bytes_max: u64,
    /// Events older than this are forgotten, except the last `history_events_min`.
    pub history_age_max: Duration,
    /// So many events stay whatever their age, so that watches of a quiet store resume after a restart.
    pub history_events_min: usize,
    /// A log segment is closed when it has grown past this.
    pub segment_bytes_max: u64,
    /// A snapshot is written when this much of the log, and as much as the live data, is older than history.
    /// The second half bounds write amplification by snapshots to 2.
    pub snapshot_log_bytes: u64,
    /// Time for `history_age_max`.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            history_events_max: 100_000,
            history_bytes_max: 64 << 20,
            history_age_max: Duration::from_secs(300),
            history_events_min: 1_000,
            segment_bytes_max: 16 << 20,
            snapshot_log_bytes: 64 << 20,
            clock: Arc::new(MonotonicClock::default()),
        }
    }
}
