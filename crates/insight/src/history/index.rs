//! Which slots are whose; kept in memory and made anew from the slots' heads when the file is opened.
//!
//! Invariants: a target's slots are in the order of their sequence; a slot that is begun anew leaves its last target
//! first; after a restart, and after a write that failed, each target goes on in a new slot, as what the next row is
//! told against is not known to be in the file.

use super::identity::Identity;
use super::ring::{Found, Ring};
use super::row::Encoder;
use super::slot::{Head, SLOT_BYTES};
use crate::Reading;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

pub(super) struct Target {
    pub(super) identity: Arc<Identity>,
    slots: VecDeque<Held>,
    open: Option<Open>,
    /// Of the newest row, as far as it is known.
    last_ms: i64,
    /// The amounts that it has ever had, a bit each.
    pub(super) has: u32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    sequence: u64,
    place: u32,
    first_ms: i64,
}

/// The slot that the next row goes to.
struct Open {
    place: u32,
    offset: usize,
    encoder: Encoder,
}

pub(super) struct Index {
    by_identity: HashMap<Arc<Identity>, u32>,
    /// `None`: forgotten, to be used again.
    targets: Vec<Option<Target>>,
    free: Vec<u32>,
    /// The target of each slot so far.
    owners: Vec<Option<u32>>,
    capacity: u32,
    /// The next slot to begin.
    cursor: u32,
    sequence: u64,
    scratch: Vec<u8>,
}

impl Index {
    pub(super) fn new(capacity: u32) -> Index {
        Index {
            by_identity: HashMap::new(),
            targets: Vec::new(),
            free: Vec::new(),
            owners: Vec::new(),
            capacity,
            cursor: 0,
            sequence: 0,
            scratch: Vec::new(),
        }
    }

    /// What the file has at `place`; called for places in order.
    pub(super) fn found(&mut self, place: u32, found: Option<Found>) {
        let Some(Found { head: Head { sequence, first_ms, identity }, has }) = found else {
            return self.owners.push(None);
        };
        if sequence >= self.sequence {
            self.sequence = sequence + 1;
            self.cursor = (place + 1) % self.capacity;
        }
        let number = self.target(identity);
        self.owners.push(Some(number));
        if let Some(target) = &mut self.targets[number as usize] {
            target.slots.push_back(Held { sequence, place, first_ms });
            target.last_ms = target.last_ms.max(first_ms);
            target.has |= has;
        }
    }

    /// All places have been told of.
    pub(super) fn scanned(&mut self) {
        for target in self.targets.iter_mut().flatten() {
            target.slots.make_contiguous().sort_unstable_by_key(|held| held.sequence);
        }
    }

    fn target(&mut self, identity: Identity) -> u32 {
        if let Some(number) = self.by_identity.get(&identity) {
            return *number;
        }
        let identity = Arc::new(identity);
        let target =
            Target { identity: identity.clone(), slots: VecDeque::new(), open: None, last_ms: i64::MIN, has: 0 };
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.targets.push(None);
                u32::try_from(self.targets.len() - 1).expect("targets have slots, whose numbers fit")
            }
        };
        self.targets[number as usize] = Some(target);
        self.by_identity.insert(identity, number);
        number
    }

    /// Appends a row. One that is not newer than the last is passed over.
    pub(super) fn record(
        &mut self,
        ring: &Ring,
        identity: Identity,
        time_ms: i64,
        reading: &Reading,
    ) -> io::Result<()> {
        let number = self.target(identity);
        let target = self.targets[number as usize].as_mut().expect("just found");
        target.has |= reading.mask();
        if time_ms <= target.last_ms {
            return Ok(());
        }
        // Only put back once the row is in the file: the encoder is told against what the file has.
        if let Some(mut open) = target.open.take() {
            self.scratch.clear();
            open.encoder.row(time_ms, reading, &mut self.scratch);
            if open.offset + self.scratch.len() <= SLOT_BYTES {
                ring.write(open.place, open.offset, &self.scratch)?;
                open.offset += self.scratch.len();
                target.last_ms = time_ms;
                target.open = Some(open);
                return Ok(());
            }
        }
        self.begin(ring, number, time_ms, reading)
    }

    /// Begins a slot for the target, with this row.
    fn begin(&mut self, ring: &Ring, number: u32, time_ms: i64, reading: &Reading) -> io::Result<()> {
        let place = self.cursor;
        let Some(target) = self.targets[number as usize].as_ref() else { return Ok(()) };
        let head = Head { sequence: self.sequence, first_ms: time_ms, identity: (*target.identity).clone() };
        let mut encoder = Encoder::new(time_ms);
        self.scratch.clear();
        encoder.row(time_ms, reading, &mut self.scratch);
        // Whose slot it was keeps it where this fails.
        let offset = ring.begin(place, &head, &self.scratch)?;
        self.leave(place, number);
        self.sequence += 1;
        self.cursor = (place + 1) % self.capacity;
        let Some(target) = self.targets[number as usize].as_mut() else { return Ok(()) };
        target.slots.push_back(Held { sequence: head.sequence, place, first_ms: time_ms });
        target.open = Some(Open { place, offset, encoder });
        target.last_ms = time_ms;
        let owner = place as usize;
        if self.owners.len() <= owner {
            self.owners.resize(owner + 1, None);
        }
        self.owners[owner] = Some(number);
        Ok(())
    }

    /// Takes the slot from whoever has it; who then has none is forgotten, unless it is `but`.
    fn leave(&mut self, place: u32, but: u32) {
        let Some(number) = self.owners.get_mut(place as usize).and_then(Option::take) else { return };
        let Some(target) = self.targets[number as usize].as_mut() else { return };
        target.slots.retain(|held| held.place != place);
        if target.open.as_ref().is_some_and(|open| open.place == place) {
            target.open = None;
        }
        if target.slots.is_empty() && number != but {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u32) {
        let Some(target) = self.targets[number as usize].take() else { return };
        for held in &target.slots {
            self.owners[held.place as usize] = None;
        }
        self.by_identity.remove(&target.identity);
        self.free.push(number);
    }

    /// Forgets the targets that have not been measured for longest, where there are more than `most`: a tenth, so that
    /// it is seldom done.
    pub(super) fn forget_beyond(&mut self, most: usize) {
        if self.by_identity.len() <= most {
            return;
        }
        let numbered = self.targets.iter().enumerate();
        let mut by_age: Vec<(i64, u32)> = numbered
            .filter_map(|(number, target)| Some((target.as_ref()?.last_ms, u32::try_from(number).ok()?)))
            .collect();
        by_age.sort_unstable();
        let beyond = self.by_identity.len() - most + most / 10;
        by_age.into_iter().take(beyond).for_each(|(_, number)| self.forget(number));
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().flatten()
    }

    pub(super) fn slots(&self) -> usize {
        self.owners.iter().flatten().count()
    }

    pub(super) fn span(&self) -> Option<(i64, i64)> {
        let first = self.targets().filter_map(|target| target.slots.front()).map(|held| held.first_ms).min()?;
        let last = self.targets().map(|target| target.last_ms).max()?;
        Some((first, last))
    }
}

impl Target {
    /// The slots that may have rows between two moments: each lasts until the next begins.
    pub(super) fn between(&self, from_ms: i64, to_ms: i64) -> Vec<(u64, u32)> {
        let mut slots = Vec::new();
        for (index, held) in self.slots.iter().enumerate() {
            let ends_ms = self.slots.get(index + 1).map_or(i64::MAX, |next| next.first_ms);
            if held.first_ms <= to_ms && ends_ms > from_ms {
                slots.push((held.sequence, held.place));
            }
        }
        slots
    }
}
