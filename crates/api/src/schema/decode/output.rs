//! The checked JSON: the input with a few ranges replaced.
//!
//! Invariants: ranges come in ascending order and do not overlap; without any, nothing is copied.

use std::ops::Range;

pub(super) struct Output<'a> {
    input: &'a [u8],
    /// Up to here the input stands in `written`.
    copied: usize,
    written: Vec<u8>,
}

impl<'a> Output<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Output { input, copied: 0, written: Vec::new() }
    }

    pub(super) fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        debug_assert!(self.copied <= range.start && range.start <= range.end, "{range:?} after {}", self.copied);
        self.written.extend_from_slice(&self.input[self.copied..range.start]);
        self.written.extend_from_slice(with);
        self.copied = range.end;
    }

    /// The rewritten JSON, or `None` when the input stands.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        self.written.extend_from_slice(&self.input[self.copied..]);
        Some(self.written)
    }
}
