//! JSON Web Tokens of one kind: compact, signed with ES256.
//!
//! Invariants: the algorithm is ours, never the token's choice (`none` and all others are refused); claims are read
//! only after the signature was verified; a header with critical extensions is refused, since we know none.

use super::keys::{KeyError, Keys};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Longer tokens are refused unread: bound tokens take about 1 KB.
const BYTES_MAX: usize = 16 * 1024;
const ALGORITHM: &str = "ES256";

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    #[error("the token's signature is not valid")]
    Signature,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<Vec<String>>,
}

/// Whether it looks like one: three parts.
pub(crate) fn is_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

pub(crate) fn sign(keys: &Keys, claims: &impl Serialize) -> Result<String, KeyError> {
    let header = Header { alg: ALGORITHM.to_owned(), kid: Some(keys.id().to_owned()), crit: None };
    let encode = |json: Result<Vec<u8>, serde_json::Error>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
    let header = encode(serde_json::to_vec(&header)).map_err(|_| KeyError::Sign)?;
    let payload = encode(serde_json::to_vec(claims)).map_err(|_| KeyError::Sign)?;
    let message = format!("{header}.{payload}");
    let signature = URL_SAFE_NO_PAD.encode(keys.sign(message.as_bytes())?);
    Ok(format!("{message}.{signature}"))
}

/// The claims' JSON of a token that one of the keys signed.
pub(crate) fn verify(keys: &Keys, token: &str) -> Result<Vec<u8>, JwtError> {
    if token.len() > BYTES_MAX {
        return Err(JwtError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(JwtError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Malformed)?;
    if header.alg != ALGORITHM || header.crit.is_some() {
        return Err(JwtError::Algorithm);
    }
    let signature = decode(signature)?;
    if !keys.verify(header.kid.as_deref(), message.as_bytes(), &signature) {
        return Err(JwtError::Signature);
    }
    decode(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_header_is_refused_even_when_it_is_signed() {
        let keys = Keys::from_pem(&[rcgen::KeyPair::generate().unwrap().serialize_pem()]).unwrap();
        let signed = |header: &Value| {
            let encode = |value: &Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
            let message = format!("{}.{}", encode(header), encode(&json!({"a": 1})));
            let signature = URL_SAFE_NO_PAD.encode(keys.sign(message.as_bytes()).unwrap());
            format!("{message}.{signature}")
        };
        let id = keys.id();
        let table = [
            (json!({"alg": "ES256", "kid": id}), Ok(br#"{"a":1}"#.to_vec())),
            (json!({"alg": "ES256"}), Ok(br#"{"a":1}"#.to_vec())),
            (json!({"alg": "ES256", "kid": "other"}), Err(JwtError::Signature)),
            (json!({"alg": "none", "kid": id}), Err(JwtError::Algorithm)),
            (json!({"alg": "HS256", "kid": id}), Err(JwtError::Algorithm)),
            (json!({"alg": "es256", "kid": id}), Err(JwtError::Algorithm)),
            (json!({"alg": "ES256", "crit": ["b64"]}), Err(JwtError::Algorithm)),
            (json!({"kid": id}), Err(JwtError::Malformed)),
        ];
        for (header, wanted) in table {
            assert_eq!(verify(&keys, &signed(&header)), wanted, "{header}");
        }
    }
}
