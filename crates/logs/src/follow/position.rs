//! Where in a container's log somebody is, in words that hold when files are renamed, archived or removed meanwhile.

use crate::block::{Block, Decoder};
use crate::identity::{Part, Rotation};
use crate::raw_line::RawLine;
use crate::search::{Later, Rotated};
use crate::segment::Segment;
use crate::time::Nanoseconds;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Of a part's first line, what tells it from others'.
const PRINT_BYTES: usize = 1 << 10;
/// The runtime's format puts less than this before the text.
const HEAD_BYTES: usize = 64;

/// What a part is known by, raw or archived: its first line. The time is in nanoseconds, so that even lines of one text
/// differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    /// `None` where it is not in the runtime's format.
    time: Option<Nanoseconds>,
    text: u32,
}

impl Print {
    pub(crate) fn time(&self) -> Option<Nanoseconds> {
        self.time
    }

    fn of_text(time: Option<Nanoseconds>, text: &[u8]) -> Print {
        Print { time, text: crc32fast::hash(&text[..text.len().min(PRINT_BYTES)]) }
    }

    /// `None` of a file whose first line is not whole; one that `is_over` will not become so.
    pub(crate) fn of_raw(file: &File, is_over: bool) -> io::Result<Option<Print>> {
        let mut head = vec![0; PRINT_BYTES + HEAD_BYTES];
        let mut have = 0;
        loop {
            let read = file.read_at(&mut head[have..], have as u64)?;
            have += read;
            if read == 0 || have == head.len() {
                break;
            }
        }
        let end = memchr::memchr(b'\n', &head[..have]);
        if end.is_none() && have < head.len() && !(is_over && have > 0) {
            return Ok(None);
        }
        let line = &head[..end.unwrap_or(have)];
        Ok(Some(match RawLine::parse(line) {
            Some(line) => Print::of_text(Some(line.time), line.text),
            None => Print::of_text(None, line),
        }))
    }

    fn of_block(block: &Block) -> Option<Print> {
        let line = block.lines().first()?;
        Some(Print::of_text((!line.is_malformed()).then_some(line.time), block.text(0)))
    }

    pub(crate) fn of_segment(segment: &Segment, decoder: &mut Decoder) -> io::Result<Option<Print>> {
        if segment.index().blocks.is_empty() {
            return Ok(None);
        }
        Ok(Print::of_block(&segment.block(0, decoder)?))
    }

    fn of_part(piece: &Later, decoder: &mut Decoder) -> io::Result<Option<Print>> {
        match piece {
            Later::Raw { file, .. } => Print::of_raw(file, false),
            Later::Archived(_, path) => match Segment::open(path) {
                Ok(segment) => Print::of_segment(&segment, decoder),
                // Gone, or damaged: it is not known by its first line in any case.
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "a segment of logs was not looked at");
                    Ok(None)
                }
            },
        }
    }
}

/// A part's place among the parts of its container.
pub(crate) type Place = (u32, Rotation);

/// What is known of a part, to find it again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) place: Place,
    pub(crate) rotated: Rotated,
    pub(crate) inode: Option<u64>,
    pub(crate) print: Option<Print>,
}

impl Known {
    /// Which of the parts it is by now.
    pub(crate) fn find(&self, parts: &[Later], decoder: &mut Decoder) -> io::Result<Option<usize>> {
        for (index, piece) in parts.iter().enumerate() {
            // Both are open: no other file has the number meanwhile.
            if let (Later::Raw { file, .. }, Some(inode)) = (piece, self.inode)
                && file.metadata()?.ino() == inode
            {
                return Ok(Some(index));
            }
        }
        if self.print.is_none() {
            return Ok(None);
        }
        for (index, piece) in parts.iter().enumerate() {
            if self.may_be(piece.part()) && Print::of_part(piece, decoder)? == self.print {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn may_be(&self, part: &Part) -> bool {
        let (attempt, rotation) = self.place;
        let is_later = match (rotation, part.rotation) {
            (Rotation::Number(own), Rotation::Number(number)) => number == own,
            (Rotation::Number(_), _) => false,
            (_, Rotation::Number(number)) => number > self.rotated.last,
            (_, Rotation::Moving | Rotation::Live) => true,
        };
        part.attempt == attempt && is_later
    }

    /// What it comes behind, where it is no longer there: what is later than this was not in it.
    pub(crate) fn bound(&self, parts: &[Later]) -> Place {
        let (attempt, rotation) = self.place;
        if let Rotation::Number(_) = rotation {
            return self.place;
        }
        let before = Rotation::Number(self.rotated.last);
        if !self.rotated.moving {
            return (attempt, before);
        }
        // The file before it has got its number since.
        let own = parts.iter().map(Later::part).filter(|part| part.attempt == attempt && part.rotation > before);
        (attempt, own.map(|part| part.rotation).next().unwrap_or(before))
    }
}

/// Up to where a container's log has been taken. Serialized, it outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) attempt: u32,
    pub(crate) rotation: Rotation,
    pub(crate) rotated: Rotated,
    pub(crate) print: Option<Print>,
    /// Of the part.
    pub(crate) lines: u64,
    /// Of the part while it is raw.
    pub(crate) bytes: u64,
}

impl Position {
    pub(crate) fn known(&self) -> Known {
        Known { place: (self.attempt, self.rotation), rotated: self.rotated, inode: None, print: self.print }
    }

    /// How many lines of a part that has `lines` were not taken.
    pub(crate) fn beyond(&self, part: &Part, lines: u64) -> u64 {
        let rest = lines.saturating_sub(self.lines);
        if part.attempt != self.attempt {
            return if part.attempt < self.attempt { 0 } else { lines };
        }
        let own = self.rotated.last + 1 + u64::from(self.rotated.moving);
        match (self.rotation, part.rotation) {
            (Rotation::Number(at), Rotation::Number(number)) if number <= at => {
                if number == at {
                    rest
                } else {
                    0
                }
            }
            (Rotation::Number(_), _) => lines,
            (_, Rotation::Number(number)) if number <= own => {
                if number == own {
                    rest
                } else {
                    0
                }
            }
            (_, Rotation::Number(_)) => lines,
            (_, Rotation::Moving | Rotation::Live) => rest,
        }
    }
}
