//! What a frame's payload says: transactions in the log, entries in a snapshot.
//!
//! Integers are LEB128. A transaction is its number of operations, then for each a tag (1 put, 2 delete), the key's
//! length and bytes and, for a put, the value's. An entry is key, created, modified, value.

use crate::{Event, Key, KeyValue, Op, Revision};
use bytes::Bytes;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Why a payload whose checksum holds cannot be read: a newer or broken writer made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

fn put_number(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_number(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// Appends the transaction whose events these are.
pub(super) fn put_transaction(buffer: &mut Vec<u8>, events: &[Event]) {
    put_number(buffer, events.len() as u64);
    for event in events {
        buffer.push(if event.value.is_some() { PUT } else { DELETE });
        put_bytes(buffer, event.key.as_bytes());
        if let Some(value) = &event.value {
            put_bytes(buffer, value);
        }
    }
}

pub(super) fn put_entry(buffer: &mut Vec<u8>, kv: &KeyValue) {
    put_bytes(buffer, kv.key.as_bytes());
    put_number(buffer, kv.created.0);
    put_number(buffer, kv.modified.0);
    put_bytes(buffer, &kv.value);
}

/// Reads a payload from its beginning.
pub(super) struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Payload<'a> {
        Payload(bytes)
    }

    pub(super) fn transaction(&mut self) -> Result<Vec<Op>, Malformed> {
        let count = self.number()?;
        // Never more than there are bytes, so that a wrong count cannot ask for much memory.
        let mut ops = Vec::with_capacity(count.min(self.0.len() as u64) as usize);
        for _ in 0..count {
            ops.push(match self.byte()? {
                PUT => Op::Put { key: self.key()?, value: self.value()? },
                DELETE => Op::Delete { key: self.key()? },
                _ => return Err(Malformed("an operation is neither put nor delete")),
            });
        }
        Ok(ops)
    }

    pub(super) fn entry(&mut self) -> Result<KeyValue, Malformed> {
        let key = self.key()?;
        let (created, modified) = (Revision(self.number()?), Revision(self.number()?));
        Ok(KeyValue { key, value: self.value()?, created, modified })
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("bytes are left over after the last record")) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed("a record is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed("a number is too long"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.number()?).map_err(|_| Malformed("a length is too large"))?;
        self.take(len)
    }

    fn key(&mut self) -> Result<Key, Malformed> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a key is not UTF-8"))?;
        Ok(Key::from(text))
    }

    /// A copy: a slice would keep the whole read buffer alive for as long as the smallest value lives.
    fn value(&mut self) -> Result<Bytes, Malformed> {
        self.bytes().map(Bytes::copy_from_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(key: String, value: Option<Vec<u8>>) -> Event {
        Event { revision: Revision(1), key: key.into(), value: value.map(Bytes::from), previous: None }
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(ops in prop::collection::vec((".{0,200}", prop::option::of(prop::collection::vec(any::<u8>(), 0..300))), 0..8)) {
            let events: Vec<_> = ops.into_iter().map(|(key, value)| event(key, value)).collect();
            let mut buffer = Vec::new();
            put_transaction(&mut buffer, &events);
            let mut payload = Payload::new(&buffer);
            let read: Vec<_> = payload.transaction().expect("just written").into_iter().map(|op| match op {
                Op::Put { key, value } => (key, Some(value)),
                Op::Delete { key } => (key, None),
            }).collect();
            prop_assert_eq!(payload.end(), Ok(()));
            prop_assert_eq!(read, events.into_iter().map(|e| (e.key, e.value)).collect::<Vec<_>>());
        }

        #[test]
        fn an_entry_reads_back(key in ".{0,200}", value in prop::collection::vec(any::<u8>(), 0..300), created: u64, modified: u64) {
            let kv = KeyValue { key: key.into(), value: value.into(), created: Revision(created), modified: Revision(modified) };
            let mut buffer = Vec::new();
            put_entry(&mut buffer, &kv);
            prop_assert_eq!(Payload::new(&buffer).entry(), Ok(kv));
        }

        #[test]
        fn arbitrary_bytes_never_panic_nor_ask_for_more_memory_than_they_are(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let size = |op: &Op| match op { Op::Put { key, value } => key.len() + value.len(), Op::Delete { key } => key.len() };
            if let Ok(ops) = Payload::new(&bytes).transaction() {
                prop_assert!(ops.iter().map(size).sum::<usize>() + 2 * ops.len() < bytes.len());
            }
            if let Ok(entry) = Payload::new(&bytes).entry() {
                prop_assert!(entry.key.len() + entry.value.len() < bytes.len());
            }
        }
    }

    #[test]
    fn says_what_is_malformed() {
        let check = |bytes: &[u8], reason| assert_eq!(Payload::new(bytes).transaction(), Err(Malformed(reason)));
        check(&[], "a record is cut short");
        check(&[1, 9], "an operation is neither put nor delete");
        check(&[1, 2, 5, b'a'], "a record is cut short");
        check(&[1, 2, 1, 0xff], "a key is not UTF-8");
        check(&[0xff; 11], "a number is too long");
    }
}
