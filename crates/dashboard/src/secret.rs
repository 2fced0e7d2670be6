//! Secrets of 256 random bits, and the digests by which they are known without being kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

const SECRET_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandomness;

/// In letters that a URL, a cookie and a WebSocket's protocol may carry.
pub(crate) fn fresh() -> Result<String, NoRandomness> {
    let mut bytes = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a secret. Finding an entry by it leaks no more through time than the digest of a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(secret: &str) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
        Digest(bytes)
    }

    pub(crate) fn is_of(&self, secret: &str) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &Digest::of(secret).0[..]).into()
    }
}
