//! One node's answer, line by line.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;

/// A node that has nothing to say sends an empty line every 10 s.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A container's line of a megabyte may be all escapes.
const LINE_BYTES_MAX: usize = 16 << 20;

const LINE_BEGIN: &[u8] = br#"{"time":""#;
const TIME_BYTES: usize = 30;
pub(super) const LIVE: &[u8] = b"{\"live\":true}\n";

/// What a node says next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A container's line, with its newline.
    Line(Bytes),
    /// Something for the reader's eyes.
    Other(Bytes),
    /// From here on it says what is being written.
    Live,
    End,
    /// It will say no more, though it should; why.
    Lost(String),
}

pub(super) struct Feed {
    pub(super) node: String,
    body: Incoming,
    buffer: BytesMut,
    /// Of the buffer, what is known to have no newline.
    searched: usize,
}

/// What lines are merged by: texts of equal length that sort as times do.
pub(super) fn time_of(line: &[u8]) -> &[u8] {
    line.get(LINE_BEGIN.len()..LINE_BEGIN.len() + TIME_BYTES).unwrap_or_default()
}

impl Feed {
    pub(super) fn new(node: &str, body: Incoming) -> Feed {
        Feed { node: node.to_owned(), body, buffer: BytesMut::new(), searched: 0 }
    }

    /// Whether `next` answers at once.
    pub(super) fn has_more(&self) -> bool {
        self.buffer[self.searched..].contains(&b'\n')
    }

    pub(super) async fn next(&mut self) -> Said {
        loop {
            while let Some(line) = self.line() {
                if line.starts_with(LINE_BEGIN) {
                    return Said::Line(line);
                }
                match line.as_ref() {
                    b"\n" => {}
                    LIVE => return Said::Live,
                    _ => return Said::Other(line),
                }
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Said::Lost("its lines do not end".to_owned());
            }
            match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Err(_) => return Said::Lost(format!("it has been silent for {} s", SILENCE_MAX.as_secs())),
                Ok(Some(Err(error))) => return Said::Lost(error.to_string()),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Ok(None) if self.buffer.is_empty() => return Said::End,
                Ok(None) => return Said::Lost("its answer is cut off".to_owned()),
            }
        }
    }

    fn line(&mut self) -> Option<Bytes> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(at) = found else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at + 1).freeze();
        self.searched = 0;
        Some(line)
    }
}
