//! Finds lines of many containers and merges them in the order of their times.
//!
//! Invariants: the lines of one container come in the order in which it wrote them, also where the clock went back (its
//! later lines are then sorted as if they had the time of the latest before them); lines of equal time stay together by
//! container. Memory: [`BUFFER_BYTES_MAX`] of lines that wait, over all containers, and one block. Between two blocks a search
//! can be paused: it neither works on for nobody nor keeps others from theirs.

mod chain;
mod matcher;
mod plan;
mod reader;

pub(crate) use matcher::select;
pub(crate) use plan::{Found, Later, Live, Rotated, parts, plan};
pub(crate) use reader::first_time;

use crate::archive::Archive;
use crate::block::Decoder;
use crate::identity::Identity;
use crate::level::Level;
use crate::query::Filter;
use crate::time::Nanoseconds;
use chain::{Chain, Filled};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

/// Texts of lines that are found and not yet taken.
const BUFFER_BYTES_MAX: usize = 8 << 20;
/// Of one container at least, and at most a block.
const BUFFER_BYTES_MIN: usize = 16 << 10;

/// A container that has said something.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub pod: Arc<Identity>,
    pub container: Box<str>,
}

/// A line as it is found; it is good until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub source: &'a Arc<Source>,
    pub time: Nanoseconds,
    pub stderr: bool,
    /// The line goes on in the next of its stream.
    pub partial: bool,
    pub level: Level,
    /// Without a newline; need not be UTF-8.
    pub text: &'a [u8],
}

/// What comes next in a search.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    Line(Entry<'a>),
    /// It was told to pause, and goes on with the next step.
    Paused,
    End,
}

/// A search under way. It sees what was there when it began.
pub struct Search {
    filter: Filter,
    chains: Vec<Chain>,
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    current: Option<usize>,
    left: u64,
    decoder: Decoder,
    warnings: Vec<String>,
}

impl Search {
    /// Blocks, as do its methods.
    ///
    /// # Errors
    /// The directories of logs cannot be read.
    pub fn new(archive: &Archive, filter: Filter) -> io::Result<Search> {
        let found = plan(archive.shared(), &filter)?;
        Search::over(filter, found)
    }

    pub(crate) fn over(filter: Filter, found: Vec<Found>) -> io::Result<Search> {
        let budget = (BUFFER_BYTES_MAX / found.len().max(1)).max(BUFFER_BYTES_MIN);
        let chains: Vec<Chain> = found.into_iter().map(|found| Chain::new(found, filter.order(), budget)).collect();
        let heads = chains.iter().enumerate().map(|(index, chain)| Reverse((chain.key(), index))).collect();
        let left = filter.query.limit.unwrap_or(u64::MAX);
        Ok(Search { filter, chains, heads, current: None, left, decoder: Decoder::new()?, warnings: Vec::new() })
    }

    /// The next line, unless there are no more.
    pub fn next_entry(&mut self) -> Option<Entry<'_>> {
        match self.step(&mut || true) {
            Step::Line(entry) => Some(entry),
            Step::Paused | Step::End => None,
        }
    }

    /// The next line; `go_on` is asked before each block that is read for it.
    pub(crate) fn step(&mut self, go_on: &mut dyn FnMut() -> bool) -> Step<'_> {
        if self.left == 0 {
            return Step::End;
        }
        if let Some(index) = self.current.take() {
            self.chains[index].advance();
            if !self.raise(index, go_on) {
                return Step::Paused;
            }
        }
        loop {
            let Some(Reverse((_, index))) = self.heads.pop() else { return Step::End };
            if self.chains[index].is_ready() {
                self.current = Some(index);
                self.left -= 1;
                return Step::Line(self.chains[index].entry());
            }
            if !self.raise(index, go_on) {
                return Step::Paused;
            }
        }
    }

    /// Puts a container back in its place, if it has more; answers false if it was paused before that is known.
    fn raise(&mut self, index: usize, go_on: &mut dyn FnMut() -> bool) -> bool {
        let chain = &mut self.chains[index];
        match chain.fill(&self.filter, &mut self.decoder, &mut self.warnings, go_on) {
            Filled::At(key) => self.heads.push(Reverse((key, index))),
            Filled::Empty => {}
            Filled::Paused => {
                self.heads.push(Reverse((chain.key(), index)));
                return false;
            }
        }
        true
    }

    /// What could not be read so far, in words.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

#[cfg(test)]
mod tests;
