//! Finds out how a stream is compressed, and undoes it.
//!
//! The first bytes decide, not the media type: builders and registries confuse the types, and containerd looks at
//! the bytes too.

use std::io::{self, BufRead, BufReader, Cursor, Read};

const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 64 << 10;

/// Whether a stream that starts so is compressed.
pub(crate) fn is_compressed(magic: &[u8]) -> bool {
    magic.starts_with(GZIP) || magic.starts_with(ZSTD)
}

/// Gzip (of several members too), zstd, or what is neither as it is.
pub(crate) fn decompress<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(ZSTD.len());
    source.by_ref().take(ZSTD.len() as u64).read_to_end(&mut magic)?;
    let (gzip, zstd) = (magic.starts_with(GZIP), magic.starts_with(ZSTD));
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(magic).chain(source));
    if gzip {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(whole)));
    }
    if zstd {
        return Ok(Box::new(zstd_decoder(whole)?));
    }
    Ok(Box::new(whole))
}

fn zstd_decoder<'a>(source: impl BufRead + 'a) -> io::Result<impl Read + 'a> {
    zstd::stream::read::Decoder::with_buffer(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[track_caller]
    fn check(compressed: &[u8], expected: &[u8]) {
        let mut got = Vec::new();
        decompress(compressed).unwrap().read_to_end(&mut got).unwrap();
        assert_eq!(got, expected);
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn tells_by_the_first_bytes() {
        check(b"", b"");
        check(b"ab", b"ab");
        check(b"plain text", b"plain text");
        check(&gzip(b"one"), b"one");
        check(&[gzip(b"one"), gzip(b"two")].concat(), b"onetwo");
        check(&zstd::encode_all(&b"three"[..], 1).unwrap(), b"three");
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let whole = gzip(&[7; 1000]);
        let mut got = Vec::new();
        assert!(decompress(&whole[..whole.len() - 9]).unwrap().read_to_end(&mut got).is_err());
    }
}
