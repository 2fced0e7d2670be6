//! Where this engine's keys lie in etcd, and how revisions of both sides correspond.
//!
//! Invariants: an empty etcd is at revision 1 and an empty store at 0, so that ours is etcd's less one, and etcd's 0
//! ("the newest") stands for none of ours. A state that was brought here from elsewhere goes on behind its own
//! revisions: then ours is ahead of etcd's by a number that stands in etcd, and what lies before it is compacted.
//! Below one prefix lie the data (`PREFIX:KEY`) and a few keys beside them (`PREFIX.NAME`), which no range or watch of
//! the data meets.

use super::proto::{self, Compare};
use crate::{Key, KeyValue, Revision, StoreError};
use bytes::Bytes;
use std::sync::OnceLock;

/// Written by every transaction: its revision is the newest commit's, whoever else writes to this etcd.
pub(super) const HEAD: &str = "head";
/// Who compacted last.
pub(super) const COMPACTED: &str = "compacted";
/// How far our revisions are ahead, where that is not 0.
pub(super) const AHEAD: &str = "ahead";
/// Stands while a state is being restored, with who does so; for as long as nothing was changed, only as long as that
/// process's claim.
pub(super) const RESTORING: &str = "restoring";

#[derive(Debug)]
pub(super) struct Keyspace {
    prefix: String,
    /// Read when the store is opened, before anything else.
    ahead: OnceLock<Ahead>,
}

/// What a restore has said of the revisions since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) by: u64,
    /// The revision of etcd at which it said so.
    pub(super) since: i64,
}

impl Keyspace {
    pub(super) fn new(prefix: &str) -> Keyspace {
        Keyspace { prefix: prefix.to_owned(), ahead: OnceLock::new() }
    }

    /// To be said once; what is said later is not heard.
    pub(super) fn set_ahead(&self, ahead: Ahead) {
        self.ahead.get_or_init(|| ahead);
    }

    fn ahead(&self) -> u64 {
        self.ahead.get().map_or(0, |ahead| ahead.by)
    }

    /// That no restore has replaced the state since the store was opened: another's revisions would be taken for ours.
    pub(super) fn same_state(&self) -> Compare {
        Compare::modified_at(self.beside(AHEAD), self.ahead.get().map_or(0, |ahead| ahead.since))
    }

    pub(super) fn ours(&self, revision: i64) -> Revision {
        Revision(u64::try_from(revision).unwrap_or(0).saturating_sub(1).saturating_add(self.ahead()))
    }

    /// `None`: before all that this etcd has.
    pub(super) fn theirs(&self, revision: Revision) -> Option<i64> {
        let own = revision.0.checked_sub(self.ahead())?;
        Some(i64::try_from(own).unwrap_or(i64::MAX).saturating_add(1))
    }

    /// As `theirs`, for what must be kept.
    pub(super) fn kept(&self, asked: Revision) -> Result<i64, StoreError> {
        self.theirs(asked).ok_or(StoreError::Compacted { asked, oldest: Revision(self.ahead()) })
    }

    pub(super) fn data(&self, key: &str) -> Vec<u8> {
        format!("{}:{key}", self.prefix).into_bytes()
    }

    pub(super) fn beside(&self, name: &str) -> Vec<u8> {
        format!("{}.{name}", self.prefix).into_bytes()
    }

    /// The first key that is past all beside the data.
    pub(super) fn beside_end(&self) -> Vec<u8> {
        // The byte that follows the dot.
        format!("{}/", self.prefix).into_bytes()
    }

    /// The first key that is past all with `prefix`.
    pub(super) fn end(&self, prefix: &str) -> Vec<u8> {
        let mut end = self.data(prefix);
        if let Some(last) = end.last_mut() {
            // Text has no byte 255, so that one more is still a byte.
            *last += 1;
        }
        end
    }

    fn key(&self, key: &[u8]) -> Result<Key, StoreError> {
        let text = std::str::from_utf8(key).ok().and_then(|text| text.strip_prefix(&*self.prefix)?.strip_prefix(':'));
        text.map(Key::from).ok_or_else(|| StoreError::Corrupt {
            attempted: "reading a key from etcd".to_owned(),
            reason: format!("{:?} is none of ours", String::from_utf8_lossy(key)),
        })
    }

    pub(super) fn key_value(&self, kv: proto::KeyValue) -> Result<KeyValue, StoreError> {
        Ok(KeyValue {
            key: self.key(&kv.key)?,
            value: Bytes::from(kv.value),
            created: self.ours(kv.create_revision),
            modified: self.ours(kv.mod_revision),
        })
    }

    pub(super) fn event(&self, event: proto::Event) -> Result<crate::Event, StoreError> {
        let deleted = event.kind == proto::Event::DELETE;
        let kv = event.kv.unwrap_or_default();
        Ok(crate::Event {
            revision: self.ours(kv.mod_revision),
            key: self.key(&kv.key)?,
            value: (!deleted).then(|| Bytes::from(kv.value)),
            previous: event.previous.map(|kv| self.key_value(kv)).transpose()?,
        })
    }
}
