//! An issuer's keys (RFC 7517), and the signatures that they verify.
//!
//! Invariant: which algorithm verifies is the configuration's and the key's choice together, never the token's alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Keys of one issuer; real ones have two or three.
const KEYS_MAX: usize = 256;

enum Algorithm {
    Rsa(&'static RsaParameters),
    Ecdsa(&'static EcdsaVerificationAlgorithm, &'static str),
}

const ALGORITHMS: [(&str, Algorithm); 8] = [
    ("RS256", Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA256)),
    ("RS384", Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA384)),
    ("RS512", Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA512)),
    ("PS256", Algorithm::Rsa(&RSA_PSS_2048_8192_SHA256)),
    ("PS384", Algorithm::Rsa(&RSA_PSS_2048_8192_SHA384)),
    ("PS512", Algorithm::Rsa(&RSA_PSS_2048_8192_SHA512)),
    ("ES256", Algorithm::Ecdsa(&ECDSA_P256_SHA256_FIXED, "P-256")),
    ("ES384", Algorithm::Ecdsa(&ECDSA_P384_SHA384_FIXED, "P-384")),
];

/// Those that may be asked for.
pub(crate) fn algorithms() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|(name, _)| *name)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: String,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { curve: String, point: Vec<u8> },
}

#[derive(Debug)]
struct Key {
    id: String,
    material: Material,
}

#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

impl Jwk {
    /// `None` for keys of other kinds or for other uses.
    fn key(&self) -> Option<Key> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        if !matches!(self.usage.as_str(), "" | "sig") {
            return None;
        }
        let material = match self.kty.as_str() {
            "RSA" => Material::Rsa { n: decode(&self.n)?, e: decode(&self.e)? },
            "EC" => {
                Material::Ec { curve: self.crv.clone(), point: [vec![4], decode(&self.x)?, decode(&self.y)?].concat() }
            }
            _ => return None,
        };
        Some(Key { id: self.kid.clone(), material })
    }
}

impl Key {
    fn verify(&self, algorithm: &Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (algorithm, &self.material) {
            (Algorithm::Rsa(parameters), Material::Rsa { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (Algorithm::Ecdsa(algorithm, own), Material::Ec { curve, point }) if own == curve => {
                UnparsedPublicKey::new(*algorithm, point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

impl KeySet {
    pub(crate) fn parse(json: &[u8]) -> Result<KeySet, serde_json::Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Jwk>,
        }
        let set: Set = serde_json::from_slice(json)?;
        Ok(KeySet { keys: set.keys.iter().take(KEYS_MAX).filter_map(Jwk::key).collect() })
    }

    /// Whether the key of that id (any, without one) signed the message.
    pub(crate) fn verify(&self, algorithm: &str, id: &str, message: &[u8], signature: &[u8]) -> bool {
        let Some((_, algorithm)) = ALGORITHMS.iter().find(|(name, _)| *name == algorithm) else { return false };
        let mut candidates = self.keys.iter().filter(|key| id.is_empty() || key.id == id);
        candidates.any(|key| key.verify(algorithm, message, signature))
    }
}
