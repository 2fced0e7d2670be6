//! The keys that sign and verify service account tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;

/// A P-256 public key is this and the uncompressed point, in DER.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// 4, then both coordinates.
const POINT_BYTES: usize = 65;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("no key to sign service account tokens with")]
    None,
    #[error("a key of service account tokens is no PKCS #8 PEM: {0}")]
    Pem(String),
    #[error("a key of service account tokens is no P-256 key: {0}")]
    Kind(String),
    #[error("signing a token failed")]
    Sign,
}

/// Verifies what its private half signed.
struct Verifier {
    /// How tokens name it: the hash of its SubjectPublicKeyInfo, as upstream's are.
    id: String,
    point: Vec<u8>,
}

/// The signing key and all keys whose tokens are accepted.
pub struct Keys {
    signer: EcdsaKeyPair,
    random: SystemRandom,
    /// The signing key's first.
    verifiers: Vec<Verifier>,
}

fn key_id(point: &[u8]) -> String {
    let spki = [&SPKI_PREFIX[..], point].concat();
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &spki))
}

impl Keys {
    /// From private keys in PEM: the first signs, all verify.
    pub fn from_pem(keys: &[String]) -> Result<Keys, KeyError> {
        let random = SystemRandom::new();
        let mut pairs = Vec::new();
        for pem in keys {
            let der =
                PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| KeyError::Pem(error.to_string()))?;
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random)
                .map_err(|error| KeyError::Kind(error.to_string()))?;
            pairs.push(pair);
        }
        let verifiers = pairs.iter().map(|pair| {
            let point = pair.public_key().as_ref().to_vec();
            Verifier { id: key_id(&point), point }
        });
        let verifiers = verifiers.collect();
        let signer = pairs.into_iter().next().ok_or(KeyError::None)?;
        Ok(Keys { signer, random, verifiers })
    }

    /// The signing key's id.
    pub(crate) fn id(&self) -> &str {
        &self.verifiers[0].id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.signer.sign(&self.random, message).map_err(|_| KeyError::Sign)?.as_ref().to_vec())
    }

    /// Whether the key of that id (any key, without one) signed the message.
    pub(crate) fn verify(&self, id: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        let candidates = self.verifiers.iter().filter(|verifier| id.is_none_or(|id| id == verifier.id));
        candidates.into_iter().any(|verifier| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &verifier.point).verify(message, signature).is_ok()
        })
    }

    /// What `/openid/v1/jwks` answers.
    pub fn jwks(&self) -> JsonWebKeySet {
        let keys = self.verifiers.iter().map(|verifier| {
            let half = POINT_BYTES / 2 + 1;
            JsonWebKey {
                usage: "sig",
                kty: "EC",
                kid: verifier.id.clone(),
                crv: "P-256",
                alg: "ES256",
                x: URL_SAFE_NO_PAD.encode(&verifier.point[1..half]),
                y: URL_SAFE_NO_PAD.encode(&verifier.point[half..]),
            }
        });
        JsonWebKeySet { keys: keys.collect() }
    }
}

/// RFC 7517.
#[derive(Debug, Serialize)]
pub struct JsonWebKeySet {
    pub keys: Vec<JsonWebKey>,
}

#[derive(Debug, Serialize)]
pub struct JsonWebKey {
    #[serde(rename = "use")]
    pub usage: &'static str,
    pub kty: &'static str,
    pub kid: String,
    pub crv: &'static str,
    pub alg: &'static str,
    pub x: String,
    pub y: String,
}
