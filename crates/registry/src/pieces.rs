//! Consecutive events of a log as the lines that watchers send: made once for all who stand at the same place.
//!
//! Bounds: a piece has about `PIECE_BYTES` (or one larger event); a log keeps so many as it is told, the newest, and
//! none for a single reader.

use crate::event::Event;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use store::Revision;

const PIECE_BYTES: usize = 64 << 10;
/// Events read for one piece at most.
pub(crate) const PIECE_EVENTS_MAX: usize = 256;

#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) lines: Bytes,
    /// The indexes of its first event, and after its last one.
    first: u64,
    pub(crate) end: u64,
    /// Its last event's.
    pub(crate) reached: Revision,
}

impl Piece {
    /// The first of these events as far as they fit; there is at least one.
    fn of(first: u64, events: &[Arc<Event>]) -> Option<Piece> {
        let reached = events.first()?.revision;
        let mut piece = Piece { lines: Bytes::new(), first, end: first, reached };
        let mut taken = 0;
        let mut length = 0;
        for event in events {
            let more = event.frame_len(event.plain_type());
            if taken > 0 && length + more > PIECE_BYTES {
                break;
            }
            length += more;
            taken += 1;
        }
        let mut lines = Vec::with_capacity(length);
        for event in &events[..taken] {
            event.write_frame(event.plain_type(), &mut lines);
            piece.reached = event.revision;
        }
        piece.end += taken as u64;
        piece.lines = lines.into();
        Some(piece)
    }
}

#[derive(Default)]
pub(crate) struct Pieces {
    known: VecDeque<Piece>,
}

impl Pieces {
    /// The piece that begins at an index, unless there is more of it by now.
    pub(crate) fn get(&self, first: u64, log_end: u64) -> Option<Piece> {
        let known = self.known.iter().rev().find(|piece| piece.first == first)?;
        let whole = known.end == log_end || known.lines.len() > PIECE_BYTES / 2;
        whole.then(|| known.clone())
    }

    /// Makes a piece, and keeps it if `most` allows.
    pub(crate) fn make(&mut self, first: u64, events: &[Arc<Event>], most: usize) -> Option<Piece> {
        let piece = Piece::of(first, events)?;
        self.known.retain(|known| known.first != first);
        while !self.known.is_empty() && self.known.len() >= most {
            self.known.pop_front();
        }
        if most > 0 {
            self.known.push_back(piece.clone());
        }
        Some(piece)
    }
}
