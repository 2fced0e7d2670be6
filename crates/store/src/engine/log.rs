//! The log: segments of checksummed frames, one frame per group commit, synced before anyone is told.
//!
//! Invariants: a frame is written only after the one before it is durable, so that only the log's last frame can be
//! torn. A segment's name is durable before its first frame is. A frame's tag is its first revision and its count the
//! number of transactions; revisions are dense across frames and segments.

use super::frame;
use crate::StoreError;
use crate::files::{File, Files, attempted, write_all_at};
use std::sync::Arc;

pub(super) const MAGIC: &[u8; 8] = b"SAMPLOG1";
const PREFIX: &str = "log-";

/// A segment that nothing is appended to any more.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    /// The last revision in it.
    pub(super) last: u64,
    pub(super) bytes: u64,
}

pub(super) fn name(first: u64) -> String {
    format!("{PREFIX}{first:020}")
}

/// The first revision of the segment with this name.
pub(super) fn first_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

pub(super) struct Log {
    files: Arc<dyn Files>,
    closed: Vec<Segment>,
    active: Box<dyn File>,
    active_first: u64,
    len: u64,
    segment_bytes_max: u64,
}

impl Log {
    /// Goes on after what recovery found: `active` is the last segment, whole up to `len` and durable.
    pub(super) fn resume(
        files: Arc<dyn Files>,
        closed: Vec<Segment>,
        active: Box<dyn File>,
        active_first: u64,
        len: u64,
        segment_bytes_max: u64,
    ) -> Log {
        Log { files, closed, active, active_first, len, segment_bytes_max }
    }

    /// Where the next frame begins, once there is room for it: `next_revision` is the first in it.
    pub(super) fn offset(&mut self, next_revision: u64) -> Result<u64, StoreError> {
        if self.len > self.segment_bytes_max && next_revision > self.active_first {
            let active = create_segment(&*self.files, next_revision)?;
            self.closed.push(Segment { first: self.active_first, last: next_revision - 1, bytes: self.len });
            self.active = active;
            self.active_first = next_revision;
            self.len = frame::FILE_HEADER as u64;
        }
        Ok(self.len)
    }

    /// Appends one frame, made for `offset()`, and makes it durable.
    ///
    /// After an error the log must not be appended to: what the kernel has of the frame is unknown, and a later sync
    /// that succeeds would say nothing about it.
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        let place = || format!("append {} bytes to {}/{}", frame.len(), self.files.place(), name(self.active_first));
        if let Err(error) = write_all_at(&*self.active, frame, self.len) {
            self.cut_off();
            return Err(attempted(place())(error));
        }
        if let Err(error) = self.active.sync() {
            self.cut_off();
            return Err(attempted(format!("{} and sync them", place()))(error));
        }
        self.len += frame.len() as u64;
        Ok(())
    }

    /// Takes an unacknowledged frame back, so that it does not come to life at the next start. Nothing depends on it.
    fn cut_off(&self) {
        if let Err(error) = self.active.set_len(self.len).and_then(|()| self.active.sync()) {
            tracing::warn!(%error, "the store's log keeps an unacknowledged write that may reappear after a restart");
        }
    }

    /// All bytes of the log.
    pub(super) fn bytes(&self) -> u64 {
        self.len + self.closed.iter().map(|segment| segment.bytes).sum::<u64>()
    }

    pub(super) fn closed(&self) -> &[Segment] {
        &self.closed
    }

    /// The segments with these first revisions are gone.
    pub(super) fn removed(&mut self, firsts: &[u64]) {
        self.closed.retain(|segment| !firsts.contains(&segment.first));
    }
}

/// Creates a segment, durable by content and by name.
pub(super) fn create_segment(files: &dyn Files, first: u64) -> Result<Box<dyn File>, StoreError> {
    let create = || {
        let file = files.create(&name(first))?;
        write_all_at(&*file, &frame::file_header(MAGIC, first, 0), 0)?;
        file.sync()?;
        files.sync_names()?;
        Ok(file)
    };
    create().map_err(attempted(format!("create {}/{}", files.place(), name(first))))
}
