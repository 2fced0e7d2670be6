//! How much a container may write to its log: so much a second on the whole, a burst at once, and a bound for the file.
//!
//! Invariants: what is beyond is dropped from the middle: the last [`HELD_BYTES`] are held back, and are written when
//! there is room again, at the latest at the container's end, behind a line that says how many went missing. Memory:
//! twice [`HELD_BYTES`], and only for a container that writes too much.

use std::time::Instant;

/// The last lines of a container that writes too much: four lines of the longest kind, or hundreds of usual ones.
pub(crate) const HELD_BYTES: usize = 64 << 10;
/// Seconds of the rate that may be written at once.
const BURST_SECONDS: u64 = 4;
/// A log that nobody rotates, as the node process is gone for long, grows no further; limited containers only.
const FILE_BYTES_MAX: u64 = 256 << 20;

pub(crate) struct Rate {
    /// 0: no limit.
    bytes_per_second: u64,
    tokens: u64,
    at: Instant,
    held: Vec<u8>,
    dropped: u64,
}

impl Rate {
    pub(crate) fn new(bytes_per_second: u64, now: Instant) -> Rate {
        let tokens = bytes_per_second * BURST_SECONDS;
        Rate { bytes_per_second, tokens, at: now, held: Vec::new(), dropped: 0 }
    }

    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let fresh = u128::from(self.bytes_per_second) * passed.as_micros() / 1_000_000;
        if fresh > 0 {
            self.at = now;
            let most = self.bytes_per_second * BURST_SECONDS;
            self.tokens = u64::try_from(u128::from(self.tokens) + fresh).unwrap_or(most).min(most);
        }
    }

    /// Whether lines may be written to a file that has `length` bytes; if not, they are held back here.
    pub(crate) fn admits(&mut self, lines: &[u8], length: u64, now: Instant) -> bool {
        if self.bytes_per_second == 0 {
            return true;
        }
        self.refill(now);
        let bytes = lines.len() as u64;
        if !self.is_holding() && self.tokens >= bytes && length + bytes <= FILE_BYTES_MAX {
            self.tokens -= bytes;
            return true;
        }
        self.hold(lines);
        false
    }

    fn hold(&mut self, lines: &[u8]) {
        self.held.extend_from_slice(lines);
        if self.held.len() <= 2 * HELD_BYTES {
            return;
        }
        let from = self.held.len() - HELD_BYTES;
        let end = self.held[from..].iter().position(|byte| *byte == b'\n').map_or(self.held.len(), |at| from + at + 1);
        self.dropped += self.held[..end].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.held.drain(..end);
    }

    /// What was held back and how many lines went missing before it, if there is room or it is the `end`. Room is a
    /// quarter of a burst, so that who always writes too much is not told so for every line.
    pub(crate) fn release(&mut self, length: u64, end: bool, now: Instant) -> Option<(Vec<u8>, u64)> {
        if !self.is_holding() {
            return None;
        }
        self.refill(now);
        let bytes = self.held.len() as u64;
        let enough = (self.bytes_per_second * BURST_SECONDS / 4).max(bytes);
        if !end && (self.tokens < enough || length + bytes > FILE_BYTES_MAX) {
            return None;
        }
        self.tokens = self.tokens.saturating_sub(bytes);
        Some((std::mem::take(&mut self.held), std::mem::take(&mut self.dropped)))
    }

    /// What is said in place of the lines that went missing.
    pub(crate) fn notice(&self, dropped: u64) -> String {
        let rate = self.bytes_per_second;
        format!("[sampan: {dropped} lines were dropped here, as the container writes more than {rate} bytes a second]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LINE: &[u8; 1000] = &{
        let mut line = [b'x'; 1000];
        line[999] = b'\n';
        line
    };

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let begin = Instant::now();
        let mut rate = Rate::new(100_000, begin);
        let mut passed = 0;
        for _ in 0..1000 {
            passed += u64::from(rate.admits(LINE, 0, begin));
        }
        assert_eq!(passed, 400, "a burst");
        assert!(rate.is_holding() && rate.release(0, false, begin).is_none());
        let (held, dropped) = rate.release(0, false, begin + Duration::from_secs(2)).unwrap();
        assert!(held.len() >= HELD_BYTES - 1000 && held.len() <= 2 * HELD_BYTES);
        assert_eq!(400 + dropped + held.len() as u64 / 1000, 1000, "every line is written, held or counted");
        assert!(rate.admits(LINE, 0, begin + Duration::from_secs(2)));
    }

    #[test]
    fn the_end_releases_what_is_held() {
        let begin = Instant::now();
        let mut rate = Rate::new(1000, begin);
        assert!((0..4).all(|_| rate.admits(LINE, 0, begin)));
        assert!(!rate.admits(LINE, 0, begin));
        assert_eq!(rate.release(0, true, begin), Some((LINE.to_vec(), 0)));
        assert_eq!(rate.release(0, true, begin), None);
    }

    #[test]
    fn a_file_that_nobody_rotates_is_bounded() {
        let mut rate = Rate::new(1 << 30, Instant::now());
        assert!(!rate.admits(LINE, FILE_BYTES_MAX, Instant::now()));
        assert!(Rate::new(0, Instant::now()).admits(LINE, u64::MAX - 1000, Instant::now()), "no limit");
    }
}
