//! Content digests: names of blobs that can be checked.
//!
//! Only sha256 exists here: every registry and builder writes it, and a digest that cannot be computed is refused
//! when it is parsed, never trusted.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const HEX_LENGTH: usize = 64;

/// A sha256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    hex: String,
}

/// Why a string is no digest, in the words of upstream's `go-digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `algorithm:hex`.
    #[error("invalid checksum digest format")]
    Format,
    /// Another algorithm than sha256.
    #[error("unsupported digest algorithm")]
    Unsupported,
    /// Not 64 digits.
    #[error("invalid checksum digest length")]
    Length,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from_hash(&Sha256::digest(bytes))
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    fn from_hash(hash: &[u8]) -> Digest {
        let mut hex = String::with_capacity(HEX_LENGTH);
        for byte in hash {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is one hexadecimal digit"));
            }
        }
        Digest { hex }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        if algorithm.is_empty() || hex.is_empty() {
            return Err(DigestError::Format);
        }
        if algorithm != "sha256" {
            return Err(DigestError::Unsupported);
        }
        if hex.len() != HEX_LENGTH {
            return Err(DigestError::Length);
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        Ok(Digest { hex: hex.to_owned() })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Digest, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex)
    }
}

/// Names stacks of layers: the id of the whole stack up to each layer, bottom first, as the OCI image
/// specification's ChainID. Two images share a directory only where everything below is the same too, because a
/// layer that leaves out a parent directory takes its owner and mode from below.
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

/// A reader that hashes and counts what passes.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Sha256,
    count: u64,
    bytes_max: u64,
}

impl<R: Read> Hashed<R> {
    /// Fails reads past `bytes_max`.
    pub(crate) fn new(inner: R, bytes_max: u64) -> Self {
        Hashed { inner, hash: Sha256::new(), count: 0, bytes_max }
    }

    /// Reads on to the end: a digest covers what follows an archive's last entry as well.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(|_| ())
    }

    /// The digest and number of the bytes read.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (Digest::from_hash(&self.hash.finalize()), self.count)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        if self.count > self.bytes_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, Overlong { bytes_max: self.bytes_max }));
        }
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// More bytes came than were allowed.
#[derive(Debug, thiserror::Error)]
#[error("more than {bytes_max} bytes")]
pub(crate) struct Overlong {
    bytes_max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parses_only_what_it_can_compute() {
        let parse = |text: &str| text.parse::<Digest>();
        assert_eq!(parse(EMPTY).unwrap(), Digest::of(b""));
        assert_eq!(parse("sha256"), Err(DigestError::Format));
        assert_eq!(parse("sha256:abc"), Err(DigestError::Length));
        assert_eq!(parse(&EMPTY.to_uppercase().replace("SHA", "sha")), Err(DigestError::Format));
        assert_eq!(parse(&format!("sha512:{}", "0".repeat(128))), Err(DigestError::Unsupported));
    }

    #[test]
    fn chains_as_the_specification_says() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let chain = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chain, [a.clone(), Digest::of(format!("{a} {b}").as_bytes())]);
    }

    #[test]
    fn counts_hashes_and_stops_at_the_bound() {
        let mut reader = Hashed::new(&b"abc"[..], 3);
        reader.drain().unwrap();
        assert_eq!(reader.finish(), (Digest::of(b"abc"), 3));
        assert_eq!(Hashed::new(&b"abcd"[..], 3).drain().unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
