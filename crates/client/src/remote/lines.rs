//! A watch's body, cut into lines as its chunks come.
//!
//! Invariants: a line is a part of its chunk, unless it came in several; none is larger than `EVENT_BYTES_MAX`.

use api::Status;
use bytes::{Bytes, BytesMut};

/// One watch event is no larger than this: objects are at most 3 MiB, and 1.5 MiB in etcd.
const EVENT_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub struct EventLines {
    /// What came last and is not given out yet.
    chunk: Bytes,
    /// The beginning of a line that goes on in `chunk`.
    begun: BytesMut,
}

impl EventLines {
    /// Takes the next chunk, once `take` has none left.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// The next line, its newline included; `None`: its end is yet to come.
    ///
    /// # Errors
    /// The line is too long.
    pub fn take(&mut self) -> Result<Option<Bytes>, Status> {
        if let Some(end) = memchr::memchr(b'\n', &self.chunk) {
            let line = self.chunk.split_to(end + 1);
            if self.begun.is_empty() {
                return Ok(Some(line));
            }
            self.begun.extend_from_slice(&line);
            return Ok(Some(self.begun.split().freeze()));
        }
        self.begun.extend_from_slice(&self.chunk);
        self.chunk.clear();
        if self.begun.len() > EVENT_BYTES_MAX {
            return Err(Status::internal(format!("a watch event is larger than {EVENT_BYTES_MAX} bytes")));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_however_they_come() {
        let mut lines = EventLines::default();
        let mut came = Vec::new();
        for chunk in ["a\nb", "", "c\n\n", "d"] {
            lines.push(Bytes::from_static(chunk.as_bytes()));
            while let Some(line) = lines.take().unwrap() {
                came.push(line);
            }
        }
        assert_eq!(came, ["a\n", "bc\n", "\n"]);
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut lines = EventLines::default();
        lines.push(vec![b'x'; EVENT_BYTES_MAX].into());
        assert_eq!(lines.take().unwrap(), None);
        lines.push(Bytes::from_static(b"x"));
        assert!(lines.take().unwrap_err().message.contains("larger than"));
    }
}
