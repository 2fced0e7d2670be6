//! Checksummed frames: what the log and the snapshots are made of.
//!
//! A file is a header of 28 bytes (magic 8, number 8, extra 8, crc32 4) and then frames: a header of 24 bytes (payload
//! length 4, payload crc32 4, tag 8, count 4, header crc32 4) and a payload, all little-endian. A frame header's crc32
//! covers the frame's offset in the file too, so that bytes which were copied or left over elsewhere are no frame.

use crate::StoreError;
use crate::files::{File, attempted};

pub(super) const FILE_HEADER: usize = 28;
pub(super) const FRAME_HEADER: usize = 24;
/// No payload is longer: a reader refuses to allocate more on a damaged length.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// How much a reader asks of the file at a time.
const READ_BYTES: usize = 256 << 10;

/// The header that says what a file is.
pub(super) fn file_header(magic: &[u8; 8], number: u64, extra: u64) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(magic);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    header[16..24].copy_from_slice(&extra.to_le_bytes());
    let crc = crc32fast::hash(&header[..24]);
    header[24..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Begins a frame at the end of `buffer`; the payload is appended after it.
pub(super) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + FRAME_HEADER, 0);
    start
}

/// Ends the frame that began at `start`, which will be written at `offset` of its file.
pub(super) fn end(buffer: &mut [u8], start: usize, offset: u64, tag: u64, count: u32) {
    let (header, payload) = buffer[start..].split_at_mut(FRAME_HEADER);
    // Both writers split their payloads far below 4 GiB.
    let len = u32::try_from(payload.len()).expect("a payload is bounded by PAYLOAD_BYTES_MAX");
    header[..4].copy_from_slice(&len.to_le_bytes());
    header[4..8].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    header[8..16].copy_from_slice(&tag.to_le_bytes());
    header[16..20].copy_from_slice(&count.to_le_bytes());
    let crc = header_crc(&header[..20], offset);
    header[20..].copy_from_slice(&crc.to_le_bytes());
}

fn header_crc(fields: &[u8], offset: u64) -> u32 {
    let mut covered = [0; 28];
    covered[..20].copy_from_slice(fields);
    covered[20..].copy_from_slice(&offset.to_le_bytes());
    crc32fast::hash(&covered)
}

#[derive(Clone, Copy)]
struct Header {
    len: usize,
    crc: u32,
    tag: u64,
    count: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn parse(bytes: &[u8], offset: u64) -> Option<Header> {
    let header = Header {
        len: u32_at(bytes, 0) as usize,
        crc: u32_at(bytes, 4),
        tag: u64_at(bytes, 8),
        count: u32_at(bytes, 16),
    };
    let sound = header_crc(&bytes[..20], offset) == u32_at(bytes, 20) && header.len <= PAYLOAD_BYTES_MAX;
    sound.then_some(header)
}

/// What stands at a reader's place.
pub(super) enum Next<'a> {
    Frame {
        tag: u64,
        count: u32,
        /// Of the frame's header.
        offset: u64,
        payload: &'a [u8],
    },
    /// The file ends here, between frames.
    End,
    /// No whole frame. `torn`: it reaches the file's end, so it may be a write that the power cut short.
    Bad { offset: u64, torn: bool, reason: &'static str },
}

/// Reads one file from its beginning.
pub(super) struct Reader<'a> {
    file: &'a dyn File,
    name: &'a str,
    len: u64,
    offset: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn File, name: &'a str) -> Result<Reader<'a>, StoreError> {
        let len = file.len().map_err(attempted(format!("read the length of {name}")))?;
        Ok(Reader { file, name, len, offset: 0, window: Vec::new(), window_start: 0 })
    }

    /// The error for damage at `offset`.
    pub(super) fn corrupt(&self, offset: u64, reason: &str) -> StoreError {
        StoreError::Corrupt { attempted: format!("read {} at offset {offset}", self.name), reason: reason.to_owned() }
    }

    /// The file header's number and extra; `None` when it is not whole or of another kind.
    pub(super) fn file_header(&mut self, magic: &[u8; 8]) -> Result<Option<(u64, u64)>, StoreError> {
        if self.len < FILE_HEADER as u64 {
            return Ok(None);
        }
        let bytes = self.bytes(0, FILE_HEADER)?;
        let sound = &bytes[..8] == magic && crc32fast::hash(&bytes[..24]) == u32_at(bytes, 24);
        let header = sound.then(|| (u64_at(bytes, 8), u64_at(bytes, 16)));
        self.offset = FILE_HEADER as u64;
        Ok(header)
    }

    pub(super) fn next(&mut self) -> Result<Next<'_>, StoreError> {
        let offset = self.offset;
        let left = self.len - offset;
        if left == 0 {
            return Ok(Next::End);
        }
        if left < FRAME_HEADER as u64 {
            return Ok(Next::Bad { offset, torn: true, reason: "the frame header is cut short" });
        }
        let Some(header) = parse(self.bytes(offset, FRAME_HEADER)?, offset) else {
            let torn = !self.has_frame_after(offset)?;
            return Ok(Next::Bad { offset, torn, reason: "the frame header's checksum does not match" });
        };
        let payload_offset = offset + FRAME_HEADER as u64;
        let end = payload_offset + header.len as u64;
        if end > self.len {
            return Ok(Next::Bad { offset, torn: true, reason: "the frame is cut short" });
        }
        // Bytes after this frame were only written once this one was synced.
        let torn = end == self.len;
        let payload = self.bytes(payload_offset, header.len)?;
        if crc32fast::hash(payload) != header.crc {
            return Ok(Next::Bad { offset, torn, reason: "the frame's checksum does not match" });
        }
        // Borrowed anew, because the borrow above would outlive the write to `offset`.
        self.offset = end;
        let payload = self.bytes(payload_offset, header.len)?;
        Ok(Next::Frame { tag: header.tag, count: header.count, offset, payload })
    }

    /// Whether a whole frame follows a damaged header, whose length nobody knows.
    fn has_frame_after(&mut self, damaged: u64) -> Result<bool, StoreError> {
        for offset in damaged + 1..(self.len + 1).saturating_sub(FRAME_HEADER as u64) {
            let Some(header) = parse(self.bytes(offset, FRAME_HEADER)?, offset) else { continue };
            let payload_offset = offset + FRAME_HEADER as u64;
            let fits = payload_offset + header.len as u64 <= self.len;
            if fits && crc32fast::hash(self.bytes(payload_offset, header.len)?) == header.crc {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// So many bytes of the file, which the caller knows to be there.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8], StoreError> {
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + len as u64 > window_end {
            self.fill(offset, len)?;
        }
        let start = (offset - self.window_start) as usize;
        Ok(&self.window[start..start + len])
    }

    fn fill(&mut self, offset: u64, len: usize) -> Result<(), StoreError> {
        let wanted = len.max(READ_BYTES).min((self.len - offset) as usize);
        let window_end = self.window_start + self.window.len() as u64;
        let kept = if (self.window_start..window_end).contains(&offset) {
            self.window.drain(..(offset - self.window_start) as usize);
            self.window.len()
        } else {
            0
        };
        self.window.resize(wanted, 0);
        self.window_start = offset;
        let mut filled = kept.min(wanted);
        while filled < wanted {
            let read = self.file.read_at(&mut self.window[filled..], offset + filled as u64);
            if read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::Interrupted) {
                continue;
            }
            match read.map_err(attempted(format!("read {} at offset {}", self.name, offset + filled as u64)))? {
                0 => return Err(self.corrupt(offset + filled as u64, "the file became shorter while it was read")),
                read => filled += read,
            }
        }
        Ok(())
    }
}
