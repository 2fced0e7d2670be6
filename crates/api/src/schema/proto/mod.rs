//! Kubernetes' protobuf form of built-in kinds, and back.
//!
//! Invariants: fields stand in the order of their numbers and map entries in that of their keys, as upstream's encoder
//! writes them; a field without a number (younger than the table's protobuf facts) is left out, and so is what an
//! encoder in Go would write only because its structs cannot be absent. Decoding refuses what is malformed and skips
//! numbers that it does not know.

mod decode;
mod duration;
mod encode;
mod wire;

use super::facts;
use serde_json::Value;

pub use decode::type_meta;
pub(crate) use wire::Writer;

/// Begins every object, before its envelope (`runtime.Unknown`).
pub const MAGIC: [u8; 4] = *b"k8s\0";
/// Deeper messages are refused, as deeper JSON is.
const DEPTH_MAX: u32 = super::decode::DEPTH_MAX;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    #[error("no schema for {0}")]
    UnknownMessage(String),
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    NoMagic,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: illegal wireType {0}")]
    WireType(u8),
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: {message}: invalid UTF-8 in field {field}")]
    NotUtf8 { message: &'static str, field: &'static str },
    #[error("exceeded max depth")]
    Depth,
    /// The JSON has not been checked against the schema.
    #[error("{message}.{field}: cannot be encoded: {reason}")]
    Unencodable { message: &'static str, field: &'static str, reason: &'static str },
}

/// Encodes an object of `message` with its envelope. The object must have passed `check`.
pub fn encode(message: &str, object: &Value) -> Result<Vec<u8>, ProtoError> {
    let known = facts::message(message).ok_or_else(|| ProtoError::UnknownMessage(message.to_owned()))?;
    let mut writer = wire::Writer::new();
    encode::envelope(&mut writer, known, object)?;
    Ok(writer.finish())
}

/// Decodes an enveloped object of `message`; `apiVersion` and `kind` come from the envelope.
pub fn decode(message: &str, bytes: &[u8]) -> Result<Value, ProtoError> {
    let known = facts::message(message).ok_or_else(|| ProtoError::UnknownMessage(message.to_owned()))?;
    decode::enveloped(known, bytes)
}

/// One frame of a protobuf watch: a WatchEvent without magic whose object is enveloped, after its length.
pub fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut writer = wire::Writer::new();
    // `object`, a RawExtension whose only field is `raw`.
    let end = writer.mark();
    writer.bytes(1, object);
    writer.close(2, end);
    writer.bytes(1, event.as_bytes());
    let body = writer.finish();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

#[cfg(test)]
mod tests;
