//! Some lines in columns: texts together, times and flags apart, so that a search runs over texts alone.
//!
//! Invariants: the lines are in the order in which the container wrote them; a text has no newline and each is followed by
//! one; a block decodes to what was encoded, or to an error.

use crate::level::Level;
use crate::raw_line::RawLine;
use crate::time::Nanoseconds;
use std::io;

/// Bytes of texts after which a block is full; one line may go beyond.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;
/// A block with more is not one of ours: a full block and one line of the longest kind.
const TEXT_BYTES_MAX: usize = BLOCK_BYTES + LINE_BYTES_MAX + 2;
/// A line longer than this is taken in pieces; the runtimes cut theirs at 16 KiB.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
/// As zstd's own default: about 400 MB/s to write, over 1 GB/s to read.
const COMPRESSION: i32 = 3;

const STDERR: u8 = 1;
const PARTIAL: u8 = 2;
/// Not in the runtime's format: kept as it is, under the time of the line before it.
const MALFORMED: u8 = 4;
const LEVEL_SHIFT: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time: Nanoseconds,
    /// Of its text, the newline not counted.
    end: u32,
    flags: u8,
}

impl Line {
    pub(crate) fn is_stderr(self) -> bool {
        self.flags & STDERR != 0
    }

    pub(crate) fn is_partial(self) -> bool {
        self.flags & PARTIAL != 0
    }

    pub(crate) fn is_malformed(self) -> bool {
        self.flags & MALFORMED != 0
    }

    pub(crate) fn level(self) -> Level {
        Level::of_code(self.flags >> LEVEL_SHIFT)
    }
}

/// A block as bytes: two frames of zstd.
pub(crate) struct Encoded {
    pub(crate) columns: Vec<u8>,
    pub(crate) texts: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    texts: Vec<u8>,
    lines: Vec<Line>,
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.texts.len() >= BLOCK_BYTES
    }

    pub(crate) fn texts(&self) -> &[u8] {
        &self.texts
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.lines[before].end as usize + 1)
    }

    pub(crate) fn text(&self, index: usize) -> &[u8] {
        &self.texts[self.start(index)..self.lines[index].end as usize]
    }

    /// The line that the byte at `offset` of the texts is in.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.lines.partition_point(|line| (line.end as usize) < offset)
    }

    /// Where the text of the line behind `index` begins.
    pub(crate) fn start_after(&self, index: usize) -> usize {
        self.lines[index].end as usize + 1
    }

    /// Takes a line of a log file, without its newline. `time` is that of the line before, for what has none.
    pub(crate) fn push_raw(&mut self, raw: &[u8], time: Nanoseconds) -> Nanoseconds {
        let (text, time, flags) = match RawLine::parse(raw) {
            Some(line) => (line.text, line.time, (u8::from(line.stderr) * STDERR) | (u8::from(line.partial) * PARTIAL)),
            None => (raw, time, MALFORMED),
        };
        self.texts.extend_from_slice(text);
        self.lines.push(Line { time, end: self.texts.len() as u32, flags });
        self.texts.push(b'\n');
        time
    }

    /// Every line's level; one that goes on with the line before it is as grave as that.
    pub(crate) fn classify(&mut self) {
        let mut before = Level::None;
        for index in 0..self.lines.len() {
            let text = self.text(index);
            let level = if Level::is_continuation(text) { before } else { Level::of_line(text) };
            self.lines[index].flags |= (level as u8) << LEVEL_SHIFT;
            before = level;
        }
    }

    /// Only the lines of these indices, in order.
    pub(crate) fn select(&self, indices: impl Iterator<Item = usize>) -> Block {
        let mut chosen = Block::default();
        for index in indices {
            chosen.texts.extend_from_slice(self.text(index));
            chosen.lines.push(Line { end: chosen.texts.len() as u32, ..self.lines[index] });
            chosen.texts.push(b'\n');
        }
        chosen
    }

    pub(crate) fn encode(&self) -> io::Result<Encoded> {
        let mut columns = Vec::with_capacity(self.lines.len() * 6);
        let (mut time, mut end) = (0_i64, 0_usize);
        for (index, line) in self.lines.iter().enumerate() {
            let delta = line.time.wrapping_sub(time);
            write_varint(&mut columns, ((delta << 1) ^ (delta >> 63)) as u64);
            write_varint(&mut columns, (line.end as usize - end) as u64);
            columns.push(line.flags);
            time = line.time;
            end = self.start(index + 1);
        }
        Ok(Encoded {
            columns: zstd::bulk::compress(&columns, COMPRESSION)?,
            texts: zstd::bulk::compress(&self.texts, COMPRESSION)?,
        })
    }
}

/// Opens blocks; keeps what that needs from one to the next.
pub(crate) struct Decoder {
    zstd: zstd::bulk::Decompressor<'static>,
    texts: Vec<u8>,
}

/// How much the columns of a block can be: a line of one byte has at most 21 bytes of them.
const COLUMN_BYTES_PER_LINE: usize = 21;

impl Decoder {
    pub(crate) fn new() -> io::Result<Decoder> {
        Ok(Decoder { zstd: zstd::bulk::Decompressor::new()?, texts: Vec::new() })
    }

    /// `count` is how many lines there are to be. `None` where the texts are not wanted: most blocks that are searched
    /// end here, and a line of theirs has cost nothing.
    pub(crate) fn decode(
        &mut self,
        columns: &[u8],
        texts: &[u8],
        count: usize,
        is_wanted: impl FnOnce(&[u8]) -> bool,
    ) -> io::Result<Option<Block>> {
        self.texts.clear();
        self.texts.reserve(TEXT_BYTES_MAX);
        self.zstd.decompress_to_buffer(texts, &mut self.texts)?;
        if count > self.texts.len() {
            return Err(damaged("more lines than bytes"));
        }
        if !is_wanted(&self.texts) {
            return Ok(None);
        }
        let texts = self.texts.as_slice().to_vec();
        let columns = self.zstd.decompress(columns, count * COLUMN_BYTES_PER_LINE)?;
        let mut lines = Vec::with_capacity(count);
        let (mut rest, mut time, mut start) = (columns.as_slice(), 0_i64, 0_usize);
        while !rest.is_empty() {
            let delta = read_varint(&mut rest)?;
            time = time.wrapping_add((delta >> 1) as i64 ^ -((delta & 1) as i64));
            let length = usize::try_from(read_varint(&mut rest)?).map_err(|_| damaged("a length"))?;
            let Some((flags, tail)) = rest.split_first() else { return Err(damaged("flags are missing")) };
            rest = tail;
            let end = start.checked_add(length).filter(|end| texts.get(*end) == Some(&b'\n'));
            let end = end.ok_or_else(|| damaged("a line ends nowhere"))?;
            lines.push(Line { time, end: end as u32, flags: *flags });
            start = end + 1;
        }
        if start != texts.len() || lines.len() != count {
            return Err(damaged("lines and texts differ"));
        }
        Ok(Some(Block { texts, lines }))
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a block of logs is damaged: {what}"))
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some((byte, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number does not end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &[&[u8]]) -> Block {
        let mut block = Block::default();
        let mut time = 7;
        for line in lines {
            time = block.push_raw(line, time);
        }
        block.classify();
        block
    }

    #[test]
    fn blocks_decode_to_what_was_encoded() {
        let lines: [&[u8]; 6] = [
            b"2026-01-01T00:00:02Z stdout F one",
            b"2026-01-01T00:00:01Z stderr P the clock went back",
            b"2026-01-01T00:00:01Z stderr F ",
            b"torn \x00\xff",
            b"",
            b"2026-01-01T00:00:03Z stdout F ERROR three",
        ];
        let block = block(&lines);
        let encoded = block.encode().unwrap();
        let decoded = Decoder::new().unwrap().decode(&encoded.columns, &encoded.texts, 6, |_| true);
        let decoded = decoded.unwrap().unwrap();
        assert_eq!(decoded, block);
        let texts: Vec<&[u8]> = (0..6).map(|index| decoded.text(index)).collect();
        assert_eq!(texts, [b"one".as_slice(), b"the clock went back", b"", b"torn \x00\xff", b"", b"ERROR three"]);
        assert_eq!(decoded.lines()[3].time, decoded.lines()[2].time, "what has no time has that of the line before");
        assert_eq!(decoded.lines()[5].level(), Level::Error);
        assert!(decoded.lines()[1].is_partial() && decoded.lines()[1].is_stderr());
    }

    #[test]
    fn damage_is_an_error() {
        let encoded = block(&[b"2026-01-01T00:00:02Z stdout F one", b"x"]).encode().unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut is_damage =
            |columns: &[u8], texts: &[u8], count| decoder.decode(columns, texts, count, |_| true).is_err();
        assert!(is_damage(&encoded.columns, &encoded.texts, 3), "a line too few");
        assert!(is_damage(&encoded.texts, &encoded.columns, 2), "taken for each other");
        assert!(is_damage(&encoded.columns[..4], &encoded.texts, 2), "cut");
    }

    #[test]
    fn offsets_are_in_lines() {
        let block = block(&[b"2026-01-01T00:00:02Z stdout F ab", b"", b"cd"]);
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|offset| block.line_at(offset)), [0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(block.select([0, 2].into_iter()).texts(), b"ab\ncd\n");
    }

    #[test]
    fn what_goes_on_is_as_grave_as_what_began() {
        let block = block(&[b"ERROR broken", b"\tat here", b"INFO fine", b" and so on"]);
        let levels: Vec<Level> = block.lines().iter().map(|line| line.level()).collect();
        assert_eq!(levels, [Level::Error, Level::Error, Level::Info, Level::Info]);
    }
}
