//! The newest state of every key, as a persistent tree: a clone is a snapshot and costs one reference count.
//!
//! Invariants: `bytes` is the sum of the keys' and values' lengths; an entry's key, value and the key and value in the
//! events about it are the same allocations.

use crate::{Event, Expect, Key, KeyValue, Op, Revision, Txn};
use bytes::Bytes;
use imbl::OrdMap;
use std::collections::HashMap;
use std::ops::Bound;

#[derive(Clone, Default)]
pub(super) struct Tree {
    map: OrdMap<Key, Entry>,
    bytes: u64,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    created: Revision,
    modified: Revision,
}

impl Entry {
    fn with_key(&self, key: &Key) -> KeyValue {
        KeyValue { key: key.clone(), value: self.value.clone(), created: self.created, modified: self.modified }
    }
}

fn size(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Live data: keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, key: &str) -> Option<KeyValue> {
        self.map.get_key_value(key).map(|(key, entry)| entry.with_key(key))
    }

    /// Keys with `prefix` after `after`, at most `limit` (0: all), and whether more follow.
    pub(super) fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<KeyValue>, bool) {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut items = Vec::new();
        for (key, entry) in self.map.range::<_, str>((start, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            if limit > 0 && items.len() == limit {
                return (items, true);
            }
            items.push(entry.with_key(key));
        }
        (items, false)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = KeyValue> + '_ {
        self.map.iter().map(|(key, entry)| entry.with_key(key))
    }

    /// The checked keys' states when a check fails.
    pub(super) fn conflict(&self, txn: &Txn) -> Option<Vec<Option<KeyValue>>> {
        let holds = |(key, expect): &(Key, Expect)| match (self.map.get(&**key), expect) {
            (None, Expect::Absent) => true,
            (Some(entry), Expect::At(revision)) => entry.modified == *revision,
            _ => false,
        };
        if txn.checks.iter().all(holds) {
            return None;
        }
        Some(txn.checks.iter().map(|(key, _)| self.get(key)).collect())
    }

    /// Does what the operations say at `revision` and appends what changed to `events`.
    /// Deleting an absent key changes nothing; of several operations on one key the last counts.
    pub(super) fn apply(&mut self, revision: Revision, ops: Vec<Op>, events: &mut Vec<Event>) {
        for op in last_of_each_key(ops) {
            let event = match op {
                Op::Put { key, value } => Some(self.put(revision, key, value)),
                Op::Delete { key } => self.delete(revision, &key),
            };
            events.extend(event);
        }
    }

    fn put(&mut self, revision: Revision, key: Key, value: Bytes) -> Event {
        let previous = self.get(&key);
        let key = previous.as_ref().map_or(key, |previous| previous.key.clone());
        let created = previous.as_ref().map_or(revision, |previous| previous.created);
        self.set(key.clone(), Some(Entry { value: value.clone(), created, modified: revision }));
        Event { revision, key, value: Some(value), previous }
    }

    fn delete(&mut self, revision: Revision, key: &str) -> Option<Event> {
        let previous = self.get(key)?;
        self.set(previous.key.clone(), None);
        Some(Event { revision, key: previous.key.clone(), value: None, previous: Some(previous) })
    }

    /// Takes an event back: the key is as it was before.
    pub(super) fn undo(&mut self, event: &Event) {
        let before = event.previous.as_ref();
        let before = before.map(|kv| Entry { value: kv.value.clone(), created: kv.created, modified: kv.modified });
        self.set(event.key.clone(), before);
    }

    /// Adds a key as a snapshot has it.
    pub(super) fn restore(&mut self, kv: KeyValue) {
        self.set(kv.key, Some(Entry { value: kv.value, created: kv.created, modified: kv.modified }));
    }

    fn set(&mut self, key: Key, entry: Option<Entry>) {
        let added = entry.as_ref().map_or(0, |entry| size(&key, &entry.value));
        let replaced = match entry {
            Some(entry) => self.map.insert(key.clone(), entry),
            None => self.map.remove(&*key),
        };
        self.bytes = self.bytes + added - replaced.map_or(0, |entry| size(&key, &entry.value));
    }
}

fn last_of_each_key(mut ops: Vec<Op>) -> Vec<Op> {
    if ops.len() > 1 {
        let last: HashMap<Key, usize> = ops.iter().enumerate().map(|(at, op)| (key(op).clone(), at)).collect();
        let mut at = 0..;
        ops.retain(|op| at.next() == last.get(key(op)).copied());
    }
    ops
}

fn key(op: &Op) -> &Key {
    match op {
        Op::Put { key, .. } | Op::Delete { key } => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &'static str) -> Op {
        Op::Put { key: key.into(), value: Bytes::from_static(value.as_bytes()) }
    }

    #[test]
    fn undoing_every_event_backwards_gives_the_earlier_tree_and_its_size() {
        let mut tree = Tree::default();
        let mut events = Vec::new();
        tree.apply(Revision(1), vec![put("a", "1"), put("b", "22")], &mut events);
        let (before, bytes) = (tree.page("", None, 0), tree.bytes());
        assert_eq!(bytes, 5);
        events.clear();
        tree.apply(Revision(2), vec![put("a", "333"), Op::Delete { key: "b".into() }, put("c", "")], &mut events);
        assert_eq!(tree.bytes(), 5);
        events.iter().rev().for_each(|event| tree.undo(event));
        assert_eq!((tree.page("", None, 0), tree.bytes()), (before, bytes));
    }

    #[test]
    fn the_last_operation_on_a_key_counts_and_absent_deletes_are_no_event() {
        let mut tree = Tree::default();
        let mut events = Vec::new();
        let ops = vec![put("a", "1"), Op::Delete { key: "x".into() }, put("b", "2"), put("a", "3")];
        tree.apply(Revision(1), ops, &mut events);
        let seen: Vec<_> = events.iter().map(|e| (&*e.key, e.value.as_deref())).collect();
        assert_eq!(seen, [("b", Some(&b"2"[..])), ("a", Some(&b"3"[..]))]);
    }

    #[test]
    fn an_event_shares_its_value_and_key_with_the_tree() {
        let mut tree = Tree::default();
        let mut events = Vec::new();
        let value = Bytes::from(vec![7; 100]);
        tree.apply(Revision(1), vec![Op::Put { key: "a".into(), value: value.clone() }], &mut events);
        let stored = tree.get("a").expect("just put");
        assert_eq!(stored.value.as_ptr(), value.as_ptr());
        assert_eq!(events[0].value.as_ref().map(|v| v.as_ptr()), Some(value.as_ptr()));
        assert!(std::sync::Arc::ptr_eq(&stored.key, &events[0].key));
    }
}
