//! The envelope around a value under a key management service: a seed that the service has wrapped, and the value
//! under a key of its own that is derived from the seed. The form is upstream's (`EncryptedObject` of KMS v2).
//!
//! Invariant: no key seals two values: each is derived with 32 fresh random bytes, which stand before the ciphertext.

use crate::keys::{Secret, gcm_open, gcm_seal};
use crate::random::random;
use prost::Message;
use ring::digest::{Context, SHA256};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

const SEED_BYTES: usize = 32;
const INFO_BYTES: usize = 32;
/// As upstream bounds them.
const SOURCE_BYTES_MAX: usize = 1 << 10;
const KEY_ID_BYTES_MAX: usize = 1 << 10;
const ANNOTATION_BYTES_MAX: usize = 32 << 10;

/// Of `source_type`: what is wrapped is a key of AES-GCM itself (an older upstream wrote that).
const WRAPPED_KEY: i32 = 0;
/// Of `source_type`: what is wrapped is a seed.
const WRAPPED_SEED: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sealed {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
    /// Of the service's key that wrapped the seed.
    #[prost(string, tag = "2")]
    pub(crate) key_id: String,
    /// The wrapped seed.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) source: Vec<u8>,
    #[prost(btree_map = "string, bytes", tag = "4")]
    pub(crate) annotations: BTreeMap<String, Vec<u8>>,
    #[prost(int32, tag = "5")]
    source_type: i32,
}

/// Tells wrapped seeds apart.
pub(crate) type SourceId = [u8; 32];

impl Sealed {
    /// An envelope without content: what the service made of a new seed.
    pub(crate) fn of_seed(key_id: String, source: Vec<u8>, annotations: BTreeMap<String, Vec<u8>>) -> Sealed {
        Sealed { data: Vec::new(), key_id, source, annotations, source_type: WRAPPED_SEED }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Sealed, String> {
        let sealed = Sealed::decode(bytes).map_err(|error| format!("the envelope does not decode: {error}"))?;
        if sealed.data.is_empty() {
            return Err("encrypted data is empty".to_owned());
        }
        sealed.check()?;
        Ok(sealed)
    }

    /// Refuses what no service may send.
    pub(crate) fn check(&self) -> Result<(), String> {
        let annotations: usize = self.annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
        let too_large = |what: &str, bytes: usize, most: usize| {
            if bytes > most {
                Err(format!("{what} is {bytes} bytes, which exceeds the max size of {most}"))
            } else {
                Ok(())
            }
        };
        if self.source.is_empty() {
            return Err("encrypted DEK source is empty".to_owned());
        }
        if self.key_id.is_empty() {
            return Err("keyID is empty".to_owned());
        }
        if !matches!(self.source_type, WRAPPED_KEY | WRAPPED_SEED) {
            return Err(format!("unknown encryptedDEKSourceType: {}", self.source_type));
        }
        too_large("encrypted DEK source", self.source.len(), SOURCE_BYTES_MAX)?;
        too_large("keyID", self.key_id.len(), KEY_ID_BYTES_MAX)?;
        too_large("total size of annotations", annotations, ANNOTATION_BYTES_MAX)
    }

    pub(crate) fn source_id(&self) -> SourceId {
        let mut digest = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(&self.source_type.to_be_bytes());
        part(&self.source);
        part(self.key_id.as_bytes());
        for (name, value) in &self.annotations {
            part(name.as_bytes());
            part(value);
        }
        let mut id = [0; 32];
        id.copy_from_slice(digest.finish().as_ref());
        id
    }

    /// Whether it would be sealed like this today, under the service's key `key_id`.
    pub(crate) fn is_current(&self, key_id: &str) -> bool {
        self.key_id == key_id && self.source_type == WRAPPED_SEED
    }

    /// A value in this envelope, encoded.
    pub(crate) fn seal(&self, seed: &Seed, key: &str, plain: &[u8], prefix: &str) -> Result<Vec<u8>, String> {
        let sealed = Sealed { data: seed.seal(key, plain)?, ..self.clone() };
        let mut out = Vec::with_capacity(prefix.len() + sealed.encoded_len());
        out.extend_from_slice(prefix.as_bytes());
        sealed.encode(&mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    /// `unwrapped` is what the service made of `source`.
    pub(crate) fn open(&self, unwrapped: &Seed, key: &str) -> Result<Vec<u8>, String> {
        if self.source_type == WRAPPED_KEY {
            gcm_open(&unwrapped.0, key, &self.data)
        } else {
            unwrapped.open(key, &self.data)
        }
    }
}

/// Of data keys; wiped when it is dropped.
pub(crate) struct Seed(Secret);

struct DerivedBytes;

impl KeyType for DerivedBytes {
    fn len(&self) -> usize {
        SEED_BYTES
    }
}

impl Seed {
    pub(crate) fn new() -> Result<Seed, String> {
        Ok(Seed(Zeroizing::new(random::<SEED_BYTES>()?.to_vec())))
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Result<Seed, String> {
        let bytes = Zeroizing::new(bytes);
        if !matches!(bytes.len(), 16 | 24 | SEED_BYTES) {
            return Err(format!("invalid seed length {} used for key generation", bytes.len()));
        }
        Ok(Seed(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn derive(&self, info: &[u8]) -> Result<Zeroizing<[u8; SEED_BYTES]>, String> {
        let mut derived = Zeroizing::new([0; SEED_BYTES]);
        let prk = Prk::new_less_safe(HKDF_SHA256, &self.0);
        let filled = prk.expand(&[info], DerivedBytes).and_then(|okm| okm.fill(&mut *derived));
        filled.map_err(|_| "failed to KDF expand seed with info".to_owned())?;
        Ok(derived)
    }

    fn seal(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
        let info = random::<INFO_BYTES>()?;
        let mut out = info.to_vec();
        gcm_seal(&*self.derive(&info)?, key, plain, &mut out)?;
        Ok(out)
    }

    fn open(&self, key: &str, data: &[u8]) -> Result<Vec<u8>, String> {
        let short = "the stored data was shorter than the required size";
        let (info, sealed) = data.split_first_chunk::<INFO_BYTES>().ok_or(short)?;
        gcm_open(&*self.derive(info)?, key, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_with_its_seed_at_its_place() {
        let seed = Seed::new().unwrap();
        let envelope = Sealed::of_seed("1".to_owned(), vec![1, 2, 3], BTreeMap::new());
        let bytes = envelope.seal(&seed, "/core/secrets/a/b", b"hunter2", "p:").unwrap();
        let read = Sealed::parse(&bytes[2..]).unwrap();
        assert_eq!(read.source_id(), envelope.source_id());
        assert_eq!(read.open(&seed, "/core/secrets/a/b").unwrap(), b"hunter2");
        assert!(read.open(&seed, "/core/secrets/a/c").is_err());
        assert!(read.open(&Seed::new().unwrap(), "/core/secrets/a/b").is_err());
        assert!((read.is_current("1"), read.is_current("2")) == (true, false));
    }

    #[test]
    fn sources_differ_in_every_part() {
        let of = |key_id: &str, source: &[u8], name: &str| {
            Sealed::of_seed(key_id.to_owned(), source.to_vec(), BTreeMap::from([(name.to_owned(), vec![1])]))
                .source_id()
        };
        let ids = [of("1", b"s", "n"), of("2", b"s", "n"), of("1", b"t", "n"), of("1", b"s", "m"), of("1s", b"", "n")];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{at}");
        }
    }

    #[test]
    fn what_no_service_may_send_is_refused() {
        for (envelope, complaint) in [
            (Sealed::of_seed(String::new(), vec![1], BTreeMap::new()), "keyID is empty"),
            (Sealed::of_seed("1".to_owned(), Vec::new(), BTreeMap::new()), "encrypted DEK source is empty"),
            (Sealed::of_seed("1".to_owned(), vec![0; 1025], BTreeMap::new()), "exceeds the max size of 1024"),
            (Sealed::of_seed("x".repeat(1025), vec![1], BTreeMap::new()), "keyID is 1025 bytes"),
        ] {
            let error = envelope.check().unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
