//! Checking of JSON against a message: what a strict, a warning and a lenient server need, in one pass over the bytes.
//!
//! Invariants: no value tree is built; what comes out holds known fields only, decodes into the typed struct, and is the
//! input itself, not a copy, when nothing had to change. Texts are those of upstream's decoder, in its order.

mod go;
mod leaf;
mod members;
mod output;
mod scan;
mod time;
mod walk;

use super::facts::{self, Message};
use std::borrow::Cow;

/// Deeper JSON is refused; serde_json, which decodes the result, stops at 128.
pub const DEPTH_MAX: u32 = 120;
/// Larger bodies are refused, as upstream's request limit does.
pub const SIZE_MAX: usize = 3 * 1024 * 1024;
/// Upstream's bound on the complaints about one object.
pub const STRICT_ERRORS_MAX: usize = 100;

/// A body that may be decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// Without unknown fields and nulls, quantities and times canonical.
    pub json: Cow<'a, [u8]>,
    /// `unknown field "spec.foo"`, `duplicate field "metadata.name"`: errors when strict, warnings when not.
    pub strict_errors: Vec<String>,
}

/// Why a body cannot be decoded; the text follows `Pod in version "v1" cannot be handled as a Pod: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("no schema for {0}")]
    UnknownMessage(String),
    /// Not JSON: `invalid character 'x' looking for beginning of value`.
    #[error("{0}")]
    Syntax(String),
    /// JSON of another type: `json: cannot unmarshal string into Go struct field …`.
    #[error("{0}")]
    Type(String),
    #[error("exceeded max depth")]
    Depth,
    #[error("Request entity too large: limit is {SIZE_MAX}")]
    Size,
}

/// Checks one object of the named message, `k8s.io.api.core.v1.Pod`.
pub fn check<'a>(message: &str, json: &'a [u8]) -> Result<Checked<'a>, DecodeError> {
    let known = facts::message(message).ok_or_else(|| DecodeError::UnknownMessage(message.to_owned()))?;
    check_message(known, json)
}

/// `check` where the message is at hand.
pub fn check_message<'a>(message: &'static Message, json: &'a [u8]) -> Result<Checked<'a>, DecodeError> {
    run(json, |walk| walk.root(message))
}

/// Checks an object of a kind that has no message: its metadata by the table, the rest for duplicates only.
pub fn check_custom(json: &[u8]) -> Result<Checked<'_>, DecodeError> {
    run(json, |walk| walk.custom_root())
}

fn run<'a>(
    json: &'a [u8],
    root: impl FnOnce(&mut walk::Walk<'_>) -> Result<(), walk::Stop>,
) -> Result<Checked<'a>, DecodeError> {
    if json.len() > SIZE_MAX {
        return Err(DecodeError::Size);
    }
    // Go's decoder puts U+FFFD where a string is not UTF-8.
    let text = String::from_utf8_lossy(json);
    let mut walk = walk::Walk::new(text.as_bytes());
    root(&mut walk)?;
    let (rewritten, strict_errors) = walk.finish()?;
    let json = match (rewritten, text) {
        (Some(bytes), _) => Cow::Owned(bytes),
        (None, Cow::Borrowed(_)) => Cow::Borrowed(json),
        (None, Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
    };
    Ok(Checked { json, strict_errors })
}

#[cfg(test)]
mod tests;
