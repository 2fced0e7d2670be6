//! Snapshots: every key at one revision, so that the log before it can go.
//!
//! Invariants: a snapshot has its final name only when it is whole and durable; the log that it replaces is removed
//! only when that name is durable. The header's number is the revision, its extra the number of keys.

use super::frame::{self, Next, Reader};
use super::record::{self, Malformed, Payload};
use super::tree::Tree;
use crate::StoreError;
use crate::files::{File, Files, attempted, write_all_at};
use std::sync::atomic::{AtomicBool, Ordering};

const MAGIC: &[u8; 8] = b"SAMPSNP1";
const PREFIX: &str = "snapshot-";
/// A file under construction; whatever a crash leaves of it goes at the next start.
pub(super) const TEMPORARY: &str = ".tmp";
const FRAME_BYTES: usize = 1 << 20;
/// Synced so often, because one long sync at the end would hold up the log's own syncs on the same disk.
const SYNC_BYTES: u64 = 8 << 20;

pub(super) fn name(revision: u64) -> String {
    format!("{PREFIX}{revision:020}")
}

/// The revision of the snapshot with this name.
pub(super) fn revision_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Writes `tree` as it was at `revision`, durably. `Ok(None)`: given up, because `stop` was set; else its length.
pub(super) fn write(
    files: &dyn Files,
    revision: u64,
    tree: &Tree,
    stop: &AtomicBool,
) -> Result<Option<u64>, StoreError> {
    let (name, temporary) = (name(revision), format!("{}{TEMPORARY}", name(revision)));
    let write = || {
        let file = files.create(&temporary)?;
        let Some(len) = write_entries(&*file, revision, tree, stop)? else { return Ok(None) };
        file.sync()?;
        files.rename(&temporary, &name)?;
        files.sync_names()?;
        Ok(Some(len))
    };
    write().map_err(attempted(format!("write {}/{name}", files.place())))
}

fn write_entries(file: &dyn File, revision: u64, tree: &Tree, stop: &AtomicBool) -> std::io::Result<Option<u64>> {
    let mut offset = frame::FILE_HEADER as u64;
    write_all_at(file, &frame::file_header(MAGIC, revision, tree.len() as u64), 0)?;
    let (mut buffer, mut synced) = (Vec::with_capacity(FRAME_BYTES * 2), offset);
    let mut entries = tree.iter().peekable();
    while entries.peek().is_some() {
        buffer.clear();
        let start = frame::begin(&mut buffer);
        let mut count = 0;
        while let Some(entry) = entries.next_if(|_| buffer.len() < FRAME_BYTES) {
            record::put_entry(&mut buffer, &entry);
            count += 1;
        }
        frame::end(&mut buffer, start, offset, revision, count);
        write_all_at(file, &buffer, offset)?;
        offset += buffer.len() as u64;
        if offset - synced > SYNC_BYTES {
            file.sync()?;
            synced = offset;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    Ok(Some(offset))
}

/// Reads a snapshot back. It was whole when it got its name, so that any damage is an error.
pub(super) fn read(files: &dyn Files, revision: u64) -> Result<Tree, StoreError> {
    let name = format!("{}/{}", files.place(), name(revision));
    let file = files.open(&self::name(revision)).map_err(attempted(format!("open {name}")))?;
    let mut reader = Reader::new(&*file, &name)?;
    let keys = match reader.file_header(MAGIC)? {
        Some((number, keys)) if number == revision => keys,
        _ => return Err(reader.corrupt(0, "the snapshot's header is damaged")),
    };
    let mut tree = Tree::default();
    loop {
        match reader.next()? {
            Next::End if tree.len() as u64 == keys => return Ok(tree),
            Next::End => {
                let reason = format!("the snapshot has {} keys of {keys}", tree.len());
                return Err(StoreError::Corrupt { attempted: format!("read {name}"), reason });
            }
            Next::Bad { offset, reason, .. } => return Err(reader.corrupt(offset, reason)),
            Next::Frame { count, offset, payload, .. } => {
                let restored = restore(&mut tree, payload, count);
                restored.map_err(|Malformed(reason)| reader.corrupt(offset, reason))?;
            }
        }
    }
}

fn restore(tree: &mut Tree, payload: &[u8], count: u32) -> Result<(), Malformed> {
    let mut payload = Payload::new(payload);
    for _ in 0..count {
        tree.restore(payload.entry()?);
    }
    payload.end()
}
