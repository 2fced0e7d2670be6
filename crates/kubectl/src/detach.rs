//! The keys that end a session and leave its process to itself.

use crate::failure::{Failure, Result};

/// A sequence of keys, and how much of it has been typed.
#[derive(Debug)]
pub(crate) struct Keys {
    sequence: Vec<u8>,
    typed: usize,
}

/// What typed bytes amount to.
#[derive(Debug, PartialEq)]
pub(crate) struct Typed {
    /// What goes on to the process.
    pub(crate) bytes: Vec<u8>,
    /// Whether the sequence was completed.
    pub(crate) leaves: bool,
}

impl Keys {
    /// `ctrl-p,ctrl-q`, or characters; `None` for an empty text.
    pub(crate) fn parse(text: &str) -> Result<Option<Keys>> {
        if text.is_empty() {
            return Ok(None);
        }
        let sequence = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        let sequence =
            sequence.ok_or_else(|| Failure::message(format!("invalid detach keys ({text}): unknown key")))?;
        Ok(Some(Keys { sequence, typed: 0 }))
    }

    /// Holds back the beginning of the sequence until it is clear what it is.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if *byte == self.sequence[self.typed] {
                self.typed += 1;
                if self.typed == self.sequence.len() {
                    return Typed { bytes: passed, leaves: true };
                }
                continue;
            }
            passed.extend_from_slice(&self.sequence[..self.typed]);
            self.typed = usize::from(*byte == self.sequence[0]);
            if self.typed == 0 {
                passed.push(*byte);
            }
        }
        Typed { bytes: passed, leaves: false }
    }
}

fn key(text: &str) -> Option<u8> {
    match text.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ (b'a'..=b'z' | b'@'..=b'_')]) => Some(letter.to_ascii_uppercase() & 0x1f),
        Some(_) => None,
        None => <[u8; 1]>::try_from(text.as_bytes()).ok().map(|[byte]| byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_leaves_and_its_beginning_goes_through() {
        let mut keys = Keys::parse("ctrl-p,ctrl-q").unwrap().unwrap();
        assert_eq!(keys.take(b"a\x10"), Typed { bytes: b"a".to_vec(), leaves: false });
        assert_eq!(keys.take(b"b"), Typed { bytes: b"\x10b".to_vec(), leaves: false });
        assert_eq!(keys.take(b"x\x10\x11y"), Typed { bytes: b"x".to_vec(), leaves: true });
        assert!(Keys::parse("").unwrap().is_none() && Keys::parse("ctrl-ab").is_err());
    }
}
