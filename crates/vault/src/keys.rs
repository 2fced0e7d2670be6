//! Keys that stand in the configuration: AES in two modes, and NaCl's secretbox. The forms are upstream's.
//!
//! Invariants: every value has a fresh random nonce; a damaged value and one of another key fail alike. AES-GCM binds a
//! value to its key in the store; the other two cannot.

use crate::random::random;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use crypto_secretbox::XSalsa20Poly1305;
use zeroize::Zeroizing;

pub(crate) const AES_KEY_BYTES: &[usize] = &[16, 24, 32];
pub(crate) const SECRETBOX_KEY_BYTES: &[usize] = &[32];

const GCM_NONCE: usize = 12;
const CBC_IV: usize = 16;
const BOX_NONCE: usize = 24;

pub(crate) type Secret = Zeroizing<Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    AesGcm,
    AesCbc,
    Secretbox,
}

impl Cipher {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cipher::AesGcm => "aesgcm",
            Cipher::AesCbc => "aescbc",
            Cipher::Secretbox => "secretbox",
        }
    }

    pub(crate) fn key_bytes(self) -> &'static [usize] {
        match self {
            Cipher::AesGcm | Cipher::AesCbc => AES_KEY_BYTES,
            Cipher::Secretbox => SECRETBOX_KEY_BYTES,
        }
    }
}

pub(crate) struct Key {
    cipher: Cipher,
    pub(crate) prefix: String,
    secret: Secret,
}

impl Key {
    /// The secret's length is one of the cipher's.
    pub(crate) fn new(cipher: Cipher, name: &str, secret: Secret) -> Key {
        Key { cipher, prefix: format!("k8s:enc:{}:v1:{name}:", cipher.name()), secret }
    }

    pub(crate) fn seal(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = self.prefix.clone().into_bytes();
        match self.cipher {
            Cipher::AesGcm => gcm_seal(&self.secret, key, plain, &mut out)?,
            Cipher::AesCbc => {
                let iv = random::<CBC_IV>()?;
                out.extend_from_slice(&iv);
                out.extend_from_slice(&cbc_seal(&self.secret, &iv, plain)?);
            }
            Cipher::Secretbox => {
                let nonce = random::<BOX_NONCE>()?;
                out.extend_from_slice(&nonce);
                let cipher = XSalsa20Poly1305::new_from_slice(&self.secret).map_err(|_| length(&self.secret))?;
                out.extend_from_slice(&cipher.encrypt(&nonce.into(), plain).map_err(|_| FAILED.to_owned())?);
            }
        }
        Ok(out)
    }

    /// `sealed` is without the prefix.
    pub(crate) fn open(&self, key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        match self.cipher {
            Cipher::AesGcm => gcm_open(&self.secret, key, sealed),
            Cipher::AesCbc => {
                let (iv, sealed) = split::<CBC_IV>(sealed)?;
                cbc_open(&self.secret, &iv, sealed)
            }
            Cipher::Secretbox => {
                let (nonce, sealed) = split::<BOX_NONCE>(sealed)?;
                let cipher = XSalsa20Poly1305::new_from_slice(&self.secret).map_err(|_| length(&self.secret))?;
                cipher.decrypt(&nonce.into(), sealed).map_err(|_| FAILED.to_owned())
            }
        }
    }
}

const FAILED: &str = "it was sealed with another key, or is damaged";

fn length(secret: &[u8]) -> String {
    format!("no key has {} bytes", secret.len())
}

fn split<const N: usize>(sealed: &[u8]) -> Result<([u8; N], &[u8]), String> {
    let (first, rest) = sealed.split_first_chunk::<N>().ok_or("the stored data was shorter than the required size")?;
    Ok((*first, rest))
}

/// Appends nonce, ciphertext and tag.
pub(crate) fn gcm_seal(secret: &[u8], key: &str, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let nonce = random::<GCM_NONCE>()?;
    let payload = Payload { msg: plain, aad: key.as_bytes() };
    let sealed = match secret.len() {
        16 => gcm::<Aes128Gcm>(secret)?.encrypt(&nonce.into(), payload),
        24 => gcm::<AesGcm<Aes192, U12>>(secret)?.encrypt(&nonce.into(), payload),
        _ => gcm::<Aes256Gcm>(secret)?.encrypt(&nonce.into(), payload),
    };
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed.map_err(|_| FAILED.to_owned())?);
    Ok(())
}

pub(crate) fn gcm_open(secret: &[u8], key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let (nonce, sealed) = split::<GCM_NONCE>(sealed)?;
    let payload = Payload { msg: sealed, aad: key.as_bytes() };
    let opened = match secret.len() {
        16 => gcm::<Aes128Gcm>(secret)?.decrypt(&nonce.into(), payload),
        24 => gcm::<AesGcm<Aes192, U12>>(secret)?.decrypt(&nonce.into(), payload),
        _ => gcm::<Aes256Gcm>(secret)?.decrypt(&nonce.into(), payload),
    };
    opened.map_err(|_| FAILED.to_owned())
}

fn gcm<C: KeyInit + AeadCore<NonceSize = U12>>(secret: &[u8]) -> Result<C, String> {
    C::new_from_slice(secret).map_err(|_| length(secret))
}

fn cbc_seal(secret: &[u8], iv: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |_| length(secret);
    Ok(match secret.len() {
        16 => {
            cbc::Encryptor::<Aes128>::new_from_slices(secret, iv).map_err(wrong)?.encrypt_padded_vec_mut::<Pkcs7>(plain)
        }
        24 => {
            cbc::Encryptor::<Aes192>::new_from_slices(secret, iv).map_err(wrong)?.encrypt_padded_vec_mut::<Pkcs7>(plain)
        }
        _ => {
            cbc::Encryptor::<Aes256>::new_from_slices(secret, iv).map_err(wrong)?.encrypt_padded_vec_mut::<Pkcs7>(plain)
        }
    })
}

fn cbc_open(secret: &[u8], iv: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |_| length(secret);
    let opened = match secret.len() {
        16 => cbc::Decryptor::<Aes128>::new_from_slices(secret, iv)
            .map_err(wrong)?
            .decrypt_padded_vec_mut::<Pkcs7>(sealed),
        24 => cbc::Decryptor::<Aes192>::new_from_slices(secret, iv)
            .map_err(wrong)?
            .decrypt_padded_vec_mut::<Pkcs7>(sealed),
        _ => cbc::Decryptor::<Aes256>::new_from_slices(secret, iv)
            .map_err(wrong)?
            .decrypt_padded_vec_mut::<Pkcs7>(sealed),
    };
    opened.map_err(|_| FAILED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cipher: Cipher, name: &str, bytes: usize, fill: u8) -> Key {
        Key::new(cipher, name, vec![fill; bytes].into())
    }

    fn all() -> Vec<Key> {
        let ciphers = [Cipher::AesGcm, Cipher::AesCbc, Cipher::Secretbox];
        ciphers.iter().flat_map(|c| c.key_bytes().iter().map(|bytes| key(*c, "k", *bytes, 7))).collect()
    }

    #[test]
    fn what_was_sealed_opens_and_shows_nothing() {
        for key in all() {
            for plain in [&b""[..], b"hunter2", &[b'x'; 4096]] {
                let sealed = key.seal("/core/secrets/a/b", plain).unwrap();
                let body = sealed.strip_prefix(key.prefix.as_bytes()).expect("it begins with who sealed it");
                assert_eq!(key.open("/core/secrets/a/b", body).unwrap(), plain);
                assert!(plain.is_empty() || !sealed.windows(plain.len()).any(|part| part == plain));
                assert_ne!(sealed, key.seal("/core/secrets/a/b", plain).unwrap(), "a nonce was used twice");
            }
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        for cipher in [Cipher::AesGcm, Cipher::Secretbox] {
            let (own, other) = (key(cipher, "k", 32, 1), key(cipher, "k", 32, 2));
            let sealed = own.seal("/k", b"hunter2").unwrap();
            assert_eq!(other.open("/k", &sealed[own.prefix.len()..]).unwrap_err(), FAILED);
        }
    }

    #[test]
    fn gcm_binds_a_value_to_its_place() {
        let own = key(Cipher::AesGcm, "k", 32, 1);
        let sealed = own.seal("/core/secrets/a/b", b"hunter2").unwrap();
        assert_eq!(own.open("/core/secrets/a/c", &sealed[own.prefix.len()..]).unwrap_err(), FAILED);
    }

    #[test]
    fn a_value_cut_short_is_an_error() {
        for key in all() {
            let sealed = key.seal("/k", b"hunter2").unwrap();
            let body = &sealed[key.prefix.len()..];
            for length in 0..body.len() {
                assert!(key.open("/k", &body[..length]).is_err(), "{} {length}", key.prefix);
            }
        }
    }

    #[test]
    fn cbc_pads_to_whole_blocks() {
        let secret: Vec<u8> = (0..32).collect();
        let sealed = cbc_seal(&secret, &[9; 16], b"attack at dawn").unwrap();
        assert_eq!(sealed.len(), 16);
        assert_eq!(cbc_open(&secret, &[9; 16], &sealed).unwrap(), b"attack at dawn");
    }
}
