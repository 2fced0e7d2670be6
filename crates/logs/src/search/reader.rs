//! Reads one part of a log in blocks, from either end.

use super::plan::Piece;
use crate::block::{BLOCK_BYTES, Block, Decoder, LINE_BYTES_MAX};
use crate::query::{Filter, Order};
use crate::raw_line::RawLine;
use crate::segment::Segment;
use crate::time::Nanoseconds;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub(super) enum Reader {
    Archived {
        segment: Box<Segment>,
        /// Blocks that may have something, in the order of the search.
        blocks: VecDeque<usize>,
        last: Option<usize>,
    },
    Raw(RawReader),
}

impl Reader {
    /// `None` where the part is gone, because it was the oldest of too much.
    pub(super) fn open(piece: Piece, filter: &Filter) -> io::Result<Option<Reader>> {
        match piece {
            Piece::Archived { path, .. } => {
                let segment = match Segment::open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    opened => opened?,
                };
                let wanted = segment
                    .index()
                    .blocks
                    .iter()
                    .enumerate()
                    .filter(|(_, block)| filter.wants_any_of(block.span.first, block.span.last, block.levels));
                let mut blocks: VecDeque<usize> = wanted.map(|(number, _)| number).collect();
                if filter.order() == Order::NewestFirst {
                    blocks.make_contiguous().reverse();
                }
                Ok(Some(Reader::Archived { segment: Box::new(segment), blocks, last: None }))
            }
            Piece::Raw { file, length } => Ok(Some(Reader::Raw(RawReader {
                file,
                order: filter.order(),
                from: 0,
                to: length,
                before: (0, length),
            }))),
        }
    }

    /// The next lines, and whether they know their levels; none of a block that has nothing the filter wants.
    pub(super) fn next_block(&mut self, decoder: &mut Decoder, filter: &Filter) -> io::Result<Option<(Block, bool)>> {
        match self {
            Reader::Archived { segment, blocks, last } => {
                *last = blocks.pop_front();
                let Some(number) = *last else { return Ok(None) };
                let block = segment.block_if(number, decoder, |texts| filter.may_be_in(texts))?;
                Ok(Some((block.unwrap_or_default(), true)))
            }
            Reader::Raw(raw) => Ok(raw.next_block()?.map(|block| (block, false))),
        }
    }

    /// Makes the last block come again.
    pub(super) fn step_back(&mut self) {
        match self {
            Reader::Archived { blocks, last, .. } => {
                if let Some(number) = last.take() {
                    blocks.push_front(number);
                }
            }
            Reader::Raw(raw) => (raw.from, raw.to) = raw.before,
        }
    }
}

/// A log file in the runtime's format; what is unread is between `from` and `to`.
pub(super) struct RawReader {
    file: File,
    order: Order,
    from: u64,
    to: u64,
    before: (u64, u64),
}

impl RawReader {
    fn next_block(&mut self) -> io::Result<Option<Block>> {
        self.before = (self.from, self.to);
        if self.from >= self.to {
            return Ok(None);
        }
        let bytes = match self.order {
            Order::OldestFirst => self.forwards()?,
            Order::NewestFirst => self.backwards()?,
        };
        Ok(Some(block_of(&bytes)))
    }

    /// Whole lines from the beginning; one that is longer than any should be is taken in pieces.
    fn forwards(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let have = bytes.len();
            let more = (BLOCK_BYTES as u64).min(self.to - self.from - have as u64) as usize;
            bytes.resize(have + more, 0);
            self.file.read_exact_at(&mut bytes[have..], self.from + have as u64)?;
            let is_last = self.from + bytes.len() as u64 >= self.to;
            let end = if is_last { Some(bytes.len()) } else { memchr::memrchr(b'\n', &bytes).map(|at| at + 1) };
            if let Some(end) = end.or_else(|| (bytes.len() >= LINE_BYTES_MAX).then_some(bytes.len())) {
                bytes.truncate(end);
                self.from += end as u64;
                return Ok(bytes);
            }
        }
    }

    /// Whole lines from the end.
    fn backwards(&mut self) -> io::Result<Vec<u8>> {
        let mut length = BLOCK_BYTES as u64;
        loop {
            let start = self.to.saturating_sub(length).max(self.from);
            let mut bytes = vec![0; (self.to - start) as usize];
            self.file.read_exact_at(&mut bytes, start)?;
            // The newline before the first whole line; that of the last byte ends the last line.
            let cut = match start == self.from {
                true => Some(0),
                false => memchr::memchr(b'\n', &bytes[..bytes.len() - 1]).map(|at| at + 1),
            };
            if let Some(cut) = cut.or_else(|| (bytes.len() >= LINE_BYTES_MAX).then_some(0)) {
                self.to = start + cut as u64;
                bytes.drain(..cut);
                return Ok(bytes);
            }
            length *= 2;
        }
    }
}

fn block_of(bytes: &[u8]) -> Block {
    let mut block = Block::default();
    let mut time = first_time(bytes);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
        time = block.push_raw(&bytes[from..end], time);
        from = end + 1;
    }
    block
}

/// The time of the first line that has one: what stands before it gets that.
pub(crate) fn first_time(bytes: &[u8]) -> Nanoseconds {
    bytes.split(|byte| *byte == b'\n').find_map(RawLine::parse).map_or(0, |line| line.time)
}
