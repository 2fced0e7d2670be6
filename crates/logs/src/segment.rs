//! A part of a container's log at rest: compressed blocks, then an index that says what is in them and whose they are.
//!
//! Invariants: a segment is written under another name, synced and only then renamed, so that one with its name is whole;
//! its bytes never change afterwards.
//!
//! The file: magic, the blocks' frames, the index as compressed JSON, and a trailer that says where the index is.

use crate::block::{BLOCK_BYTES, Block, Decoder, LINE_BYTES_MAX};
use crate::identity::Identity;
use crate::level::LEVELS;
use crate::search::first_time;
use crate::time::Nanoseconds;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8; 8] = b"SMPNLOG1";
const TRAILER_BYTES: usize = 24;
/// An index that is larger is not one of ours: 4,096 blocks are a gigabyte of text.
const INDEX_BYTES_MAX: usize = 4 << 20;

/// What a block has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockIndex {
    pub(crate) at: u64,
    pub(crate) columns: u32,
    pub(crate) texts: u32,
    pub(crate) lines: u32,
    pub(crate) span: Span,
    /// Bit n: there are lines of the nth level.
    pub(crate) levels: u8,
}

/// The least and the greatest time; the first line need not have the least, as clocks jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) first: Nanoseconds,
    pub(crate) last: Nanoseconds,
}

impl Span {
    fn join(self, other: Span) -> Span {
        Span { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// What a segment has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) pod: Identity,
    pub(crate) container: String,
    /// Of the log file that it was made of.
    pub(crate) raw_bytes: u64,
    /// Their checksum; segments of earlier builds have none.
    #[serde(default)]
    pub(crate) raw_crc: Option<u32>,
    pub(crate) lines: u64,
    /// How many lines each level has.
    pub(crate) levels: [u64; LEVELS],
    pub(crate) blocks: Vec<BlockIndex>,
}

impl Index {
    /// `None` without lines.
    pub(crate) fn span(&self) -> Option<Span> {
        self.blocks.iter().map(|block| block.span).reduce(Span::join)
    }

    pub(crate) fn level_bits(&self) -> u8 {
        self.blocks.iter().fold(0, |bits, block| bits | block.levels)
    }
}

/// Makes a segment at `path` of a log file in the runtime's format. Answers with the index.
///
/// # Errors
/// Those of the file system; nothing is at `path` then.
pub(crate) fn write(path: &Path, pod: &Identity, container: &str, log: &File) -> io::Result<Index> {
    let temporary = path.with_extension("part");
    let mut output = BufWriter::new(File::create(&temporary)?);
    output.write_all(MAGIC)?;
    let mut index = Index {
        pod: pod.clone(),
        container: container.to_owned(),
        raw_bytes: 0,
        raw_crc: None,
        lines: 0,
        levels: [0; LEVELS],
        blocks: Vec::new(),
    };
    let mut at = MAGIC.len() as u64;
    let mut input = BufReader::with_capacity(64 << 10, log);
    let mut time = first_time(input.fill_buf()?);
    let (mut block, mut raw, mut crc) = (Block::default(), Vec::new(), crc32fast::Hasher::new());
    loop {
        raw.clear();
        let read = (&mut input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut raw)?;
        index.raw_bytes += read as u64;
        crc.update(&raw);
        if read > 0 {
            time = block.push_raw(raw.strip_suffix(b"\n").unwrap_or(&raw), time);
        }
        if block.is_full() || (read == 0 && !block.is_empty()) {
            at += write_block(&mut output, &mut index, at, std::mem::take(&mut block))?;
        }
        if read == 0 {
            break;
        }
    }
    index.raw_crc = Some(crc.finalize());
    let file = write_index(output, &index, at)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    Ok(index)
}

impl Index {
    /// Whether the segment was made of just this log file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn is_of(&self, log: &File) -> io::Result<bool> {
        if log.metadata()?.len() != self.raw_bytes {
            return Ok(false);
        }
        let Some(wanted) = self.raw_crc else { return Ok(true) };
        let (mut input, mut crc) = (BufReader::with_capacity(64 << 10, log), crc32fast::Hasher::new());
        loop {
            let bytes = input.fill_buf()?;
            let count = bytes.len();
            crc.update(bytes);
            if count == 0 {
                return Ok(crc.finalize() == wanted);
            }
            input.consume(count);
        }
    }
}

fn write_block(output: &mut impl Write, index: &mut Index, at: u64, mut block: Block) -> io::Result<u64> {
    block.classify();
    let encoded = block.encode()?;
    output.write_all(&encoded.columns)?;
    output.write_all(&encoded.texts)?;
    let mut bits = 0;
    for line in block.lines() {
        index.levels[line.level() as usize] += 1;
        bits |= 1 << line.level() as u8;
    }
    let spans = block.lines().iter().map(|line| Span { first: line.time, last: line.time });
    let span = spans.reduce(Span::join).unwrap_or(Span { first: 0, last: 0 });
    index.lines += block.len() as u64;
    index.blocks.push(BlockIndex {
        at,
        columns: encoded.columns.len() as u32,
        texts: encoded.texts.len() as u32,
        lines: block.len() as u32,
        span,
        levels: bits,
    });
    Ok((encoded.columns.len() + encoded.texts.len()) as u64)
}

fn write_index(mut output: BufWriter<File>, index: &Index, at: u64) -> io::Result<File> {
    let bytes = zstd::bulk::compress(&serde_json::to_vec(index)?, 1)?;
    output.write_all(&bytes)?;
    output.write_all(&at.to_le_bytes())?;
    output.write_all(&(bytes.len() as u32).to_le_bytes())?;
    output.write_all(&crc32fast::hash(&bytes).to_le_bytes())?;
    output.write_all(MAGIC)?;
    output.into_inner().map_err(io::IntoInnerError::into_error)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a segment of logs is damaged: {what}"))
}

/// A segment that is being read.
pub(crate) struct Segment {
    file: File,
    index: Index,
}

impl Segment {
    pub(crate) fn open(path: &Path) -> io::Result<Segment> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let trailer_at = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, trailer_at)?;
        if &trailer[16..] != MAGIC {
            return Err(damaged("it has no end"));
        }
        let word = |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        let at = u64::from(word(0)) | u64::from(word(4)) << 32;
        let bytes = word(8) as usize;
        if bytes > INDEX_BYTES_MAX || at.checked_add(bytes as u64) != Some(trailer_at) {
            return Err(damaged("its index is out of bounds"));
        }
        let mut packed = vec![0; bytes];
        file.read_exact_at(&mut packed, at)?;
        if crc32fast::hash(&packed) != word(12) {
            return Err(damaged("its index has another checksum"));
        }
        let index = serde_json::from_slice(&zstd::bulk::decompress(&packed, INDEX_BYTES_MAX)?)?;
        Ok(Segment { file, index })
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn into_index(self) -> Index {
        self.index
    }

    pub(crate) fn block(&self, number: usize, decoder: &mut Decoder) -> io::Result<Block> {
        Ok(self.block_if(number, decoder, |_| true)?.unwrap_or_default())
    }

    /// `None` where its texts are not wanted.
    pub(crate) fn block_if(
        &self,
        number: usize,
        decoder: &mut Decoder,
        is_wanted: impl FnOnce(&[u8]) -> bool,
    ) -> io::Result<Option<Block>> {
        let block = &self.index.blocks[number];
        let (columns, texts) = (block.columns as usize, block.texts as usize);
        // Compressed bytes may be a little more than what they stand for, and a block is bounded.
        if columns.saturating_add(texts) > 4 * (BLOCK_BYTES + LINE_BYTES_MAX) {
            return Err(damaged("a block is out of bounds"));
        }
        let mut bytes = vec![0; columns + texts];
        self.file.read_exact_at(&mut bytes, block.at)?;
        decoder.decode(&bytes[..columns], &bytes[columns..], block.lines as usize, is_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::time;

    fn log(lines: usize) -> String {
        let line = |index: usize| {
            let time = time::format(index as i64 * 1_000_000);
            let level = if index % 1000 == 999 { "ERROR" } else { "INFO" };
            format!("{} stdout F {level} request {index} took {} ms\n", String::from_utf8_lossy(&time), index % 71)
        };
        (0..lines).map(line).collect()
    }

    #[test]
    fn a_segment_holds_the_whole_log() {
        let dir = tempfile::tempdir().unwrap();
        let (raw, path) = (dir.path().join("0.log"), dir.path().join("x.seg"));
        std::fs::write(&raw, log(20_000)).unwrap();
        let pod = Identity::new("a", "p", "u", Default::default(), None);
        let index = write(&path, &pod, "c", &File::open(&raw).unwrap()).unwrap();
        assert_eq!((index.lines, index.levels[Level::Error as usize]), (20_000, 20));
        assert!(index.blocks.len() > 2, "{}", index.blocks.len());
        let segment = Segment::open(&path).unwrap();
        assert_eq!(segment.index(), &index);
        let mut decoder = Decoder::new().unwrap();
        let mut seen = 0;
        for number in 0..index.blocks.len() {
            let block = segment.block(number, &mut decoder).unwrap();
            for line in 0..block.len() {
                assert!(block.text(line).ends_with(format!("request {seen} took {} ms", seen % 71).as_bytes()));
                assert_eq!(block.lines()[line].time, seen * 1_000_000);
                seen += 1;
            }
        }
        assert_eq!(seen, 20_000);
        let (raw_bytes, packed) = (raw.metadata().unwrap().len(), path.metadata().unwrap().len());
        assert!(packed * 8 < raw_bytes, "{packed} of {raw_bytes}");
        assert_eq!(index.raw_bytes, raw_bytes);
        assert!(!dir.path().join("x.part").exists());
    }

    #[test]
    fn a_cut_segment_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (raw, path) = (dir.path().join("0.log"), dir.path().join("x.seg"));
        std::fs::write(&raw, log(100)).unwrap();
        write(&path, &Identity::default(), "c", &File::open(&raw).unwrap()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 10, 30, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Segment::open(&path).is_err(), "{length}");
        }
    }
}
