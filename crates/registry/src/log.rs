//! A bounded log of events that any number of watchers read, each with nothing but a cursor.
//!
//! Invariants: events stand in revision order; every event after `floor` is in the log. Bounds: a log holds at most
//! `events_max` events and, beyond `events_min` of them, at most `bytes_max` bytes; the oldest go first, and a
//! cursor that pointed at one of them reads `Lagged`.

use crate::event::Event;
use crate::pieces::{PIECE_EVENTS_MAX, Piece, Pieces};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use store::Revision;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug)]
pub(crate) struct LogBounds {
    pub(crate) events_max: usize,
    pub(crate) events_min: usize,
    pub(crate) bytes_max: usize,
    /// Pieces of lines kept for those who come after.
    pub(crate) pieces_max: usize,
}

/// A resource's whole log: at 2,000 updates of 3 KB a second it reaches back about five seconds.
pub(crate) const WHOLE: LogBounds =
    LogBounds { events_max: 65_536, events_min: 256, bytes_max: 32 << 20, pieces_max: 8 };
/// The log of one name, namespace or node.
pub(crate) const NARROW: LogBounds = LogBounds { events_max: 4_096, events_min: 64, bytes_max: 8 << 20, pieces_max: 2 };

/// The reader fell off the log's end: events it has not seen are gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lagged;

/// A watch from a revision that the log no longer reaches back to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooOld {
    pub floor: Revision,
}

const FIRST_INDEX: u64 = 1 << 40;

struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The index of the ring's first event; counting starts high, so that history fits in front.
    first: u64,
    bytes: usize,
    floor: Revision,
    /// A log that was cut off (the cache was loaded anew) lags every reader.
    closed: bool,
}

pub(crate) struct Log {
    ring: Mutex<Ring>,
    bounds: LogBounds,
    pieces: Mutex<Pieces>,
    /// The index after the last event; a change wakes the readers.
    end: watch::Sender<u64>,
}

impl Log {
    pub(crate) fn new(bounds: LogBounds, floor: Revision) -> Log {
        let ring = Ring { events: VecDeque::new(), first: FIRST_INDEX, bytes: 0, floor, closed: false };
        Log { ring: Mutex::new(ring), bounds, pieces: Mutex::default(), end: watch::Sender::new(FIRST_INDEX) }
    }

    /// Adds newer events and wakes the readers.
    pub(crate) fn append(&self, events: &[Arc<Event>]) {
        if events.is_empty() {
            return;
        }
        let end = {
            let mut ring = self.ring.lock();
            for event in events {
                ring.bytes += event.cost();
                ring.events.push_back(event.clone());
            }
            ring.trim(self.bounds);
            ring.first + ring.events.len() as u64
        };
        self.end.send_replace(end);
    }

    /// Puts older events in front, the newest of them as far as they fit; `floor` is what they reach back to.
    pub(crate) fn prepend(&self, events: Vec<Arc<Event>>, floor: Revision) {
        let mut ring = self.ring.lock();
        let room = self.bounds.events_max.saturating_sub(ring.events.len());
        let mut reached = floor;
        for (added, event) in events.into_iter().rev().enumerate() {
            if added >= room || ring.bytes > self.bounds.bytes_max {
                reached = event.revision;
                break;
            }
            ring.bytes += event.cost();
            ring.first -= 1;
            ring.events.push_front(event);
        }
        ring.floor = reached;
    }

    /// Ends all readers: what they would read next is not known.
    pub(crate) fn close(&self) {
        self.ring.lock().closed = true;
        self.end.send_modify(|_| {});
    }

    pub(crate) fn floor(&self) -> Revision {
        self.ring.lock().floor
    }

    /// The index of the first event after `revision`.
    pub(crate) fn index_after(&self, revision: Revision) -> Result<u64, TooOld> {
        let ring = self.ring.lock();
        if revision < ring.floor {
            return Err(TooOld { floor: ring.floor });
        }
        let skipped = ring.events.partition_point(|event| event.revision <= revision);
        Ok(ring.first + skipped as u64)
    }

    /// The index after the last event.
    pub(crate) fn end_index(&self) -> u64 {
        let ring = self.ring.lock();
        ring.first + ring.events.len() as u64
    }

    /// Wakes when events are appended.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// How many read it at the moment.
    pub(crate) fn readers(&self) -> usize {
        self.end.receiver_count()
    }

    /// The lines of the events from `index` on, about a chunk of them; `None` at the end.
    pub(crate) fn piece(&self, index: u64) -> Result<Option<Piece>, Lagged> {
        // Held while a piece is made: who stands at the same place waits for it, and makes none of its own.
        let mut pieces = self.pieces.lock();
        if let Some(known) = pieces.get(index, self.ring.lock().readable(index)?) {
            return Ok(Some(known));
        }
        let mut events = Vec::new();
        self.read(index, PIECE_EVENTS_MAX, &mut events)?;
        let most = if self.readers() > 1 { self.bounds.pieces_max } else { 0 };
        Ok(pieces.make(index, &events, most))
    }

    /// At most `most` events from `index` on.
    pub(crate) fn read(&self, index: u64, most: usize, out: &mut Vec<Arc<Event>>) -> Result<(), Lagged> {
        let ring = self.ring.lock();
        ring.readable(index)?;
        let from = usize::try_from(index - ring.first).map_err(|_| Lagged)?;
        out.extend(ring.events.iter().skip(from).take(most).cloned());
        Ok(())
    }
}

impl Ring {
    /// The index after the last event, if the one at `index` is still there or yet to come.
    fn readable(&self, index: u64) -> Result<u64, Lagged> {
        if self.closed || index < self.first { Err(Lagged) } else { Ok(self.first + self.events.len() as u64) }
    }

    fn trim(&mut self, bounds: LogBounds) {
        while self.events.len() > bounds.events_max
            || (self.bytes > bounds.bytes_max && self.events.len() > bounds.events_min)
        {
            let Some(gone) = self.events.pop_front() else { return };
            self.first += 1;
            self.bytes -= gone.cost();
            self.floor = gone.revision;
        }
    }
}
