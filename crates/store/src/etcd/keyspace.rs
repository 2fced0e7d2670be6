//! Where this engine's keys lie in etcd, and how revisions of both sides correspond.
//!
//! Invariants: an empty etcd is at revision 1 and an empty store at 0, so that ours is etcd's less one, and etcd's 0
//! ("the newest") stands for none of ours. Below one prefix lie the data (`PREFIX:KEY`) and a few keys beside them
//! (`PREFIX.NAME`), which no range or watch of the data meets.

use super::proto;
use crate::{Key, KeyValue, Revision, StoreError};
use bytes::Bytes;

/// Written by every transaction: its revision is the newest commit's, whoever else writes to this etcd.
pub(super) const HEAD: &str = "head";
/// Who compacted last.
pub(super) const COMPACTED: &str = "compacted";
/// Whose data these are.
pub(super) const OWNER: &str = "owner";

#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    prefix: String,
}

impl Keyspace {
    pub(super) fn new(prefix: &str) -> Keyspace {
        Keyspace { prefix: prefix.to_owned() }
    }

    pub(super) fn data(&self, key: &str) -> Vec<u8> {
        format!("{}:{key}", self.prefix).into_bytes()
    }

    pub(super) fn beside(&self, name: &str) -> Vec<u8> {
        format!("{}.{name}", self.prefix).into_bytes()
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
            created: ours(kv.create_revision),
            modified: ours(kv.mod_revision),
        })
    }

    pub(super) fn event(&self, event: proto::Event) -> Result<crate::Event, StoreError> {
        let deleted = event.kind == proto::Event::DELETE;
        let kv = event.kv.unwrap_or_default();
        Ok(crate::Event {
            revision: ours(kv.mod_revision),
            key: self.key(&kv.key)?,
            value: (!deleted).then(|| Bytes::from(kv.value)),
            previous: event.previous.map(|kv| self.key_value(kv)).transpose()?,
        })
    }
}

pub(super) fn ours(revision: i64) -> Revision {
    Revision(u64::try_from(revision).unwrap_or(0).saturating_sub(1))
}

pub(super) fn theirs(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX).saturating_add(1)
}
