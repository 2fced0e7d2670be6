//! One container's log as it grows.
//!
//! Invariants: a part is left for the next only when it is written no more and read to its end; what one look takes is
//! bounded by its caller, whatever has been written or archived since the last; a part that is damaged is passed over, and
//! what was not read of it is counted.

use super::position::{Known, Position, Print};
use crate::archive::Shared;
use crate::block::{BLOCK_BYTES, Block, Decoder, LINE_BYTES_MAX};
use crate::identity::{Part, Rotation};
use crate::query::Filter;
use crate::search::{Later, Live, Rotated, Source, parts, select};
use crate::segment::Segment;
use crate::time::Nanoseconds;
use crate::watcher::Signal;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

/// Wanted lines of a container, in order.
pub(crate) struct Taken {
    pub(crate) source: Arc<Source>,
    pub(crate) block: Block,
    /// Up to where the log has been read with them.
    pub(crate) upto: Position,
}

/// What one look may take, and what it took.
pub(crate) struct Look<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) filter: &'a Filter,
    pub(crate) decoder: &'a mut Decoder,
    /// Bytes that may still be read.
    pub(crate) left: usize,
    pub(crate) taken: Vec<Taken>,
}

struct Current {
    part: Part,
    rotated: Rotated,
    /// Another part is known to follow.
    over: bool,
    /// Lines that were taken of it.
    lines: u64,
    print: Option<Print>,
    data: Data,
}

enum Data {
    Raw {
        file: File,
        at: u64,
    },
    /// `skip` lines of the next block were taken before.
    Archived {
        segment: Box<Segment>,
        next: usize,
        skip: usize,
    },
}

impl Current {
    fn open(piece: Later, over: bool, decoder: &mut Decoder) -> io::Result<Option<Current>> {
        let (part, rotated, print, data) = match piece {
            Later::Raw { part, file, rotated } => (part, rotated, None, Data::Raw { file, at: 0 }),
            Later::Archived(part, path) => {
                let segment = match Segment::open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    opened => opened?,
                };
                let print = Print::of_segment(&segment, decoder)?;
                let rotated = Rotated { last: 0, moving: false };
                (part, rotated, print, Data::Archived { segment: Box::new(segment), next: 0, skip: 0 })
            }
        };
        Ok(Some(Current { part, rotated, over, lines: 0, print, data }))
    }

    /// Passes over what was taken of it before.
    fn skip_to(&mut self, position: &Position) -> io::Result<()> {
        self.lines = position.lines;
        match &mut self.data {
            Data::Raw { file, at } => {
                *at = position.bytes;
                if position.bytes == 0 && position.lines > 0 {
                    *at = end_of_line(file, position.lines)?;
                }
            }
            Data::Archived { segment, next, skip } => {
                let mut left = position.lines;
                let blocks = &segment.index().blocks;
                while *next < blocks.len() && left >= u64::from(blocks[*next].lines) {
                    left -= u64::from(blocks[*next].lines);
                    *next += 1;
                }
                *skip = left as usize;
            }
        }
        Ok(())
    }

    fn known(&mut self) -> io::Result<Known> {
        let mut inode = None;
        if let Data::Raw { file, .. } = &self.data {
            let status = file.metadata()?;
            inode = Some(status.ino());
            if self.print.is_none() {
                self.print = Print::of_raw(file, status.nlink() == 0)?;
            }
        }
        let place = (self.part.attempt, self.part.rotation);
        Ok(Known { place, rotated: self.rotated, inode, print: self.print })
    }

    fn position(&mut self, unread: usize) -> io::Result<Position> {
        let known = self.known()?;
        let bytes = match &self.data {
            Data::Raw { at, .. } => at - unread as u64,
            Data::Archived { .. } => 0,
        };
        let (attempt, rotation) = known.place;
        Ok(Position { attempt, rotation, rotated: known.rotated, print: known.print, lines: self.lines, bytes })
    }

    /// Whether it is written no more: it has another name, or none, or its container has been started again.
    fn is_over(&self, directory: &std::path::Path) -> io::Result<bool> {
        let file = match &self.data {
            Data::Raw { file, .. } if !self.over && !matches!(self.part.rotation, Rotation::Number(_)) => file,
            _ => return Ok(true),
        };
        let own = file.metadata()?;
        let path = directory.join(format!("{}.log", self.part.attempt));
        let is_renamed = std::fs::metadata(path).is_ok_and(|status| status.ino() != own.ino());
        let next = directory.join(format!("{}.log", self.part.attempt + 1));
        Ok(own.nlink() == 0 || is_renamed || next.exists())
    }
}

/// Where the last of so many lines ends.
fn end_of_line(file: &File, lines: u64) -> io::Result<u64> {
    let (mut at, mut left) = (0, lines);
    let mut bytes = vec![0; BLOCK_BYTES];
    loop {
        let read = file.read_at(&mut bytes, at)?;
        for end in memchr::memchr_iter(b'\n', &bytes[..read]) {
            left -= 1;
            if left == 0 {
                return Ok(at + end as u64 + 1);
            }
        }
        at += read as u64;
        if read == 0 {
            return Ok(at);
        }
    }
}

/// What a tail begins with.
enum Begin {
    First,
    /// Behind what an earlier one took.
    Behind(Position),
}

pub(crate) struct Tail {
    source: Arc<Source>,
    directory: PathBuf,
    pub(crate) signal: Arc<Signal>,
    begin: Begin,
    current: Option<Current>,
    /// The last part that was left, where there is no current one.
    done: Option<(u32, Rotation)>,
    /// The beginning of a line whose end is not there yet.
    pending: Vec<u8>,
    /// Of the last line, for what has none.
    time: Nanoseconds,
    drained: bool,
    lost: u64,
}

impl Tail {
    /// Begins with the container's first line, or behind what was taken before.
    pub(crate) fn new(source: Arc<Source>, directory: PathBuf, signal: Arc<Signal>, behind: Option<Position>) -> Tail {
        let begin = behind.map_or(Begin::First, Begin::Behind);
        let (current, done, pending) = (None, None, Vec::new());
        Tail { source, directory, signal, begin, current, done, pending, time: 0, drained: false, lost: 0 }
    }

    pub(super) fn go_on(source: Arc<Source>, directory: PathBuf, live: Live, signal: Arc<Signal>) -> Tail {
        let Live { part, file, length, rotated, .. } = live;
        let data = Data::Raw { file, at: length };
        let current = Some(Current { part, rotated, over: false, lines: 0, print: None, data });
        Tail { current, ..Tail::new(source, directory, signal, None) }
    }

    /// Whether the last look read all there is.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained
    }

    /// Lines that could not be read since this was asked before.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Reads what has been written, at most what is left to look at.
    pub(crate) fn read(&mut self, look: &mut Look<'_>) -> io::Result<()> {
        self.drained = false;
        loop {
            // Whether its writer has gone on to another file is asked before it is read to its end.
            let is_over = self.current.as_ref().map(|current| current.is_over(&self.directory)).transpose()?;
            if !self.read_current(look)? {
                self.signal.again();
                return Ok(());
            }
            if is_over == Some(false) && self.directory.exists() {
                self.drained = true;
                return Ok(());
            }
            if !self.go_over(look)? {
                self.drained = true;
                return Ok(());
            }
        }
    }

    /// Answers false when it may not read more now.
    fn read_current(&mut self, look: &mut Look<'_>) -> io::Result<bool> {
        loop {
            let Some(current) = &mut self.current else { return Ok(true) };
            if look.left == 0 {
                return Ok(false);
            }
            match &mut current.data {
                Data::Raw { file, at } => {
                    let have = self.pending.len();
                    self.pending.resize(have + BLOCK_BYTES.min(look.left), 0);
                    let read = file.read_at(&mut self.pending[have..], *at)?;
                    self.pending.truncate(have + read);
                    if read == 0 {
                        // A quiet container holds no memory for what it may say.
                        self.pending.shrink_to_fit();
                        return Ok(true);
                    }
                    *at += read as u64;
                    look.left -= read;
                    let end = match memchr::memrchr(b'\n', &self.pending) {
                        Some(end) => end + 1,
                        // A line that is longer than any should be is taken in pieces, as the archive does.
                        None => self.pending.len() / LINE_BYTES_MAX * LINE_BYTES_MAX,
                    };
                    let rest = self.pending.split_off(end);
                    let lines = std::mem::replace(&mut self.pending, rest);
                    self.push(&lines, look)?;
                }
                Data::Archived { segment, next, skip } => {
                    let Some(about) = segment.index().blocks.get(*next) else { return Ok(true) };
                    let lines = u64::from(about.lines);
                    let block = segment.block(*next, look.decoder);
                    let skip = std::mem::take(skip);
                    *next += 1;
                    current.lines += lines - skip as u64;
                    match block {
                        Ok(block) => {
                            look.left = look.left.saturating_sub(block.texts().len());
                            let block = if skip == 0 { block } else { block.select(skip..block.len()) };
                            self.keep(block, true, look)?;
                        }
                        Err(error) => {
                            self.lost += lines - skip as u64;
                            let Source { pod, container } = &*self.source;
                            tracing::warn!(pod = pod.pod, container, %error, lines, "a part of a log is not readable");
                        }
                    }
                }
            }
        }
    }

    /// Goes over to what was written after the current part; answers false where there is nothing.
    fn go_over(&mut self, look: &mut Look<'_>) -> io::Result<bool> {
        let all = parts(look.shared, &self.source.pod.directory(), &self.source.container)?;
        let mut behind = None;
        let after = match (&mut self.current, std::mem::replace(&mut self.begin, Begin::First)) {
            (Some(current), _) => {
                let known = current.known()?;
                let own = known.find(&all, look.decoder)?.map(|index| place(&all[index]));
                Some(own.unwrap_or_else(|| known.bound(&all)))
            }
            (None, Begin::Behind(position)) => {
                let known = position.known();
                let found = known.find(&all, look.decoder)?;
                behind = found.map(|index| (index, position));
                Some(known.bound(&all))
            }
            (None, Begin::First) => self.done,
        };
        let first = match behind {
            Some((index, _)) => Some(index),
            None => all.iter().position(|piece| after.is_none_or(|after| place(piece) > after)),
        };
        let Some(first) = first else {
            // Nothing follows yet; what was to be passed over is not there any more.
            self.done = if self.current.is_some() { self.done } else { after };
            return Ok(false);
        };
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.push(&rest, look)?;
        }
        let is_last = first + 1 == all.len();
        let Some(piece) = all.into_iter().nth(first) else { return Ok(false) };
        self.done = Some(place(&piece));
        self.current = match Current::open(piece, !is_last, look.decoder) {
            Ok(current) => current,
            Err(error) => {
                let Source { pod, container } = &*self.source;
                tracing::warn!(pod = pod.pod, container, %error, "a part of a log is not readable");
                self.lost += 1;
                None
            }
        };
        let Some(current) = &mut self.current else { return Ok(true) };
        if let Some((_, position)) = behind {
            current.skip_to(&position)?;
        }
        if self.time == 0 {
            // What stands before the first line with a time is taken for as old as that.
            self.time = current.known()?.print.and_then(|print| print.time()).unwrap_or(0);
        }
        Ok(true)
    }

    fn push(&mut self, lines: &[u8], look: &mut Look<'_>) -> io::Result<()> {
        let mut block = Block::default();
        for line in lines.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(LINE_BYTES_MAX)) {
            self.time = block.push_raw(line.strip_suffix(b"\n").unwrap_or(line), self.time);
        }
        if let Some(current) = &mut self.current {
            current.lines += block.len() as u64;
        }
        self.keep(block, false, look)
    }

    fn keep(&mut self, mut block: Block, classified: bool, look: &mut Look<'_>) -> io::Result<()> {
        let indices = select(look.filter, &mut block, classified);
        let Some(current) = self.current.as_mut().filter(|_| !indices.is_empty()) else { return Ok(()) };
        let upto = current.position(self.pending.len())?;
        let block = if indices.len() == block.len() { block } else { block.select(indices.into_iter()) };
        look.taken.push(Taken { source: self.source.clone(), block, upto });
        Ok(())
    }
}

fn place(piece: &Later) -> (u32, Rotation) {
    (piece.part().attempt, piece.part().rotation)
}
