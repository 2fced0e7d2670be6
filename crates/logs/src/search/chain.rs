//! The wanted lines of one container, from all parts of its log.

use super::plan::{Found, Piece};
use super::reader::Reader;
use super::{Entry, Source, matcher};
use crate::block::{Block, Decoder};
use crate::query::{Filter, Order};
use crate::time::Nanoseconds;
use std::collections::VecDeque;
use std::sync::Arc;

/// Warnings that one search keeps.
const WARNINGS_MAX: usize = 64;

pub(super) struct Chain {
    source: Arc<Source>,
    order: Order,
    budget: usize,
    /// In the order of the search.
    pieces: VecDeque<Piece>,
    reader: Option<Reader>,
    /// Lines that are found, and which of them comes next.
    ready: Block,
    waiting: VecDeque<usize>,
    /// Wanted lines of the reader's next block that were taken before.
    taken: usize,
    /// No line sorts before this.
    floor: i64,
}

/// What became of a container's next lines.
pub(super) enum Filled {
    /// They are there, and sort here.
    At(i64),
    Empty,
    Paused,
}

/// What sorts as the search goes.
fn rank(order: Order, time: Nanoseconds) -> i64 {
    match order {
        Order::OldestFirst => time,
        Order::NewestFirst => time.saturating_neg(),
    }
}

impl Chain {
    pub(super) fn new(found: Found, order: Order, budget: usize) -> Chain {
        let mut pieces: VecDeque<Piece> = found.pieces.into();
        if order == Order::NewestFirst {
            pieces.make_contiguous().reverse();
        }
        // What the index says of the first part lets a container wait unopened for its turn.
        let floor = match pieces.front() {
            Some(Piece::Archived { span, .. }) if order == Order::OldestFirst => rank(order, span.first),
            Some(Piece::Archived { span, .. }) => rank(order, span.last),
            _ => i64::MIN,
        };
        Chain {
            source: found.source,
            order,
            budget,
            pieces,
            reader: None,
            ready: Block::default(),
            waiting: VecDeque::new(),
            taken: 0,
            floor,
        }
    }

    #[cfg(test)]
    pub(super) fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.ready.texts().len()
    }

    pub(super) fn key(&self) -> i64 {
        self.floor
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Of a chain that is ready.
    pub(super) fn entry(&self) -> Entry<'_> {
        let index = self.waiting.front().copied().unwrap_or_default();
        let line = self.ready.lines()[index];
        Entry {
            source: &self.source,
            time: line.time,
            stderr: line.is_stderr(),
            partial: line.is_partial(),
            level: line.level(),
            text: self.ready.text(index),
        }
    }

    pub(super) fn advance(&mut self) {
        self.waiting.pop_front();
    }

    /// Makes it ready if there is more, and answers where it sorts; `go_on` is asked before each block.
    pub(super) fn fill(
        &mut self,
        filter: &Filter,
        decoder: &mut Decoder,
        warnings: &mut Vec<String>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Filled {
        while self.waiting.is_empty() {
            self.ready = Block::default();
            if self.reader.is_none() {
                let Some(piece) = self.pieces.pop_front() else { return Filled::Empty };
                self.reader = self.noted(Reader::open(piece, filter), warnings).flatten();
                continue;
            }
            if !go_on() {
                return Filled::Paused;
            }
            let next = self.reader.as_mut().map(|reader| reader.next_block(decoder, filter));
            match next.and_then(|next| self.noted(next, warnings)).flatten() {
                Some((block, classified)) => self.take(block, classified, filter),
                None => self.reader = None,
            }
        }
        let time = self.waiting.front().map_or(0, |index| self.ready.lines()[*index].time);
        self.floor = self.floor.max(rank(self.order, time));
        Filled::At(self.floor)
    }

    fn take(&mut self, mut block: Block, classified: bool, filter: &Filter) {
        let mut indices = matcher::select(filter, &mut block, classified);
        if self.order == Order::NewestFirst {
            indices.reverse();
        }
        indices.drain(..self.taken);
        let mut bytes = 0;
        let fits = indices.iter().take_while(|index| {
            let before = bytes;
            bytes += block.text(**index).len();
            before < self.budget
        });
        let count = fits.count();
        if count < indices.len() {
            // The rest is read again when its turn comes, rather than kept.
            self.taken += count;
            indices.truncate(count);
            if let Some(reader) = &mut self.reader {
                reader.step_back();
            }
        } else {
            self.taken = 0;
        }
        if indices.len() == block.len() {
            (self.ready, self.waiting) = (block, indices.into());
            return;
        }
        self.ready = block.select(indices.iter().copied());
        self.waiting = (0..indices.len()).collect();
    }

    /// What cannot be read is said, and passed over.
    fn noted<T>(&self, result: std::io::Result<T>, warnings: &mut Vec<String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let Source { pod, container } = &*self.source;
                let text = format!("logs of {}/{} {container}: {error}", pod.namespace, pod.pod);
                tracing::warn!(text, "a part of a log was not read");
                if warnings.len() < WARNINGS_MAX {
                    warnings.push(text);
                }
                None
            }
        }
    }
}
