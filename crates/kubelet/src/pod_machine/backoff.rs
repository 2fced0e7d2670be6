//! Waits that double: for containers that crash, images that cannot be pulled, and effects that failed.

use jiff::{SignedDuration, Timestamp};

/// First wait of a crashing container or failing pull, and where doubling ends: upstream's figures.
const FIRST: SignedDuration = SignedDuration::from_secs(10);
const MOST: SignedDuration = SignedDuration::from_secs(300);
/// What ran this long since the last start has recovered: its next crash starts anew.
const RECOVERED: SignedDuration = SignedDuration::from_secs(600);

/// Of a container that crashes: its first restart is immediate, the next waits ten seconds, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    wait: SignedDuration,
    advanced_at: Option<Timestamp>,
}

impl Backoff {
    /// How long after `ended` the next start has to wait.
    pub(crate) fn wait_after(&self, ended: Timestamp) -> SignedDuration {
        match self.advanced_at {
            Some(at) if ended.duration_since(at) <= RECOVERED => self.wait,
            _ => SignedDuration::ZERO,
        }
    }

    /// Takes note of a start at `now` after the end at `ended`.
    pub(crate) fn advance(&mut self, ended: Timestamp, now: Timestamp) {
        let held = self.wait_after(ended);
        self.wait = if held.is_zero() { FIRST } else { (held * 2).min(MOST) };
        self.advanced_at = Some(now);
    }

    /// Takes note of a failure at `now`, for things that have no end of their own (pulls).
    pub(crate) fn fail(&mut self, now: Timestamp) {
        self.advance(now, now);
    }

    pub(crate) fn failed_at(&self) -> Option<Timestamp> {
        self.advanced_at
    }

    /// Until when a thing that failed waits; `None` when it never failed.
    pub(crate) fn failed_until(&self) -> Option<Timestamp> {
        self.advanced_at.map(|at| at + self.wait)
    }
}

/// Of an effect that failed and is simply tried again, soon at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    failures: u32,
    at: Option<Timestamp>,
}

impl Retry {
    const FIRST: SignedDuration = SignedDuration::from_millis(500);
    const MOST: SignedDuration = SignedDuration::from_secs(10);

    pub(crate) fn fail(&mut self, now: Timestamp) {
        let wait = Self::FIRST * 2i32.pow(self.failures.min(10));
        self.failures += 1;
        self.at = Some(now + wait.min(Self::MOST));
    }

    /// When the next try may be; `None`: at once.
    pub(crate) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.at.filter(|at| *at > now)
    }

    pub(crate) fn reset(&mut self) {
        *self = Retry::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn crashes_wait_twice_as_long_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..8 {
            let wait = backoff.wait_after(at(now)).as_secs();
            waits.push(wait);
            now += wait;
            backoff.advance(at(now - wait), at(now));
            now += 1;
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.wait_after(at(now + 600)).as_secs(), 0, "ten minutes of running forgive");
    }

    #[test]
    fn retries_come_soon_and_stay_bounded() {
        let mut retry = Retry::default();
        let waits: Vec<i64> = (0..7)
            .map(|_| {
                retry.fail(at(0));
                retry.until(at(0)).unwrap().as_millisecond()
            })
            .collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(retry.until(at(10)), None);
    }
}
