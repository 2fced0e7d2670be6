//! Protobuf's wire format, both ways.
//!
//! Invariants: the writer works from the end to the front, so that a message's length is known when it is written; the
//! reader never reads past its slice.

use super::ProtoError;

/// Collects bytes last first. Fields must be written in descending order of their numbers.
pub(crate) struct Writer {
    reversed: Vec<u8>,
}

/// Where a nested message ends.
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

impl Writer {
    pub(crate) fn new() -> Self {
        Writer { reversed: Vec::with_capacity(512) }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.reversed.reverse();
        self.reversed
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.reversed.len())
    }

    /// Makes what was written since the mark a nested message.
    pub(crate) fn close(&mut self, number: u16, end: Mark) {
        let length = self.reversed.len() - end.0;
        self.raw_varint(length as u64);
        self.tag(number, 2);
    }

    pub(crate) fn bytes(&mut self, number: u16, bytes: &[u8]) {
        self.reversed.extend(bytes.iter().rev());
        self.raw_varint(bytes.len() as u64);
        self.tag(number, 2);
    }

    pub(crate) fn varint(&mut self, number: u16, value: u64) {
        self.raw_varint(value);
        self.tag(number, 0);
    }

    /// Negative numbers take ten bytes, whatever their width.
    pub(crate) fn integer(&mut self, number: u16, value: i64) {
        self.varint(number, value.cast_unsigned());
    }

    pub(crate) fn double(&mut self, number: u16, value: f64) {
        self.reversed.extend(value.to_le_bytes().iter().rev());
        self.tag(number, 1);
    }

    /// Bytes as they are, before all that was written so far.
    pub(crate) fn prefix(&mut self, bytes: &[u8]) {
        self.reversed.extend(bytes.iter().rev());
    }

    fn tag(&mut self, number: u16, wire_type: u64) {
        self.raw_varint(u64::from(number) << 3 | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        let mut buffer = [0u8; 10];
        let mut length = 0;
        loop {
            let more = value >= 0x80;
            buffer[length] = (value & 0x7f) as u8 | if more { 0x80 } else { 0 };
            length += 1;
            value >>= 7;
            if !more {
                break;
            }
        }
        self.reversed.extend(buffer[..length].iter().rev());
    }
}

/// A field's content.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Four bytes, which no field of Kubernetes has.
    Skipped,
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next field's number and content.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Content<'a>)>, ProtoError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| ProtoError::Truncated)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtoError::Truncated)?;
                Content::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Content::Skipped
            }
            other => return Err(ProtoError::WireType(other as u8)),
        };
        Ok(Some((tag >> 3, content)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtoError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtoError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(ProtoError::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtoError::Overflow)
    }
}
