//! What an autoscaler remembers of its own past: what it has recommended, and what it has done.
//!
//! Invariant: it is advice only. Who starts anew begins with the present count as its first recommendation, so that
//! nothing is scaled down before a whole window has been seen. Bounds: `REMEMBERED_MAX` of each, the oldest first
//! forgotten, and nothing for longer than a window asks for.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// A window of an hour has 240 rounds; changes of the autoscaler itself may come in between.
const REMEMBERED_MAX: usize = 512;

type Past = VecDeque<(Timestamp, i32)>;

#[derive(Debug, Default)]
pub(super) struct Memory {
    recommended: Past,
    added: Past,
    removed: Past,
}

fn note(past: &mut Past, number: i32, now: Timestamp, keep: SignedDuration) {
    past.retain(|(at, _)| now.duration_since(*at) <= keep);
    if past.len() >= REMEMBERED_MAX {
        past.pop_front();
    }
    past.push_back((now, number));
}

fn within(past: &Past, window: SignedDuration, now: Timestamp) -> impl Iterator<Item = i32> {
    past.iter().filter(move |(at, _)| now.duration_since(*at) < window).map(|(_, number)| *number)
}

impl Memory {
    /// The count that was found first.
    pub(super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommended.is_empty() {
            self.recommended.push_back((now, current));
        }
    }

    /// `keep` is the longest window that anybody asks for.
    pub(super) fn recommend(&mut self, replicas: i32, now: Timestamp, keep: SignedDuration) {
        note(&mut self.recommended, replicas, now, keep);
    }

    pub(super) fn recommended(&self, window: SignedDuration, now: Timestamp) -> impl Iterator<Item = i32> {
        within(&self.recommended, window, now)
    }

    /// Notes a change that was made.
    pub(super) fn changed(&mut self, from: i32, to: i32, now: Timestamp, keep: SignedDuration) {
        let past = if to > from { &mut self.added } else { &mut self.removed };
        note(past, to.saturating_sub(from).saturating_abs(), now, keep);
    }

    /// The count at the beginning of a period that ends now.
    pub(super) fn count_before(&self, current: i32, period: SignedDuration, now: Timestamp) -> i32 {
        let sum = |past| within(past, period, now).fold(0, i32::saturating_add);
        current.saturating_sub(sum(&self.added)).saturating_add(sum(&self.removed))
    }
}
