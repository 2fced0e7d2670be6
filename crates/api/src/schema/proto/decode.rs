//! Protobuf to JSON.

use super::wire::{Content, Reader};
use super::{DEPTH_MAX, MAGIC, ProtoError, duration};
use crate::schema::facts::{Codec, Field, Message, Shape, Type};
use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

type Members = Map<String, Value>;

/// `apiVersion` and `kind` of an enveloped object.
pub fn type_meta(bytes: &[u8]) -> Result<(String, String), ProtoError> {
    let envelope = Envelope::read(bytes)?;
    Ok((envelope.api_version, envelope.kind))
}

struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Envelope<'a>, ProtoError> {
        let body = bytes.strip_prefix(&MAGIC).ok_or(ProtoError::NoMagic)?;
        let mut envelope = Envelope { api_version: String::new(), kind: String::new(), raw: &[] };
        let mut fields = Reader::new(body);
        while let Some((number, content)) = fields.next()? {
            match (number, content) {
                (1, Content::Bytes(bytes)) => envelope.read_type(bytes)?,
                (2, Content::Bytes(bytes)) => envelope.raw = bytes,
                _ => {}
            }
        }
        Ok(envelope)
    }

    fn read_type(&mut self, bytes: &[u8]) -> Result<(), ProtoError> {
        let mut fields = Reader::new(bytes);
        while let Some((number, content)) = fields.next()? {
            match (number, content) {
                (1, Content::Bytes(bytes)) => self.api_version = string(bytes, "TypeMeta", "apiVersion")?,
                (2, Content::Bytes(bytes)) => self.kind = string(bytes, "TypeMeta", "kind")?,
                _ => {}
            }
        }
        Ok(())
    }
}

pub(super) fn enveloped(message: &'static Message, bytes: &[u8]) -> Result<Value, ProtoError> {
    let envelope = Envelope::read(bytes)?;
    let mut members = Members::new();
    for (name, value) in [("apiVersion", envelope.api_version), ("kind", envelope.kind)] {
        if !value.is_empty() {
            members.insert(name.to_owned(), value.into());
        }
    }
    fields(message, envelope.raw, &mut members, DEPTH_MAX)?;
    Ok(Value::Object(members))
}

fn fields(message: &'static Message, bytes: &[u8], members: &mut Members, depth_left: u32) -> Result<(), ProtoError> {
    let depth_left = depth_left.checked_sub(1).ok_or(ProtoError::Depth)?;
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.next()? {
        let Some(field) = message.numbered(number) else { continue };
        match (field.shape, field.kind, content) {
            (_, Type::Message(id), Content::Bytes(inner)) if field.inline => {
                fields(id.get(), inner, members, depth_left)?;
            }
            (Shape::Map, kind, Content::Bytes(entry)) => {
                let (key, value) = map_entry(message, field, kind, entry, depth_left)?;
                insert_entry(members, field.name, key, value);
            }
            (Shape::Map, ..) => return Err(ProtoError::WireType(0)),
            (Shape::List, kind, content) => {
                let value = one(message, field, kind, content, depth_left)?.unwrap_or(Value::Null);
                push(members, field.name, value);
            }
            (Shape::One, kind, content) => {
                let value = one(message, field, kind, content, depth_left)?;
                let keeps_zero = field.zero_counts || field.required || matches!(kind, Type::Message(_));
                // Of a field that is sent twice the last counts, also where it says nothing.
                match value.filter(|value| keeps_zero || !is_zero(value)) {
                    Some(value) => drop(members.insert(field.name.to_owned(), value)),
                    None => drop(members.shift_remove(field.name)),
                }
            }
        }
    }
    Ok(())
}

/// Scalars that Go's encoder writes only because its structs cannot leave them out.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn push(members: &mut Members, name: &str, value: Value) {
    let list = members.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(elements) = list {
        elements.push(value);
    }
}

fn insert_entry(members: &mut Members, name: &str, key: String, value: Value) {
    let map = members.entry(name).or_insert_with(|| Value::Object(Members::new()));
    if let Value::Object(entries) = map {
        entries.insert(key, value);
    }
}

fn map_entry(
    message: &'static Message,
    field: &'static Field,
    kind: Type,
    bytes: &[u8],
    depth_left: u32,
) -> Result<(String, Value), ProtoError> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = reader.next()? {
        match (number, content) {
            (1, Content::Bytes(bytes)) => key = string(bytes, message.name, field.name)?,
            (2, content) => value = one(message, field, kind, content, depth_left)?,
            _ => {}
        }
    }
    let absent = match kind {
        Type::String | Type::Bytes => Value::String(String::new()),
        Type::Message(id) if id.get().codec == Codec::Quantity => "0".into(),
        Type::Message(id) => match id.get().codec {
            Codec::Items => Value::Array(Vec::new()),
            Codec::Object => Value::Object(Members::new()),
            _ => Value::Null,
        },
        Type::Bool => false.into(),
        Type::Int32 | Type::Int64 | Type::Double => 0.into(),
    };
    Ok((key, value.unwrap_or(absent)))
}

/// A value; `None` for a time that is none.
fn one(
    message: &'static Message,
    field: &'static Field,
    kind: Type,
    content: Content<'_>,
    depth_left: u32,
) -> Result<Option<Value>, ProtoError> {
    Ok(Some(match (kind, content) {
        (Type::String, Content::Bytes(bytes)) => string(bytes, message.name, field.name)?.into(),
        (Type::Bytes, Content::Bytes(bytes)) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        // Upstream keeps the low half of what a sender put into 32 bits.
        (Type::Int32, Content::Varint(value)) => (value as u32).cast_signed().into(),
        (Type::Int64, Content::Varint(value)) => value.cast_signed().into(),
        (Type::Bool, Content::Varint(value)) => (value != 0).into(),
        (Type::Double, Content::Fixed64(bits)) => double(f64::from_bits(bits)),
        (Type::Message(id), Content::Bytes(bytes)) => return self::message(id.get(), field, bytes, depth_left),
        (_, Content::Varint(_)) => return Err(ProtoError::WireType(0)),
        (_, Content::Fixed64(_)) => return Err(ProtoError::WireType(1)),
        (_, Content::Bytes(_)) => return Err(ProtoError::WireType(2)),
        (_, Content::Skipped) => return Err(ProtoError::WireType(5)),
    }))
}

/// Whole numbers stay whole, as Go prints them.
fn double(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT { (value as i64).into() } else { value.into() }
}

fn message(
    message: &'static Message,
    field: &'static Field,
    bytes: &[u8],
    depth_left: u32,
) -> Result<Option<Value>, ProtoError> {
    if message.codec == Codec::Object {
        let mut members = Members::new();
        fields(message, bytes, &mut members, depth_left)?;
        return Ok(Some(Value::Object(members)));
    }
    let parts = Parts::read(bytes)?;
    let text = |bytes: Option<&[u8]>| string(bytes.unwrap_or_default(), message.name, field.name);
    Ok(Some(match message.codec {
        Codec::Object | Codec::Items => {
            let items = parts.repeated.iter().map(|item| text(Some(item)).map(Value::from));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Codec::Quantity => match text(parts.first_bytes)? {
            empty if empty.is_empty() => "0".into(),
            quantity => quantity.into(),
        },
        Codec::Time | Codec::MicroTime if bytes.is_empty() => return Ok(None),
        Codec::Time => return Ok(time(parts, "%Y-%m-%dT%H:%M:%SZ")),
        Codec::MicroTime => return Ok(time(parts, "%Y-%m-%dT%H:%M:%S.%6fZ")),
        Codec::Duration => duration::format(parts.first.cast_signed()).into(),
        Codec::IntOrString if parts.first == 1 => text(parts.third_bytes)?.into(),
        Codec::IntOrString => (parts.second as u32).cast_signed().into(),
        Codec::Raw => return raw(message, field, bytes, &parts, depth_left),
    }))
}

/// The fields of a small message of which numbers 1 to 3 are all there is.
#[derive(Default)]
struct Parts<'a> {
    first: u64,
    second: u64,
    first_bytes: Option<&'a [u8]>,
    second_bytes: Vec<&'a [u8]>,
    third_bytes: Option<&'a [u8]>,
    /// All of number 1.
    repeated: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Parts<'a>, ProtoError> {
        let mut parts = Parts::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, content)) = reader.next()? {
            match (number, content) {
                (1, Content::Varint(value)) => parts.first = value,
                (2, Content::Varint(value)) => parts.second = value,
                (1, Content::Bytes(bytes)) => {
                    parts.first_bytes = Some(bytes);
                    parts.repeated.push(bytes);
                }
                (2, Content::Bytes(bytes)) => parts.second_bytes.push(bytes),
                (3, Content::Bytes(bytes)) => parts.third_bytes = Some(bytes),
                _ => {}
            }
        }
        Ok(parts)
    }
}

/// `None` for years that no clock shows and JSON cannot say: no time, as the zero time is.
fn time(parts: Parts<'_>, format: &str) -> Option<Value> {
    let nanos = (parts.second as u32).cast_signed();
    let time = Timestamp::new(parts.first.cast_signed(), nanos).ok()?;
    Some(time.strftime(format).to_string().into())
}

fn raw(
    message: &'static Message,
    field: &'static Field,
    bytes: &[u8],
    parts: &Parts<'_>,
    depth_left: u32,
) -> Result<Option<Value>, ProtoError> {
    let schema = |number: u64, bytes: &[u8]| {
        let inner = message.numbered(number).ok_or(ProtoError::WireType(2))?;
        one(message, inner, inner.kind, Content::Bytes(bytes), depth_left.checked_sub(1).ok_or(ProtoError::Depth)?)
    };
    match message.name {
        "JSONSchemaPropsOrBool" => match parts.second_bytes.last() {
            Some(bytes) => schema(2, bytes),
            None => Ok(Some((parts.first != 0).into())),
        },
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray" => match parts.first_bytes {
            Some(bytes) => schema(1, bytes),
            None => {
                let elements = parts.second_bytes.iter().map(|bytes| Ok(schema(2, bytes)?.unwrap_or(Value::Null)));
                Ok(Some(Value::Array(elements.collect::<Result<_, ProtoError>>()?)))
            }
        },
        _ => {
            debug_assert!(!bytes.is_empty() || parts.first_bytes.is_none());
            let json = parts.first_bytes.unwrap_or_default();
            if json.is_empty() {
                return Ok(None);
            }
            if json.starts_with(&MAGIC) {
                // An object within an object, of a kind that only the receiver knows.
                return Ok(Some(json!({"raw": base64::engine::general_purpose::STANDARD.encode(json)})));
            }
            let parsed: Result<Value, _> = serde_json::from_slice(json);
            parsed.map(Some).map_err(|_| ProtoError::Unencodable {
                message: message.name,
                field: field.name,
                reason: "raw is no JSON",
            })
        }
    }
}

fn string(bytes: &[u8], message: &'static str, field: &'static str) -> Result<String, ProtoError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtoError::NotUtf8 { message, field })
}
