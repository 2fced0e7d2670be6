//! The file: slots that are written again in turn.

use super::row::Decoder;
use super::slot::{Head, SLOT_BYTES, Slot};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Slots that are looked at in one read when the file is opened.
const SCAN_SLOTS: usize = 64;
/// A ring has at least so many: a node's own, and some to turn over.
const SLOTS_MIN: u64 = 16;

/// What a slot says of itself, and the set of amounts in its first row.
pub(super) struct Found {
    pub(super) head: Head,
    pub(super) has: u32,
}

impl Found {
    fn of(slot: &[u8]) -> Option<Found> {
        let (head, rows_at) = Head::decode(slot)?;
        let (mut decoder, mut rows) = (Decoder::new(head.first_ms), &slot[rows_at..]);
        let has = decoder.next(&mut rows).map_or(0, |_| decoder.reading().mask());
        Some(Found { head, has })
    }
}

pub(super) struct Ring {
    pub(super) file: File,
    capacity: u32,
}

impl Ring {
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<Ring> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let slots = (bytes_max / SLOT_BYTES as u64).max(SLOTS_MIN);
        let capacity = u32::try_from(slots).unwrap_or(u32::MAX);
        let bytes = u64::from(capacity) * SLOT_BYTES as u64;
        if file.metadata()?.len() > bytes {
            // It was larger before.
            file.set_len(bytes)?;
        }
        Ok(Ring { file, capacity })
    }

    /// How many slots there may be.
    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Calls `found` with each place and what is there.
    pub(super) fn scan(&self, mut found: impl FnMut(u32, Option<Found>)) -> io::Result<()> {
        let mut bytes = vec![0; SLOT_BYTES * SCAN_SLOTS];
        let slots = self.file.metadata()?.len().div_ceil(SLOT_BYTES as u64);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX).min(self.capacity);
        let mut place = 0;
        while place < slots {
            bytes.fill(0);
            let at = u64::from(place) * SLOT_BYTES as u64;
            let read = read_full(&self.file, &mut bytes, at)?;
            for slot in bytes[..read].chunks(SLOT_BYTES) {
                if place < slots {
                    found(place, Found::of(slot));
                }
                place += 1;
            }
            if read == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Makes the slot at `place` this head's, with one row; where the next begins.
    pub(super) fn begin(&self, place: u32, head: &Head, row: &[u8]) -> io::Result<usize> {
        let mut bytes = head.encode();
        bytes.extend_from_slice(row);
        let next_at = bytes.len();
        bytes.resize(SLOT_BYTES, 0);
        self.file.write_all_at(&bytes, u64::from(place) * SLOT_BYTES as u64)?;
        Ok(next_at)
    }

    pub(super) fn write(&self, place: u32, offset: usize, row: &[u8]) -> io::Result<()> {
        self.file.write_all_at(row, u64::from(place) * SLOT_BYTES as u64 + offset as u64)
    }

    /// The slot at `place`, unless it is another's by now.
    pub(super) fn read(&self, place: u32, sequence: u64) -> io::Result<Option<Slot>> {
        let mut bytes = Box::new([0; SLOT_BYTES]);
        read_full(&self.file, bytes.as_mut_slice(), u64::from(place) * SLOT_BYTES as u64)?;
        Ok(Slot::of(bytes, sequence))
    }
}

/// As much as there is.
fn read_full(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], at + have as u64) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}
