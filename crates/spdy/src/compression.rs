//! Header blocks in zlib's format: one stream for a connection's whole life and direction, flushed after each block.

use crate::dictionary::DICTIONARY;
use crate::frame::ProtocolError;
use crate::limits::HEADER_BYTES_MAX;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// Blocks are a few dozen bytes: a window of 2 KiB holds the last of them and takes little memory.
const WINDOW_BITS: u8 = 11;
const CHUNK_BYTES: usize = 1 << 10;

pub(crate) struct Deflater(Compress);

impl Deflater {
    pub(crate) fn new() -> Deflater {
        let mut inner = Compress::new_with_window_bits(Compression::fast(), true, WINDOW_BITS);
        inner.set_dictionary(&DICTIONARY).expect("a fresh compressor takes a dictionary");
        Deflater(inner)
    }

    pub(crate) fn deflate(&mut self, block: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(block.len() + 64);
        let mut rest = block;
        loop {
            out.reserve(CHUNK_BYTES);
            let before = self.0.total_in();
            // Its only error is a misuse of its state, and the state is this struct's alone.
            self.0.compress_vec(rest, &mut out, FlushCompress::Sync).expect("a compressor compresses");
            rest = &rest[(self.0.total_in() - before) as usize..];
            // A flush is complete when it leaves room.
            if rest.is_empty() && out.len() < out.capacity() {
                return out;
            }
        }
    }
}

pub(crate) struct Inflater(Decompress);

impl Inflater {
    pub(crate) fn new() -> Inflater {
        Inflater(Decompress::new(true))
    }

    /// # Errors
    /// For what is not zlib's format, or becomes too long.
    pub(crate) fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let mut block = Vec::new();
        let mut rest = compressed;
        loop {
            block.reserve(CHUNK_BYTES);
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let result = self.0.decompress_vec(rest, &mut block, FlushDecompress::Sync);
            let (taken, given) = (self.0.total_in() - before_in, self.0.total_out() - before_out);
            rest = rest.get(taken as usize..).unwrap_or_default();
            if block.len() > HEADER_BYTES_MAX {
                return Err(ProtocolError::Headers("too long"));
            }
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| ProtocolError::Compression)?;
                    continue;
                }
                Err(_) => return Err(ProtocolError::Compression),
                Ok(_) => {}
            }
            if rest.is_empty() && block.len() < block.capacity() {
                return Ok(block);
            }
            if taken == 0 && given == 0 {
                return Err(ProtocolError::Compression);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_share_one_compression() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        let long: Vec<u8> =
            (0..20_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_be_bytes()).take(60_000).collect();
        let mut sizes = Vec::new();
        for block in [&b"streamtype"[..], b"streamtype", b"", &long, b"after"] {
            let compressed = deflater.deflate(block);
            sizes.push(compressed.len());
            assert_eq!(inflater.inflate(&compressed).unwrap(), block);
        }
        assert!(sizes[1] < sizes[0], "{sizes:?}");
        assert!(matches!(inflater.inflate(b"nonsense"), Err(ProtocolError::Compression)));
    }

    #[test]
    fn a_bomb_is_defused() {
        let mut deflater = Deflater::new();
        let bomb = deflater.deflate(&vec![0; 4 << 20]);
        assert!(bomb.len() < 100 << 10, "{}", bomb.len());
        assert!(matches!(Inflater::new().inflate(&bomb), Err(ProtocolError::Headers("too long"))));
    }
}
