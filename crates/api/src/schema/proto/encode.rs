//! JSON to protobuf.

use super::wire::Writer;
use super::{MAGIC, ProtoError, duration};
use crate::schema::facts::{Codec, Field, Message, Shape, Type};
use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

type Members = Map<String, Value>;

/// A field while it is being encoded, for errors.
#[derive(Clone, Copy)]
struct Place {
    message: &'static str,
    field: &'static str,
}

impl Place {
    fn error(self, reason: &'static str) -> ProtoError {
        ProtoError::Unencodable { message: self.message, field: self.field, reason }
    }
}

/// Magic and `runtime.Unknown`: type, raw, content encoding and type (both empty, both written).
pub(super) fn envelope(writer: &mut Writer, message: &'static Message, object: &Value) -> Result<(), ProtoError> {
    let place = Place { message: message.name, field: "" };
    let members = object.as_object().ok_or_else(|| place.error("not an object"))?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    writer.bytes(4, b"");
    writer.bytes(3, b"");
    let end = writer.mark();
    fields(writer, message, members)?;
    writer.close(2, end);
    let end = writer.mark();
    writer.bytes(2, text("kind").as_bytes());
    writer.bytes(1, text("apiVersion").as_bytes());
    writer.close(1, end);
    writer.prefix(&MAGIC);
    Ok(())
}

fn fields(writer: &mut Writer, message: &'static Message, members: &Members) -> Result<(), ProtoError> {
    for field in message.by_number_descending() {
        let place = Place { message: message.name, field: field.name };
        if field.inline {
            let Type::Message(id) = field.kind else { continue };
            let end = writer.mark();
            fields(writer, id.get(), members)?;
            writer.close(field.number, end);
            continue;
        }
        match members.get(field.name) {
            None | Some(Value::Null) => {}
            Some(value) => self::field(writer, field, value, place)?,
        }
    }
    Ok(())
}

fn field(writer: &mut Writer, field: &Field, value: &Value, place: Place) -> Result<(), ProtoError> {
    match field.shape {
        Shape::One => one(writer, field.number, field.kind, value, place),
        Shape::List => {
            let elements = value.as_array().ok_or_else(|| place.error("not a list"))?;
            elements.iter().rev().try_for_each(|element| one(writer, field.number, field.kind, element, place))
        }
        Shape::Map => {
            let members = value.as_object().ok_or_else(|| place.error("not a map"))?;
            let mut entries: Vec<_> = members.iter().collect();
            entries.sort_unstable_by(|a, b| b.0.cmp(a.0));
            entries.into_iter().try_for_each(|(key, value)| {
                let end = writer.mark();
                one(writer, 2, field.kind, value, place)?;
                writer.bytes(1, key.as_bytes());
                writer.close(field.number, end);
                Ok(())
            })
        }
    }
}

fn one(writer: &mut Writer, number: u16, kind: Type, value: &Value, place: Place) -> Result<(), ProtoError> {
    match kind {
        Type::String => writer.bytes(number, text(value, place)?.as_bytes()),
        Type::Bytes => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text(value, place)?);
            writer.bytes(number, &decoded.map_err(|_| place.error("not base64"))?);
        }
        Type::Int32 | Type::Int64 => {
            writer.integer(number, value.as_i64().ok_or_else(|| place.error("not an integer"))?);
        }
        Type::Bool => {
            writer.varint(number, u64::from(value.as_bool().ok_or_else(|| place.error("not a boolean"))?));
        }
        Type::Double => writer.double(number, value.as_f64().ok_or_else(|| place.error("not a number"))?),
        Type::Message(id) => {
            let end = writer.mark();
            message(writer, id.get(), value, place)?;
            writer.close(number, end);
        }
    }
    Ok(())
}

fn text(value: &Value, place: Place) -> Result<&str, ProtoError> {
    value.as_str().ok_or_else(|| place.error("not a string"))
}

fn message(writer: &mut Writer, message: &'static Message, value: &Value, place: Place) -> Result<(), ProtoError> {
    match message.codec {
        Codec::Object => {
            let members = value.as_object().ok_or_else(|| place.error("not an object"))?;
            fields(writer, message, members)?;
        }
        Codec::Items => {
            let items = value.as_array().ok_or_else(|| place.error("not a list"))?;
            items.iter().rev().try_for_each(|item| one(writer, 1, Type::String, item, place))?;
        }
        Codec::Quantity => writer.bytes(1, text(value, place)?.as_bytes()),
        Codec::Time | Codec::MicroTime => time(writer, value, place)?,
        Codec::Duration => {
            let nanos = duration::parse(text(value, place)?).ok_or_else(|| place.error("not a duration"))?;
            writer.integer(1, nanos);
        }
        Codec::IntOrString => {
            let number = value.as_i64();
            writer.bytes(3, if number.is_none() { text(value, place)?.as_bytes() } else { b"" });
            writer.integer(2, number.unwrap_or_default());
            writer.integer(1, i64::from(number.is_none()));
        }
        Codec::Raw => raw(writer, message, value, place)?,
    }
    Ok(())
}

/// Seconds and nanoseconds since 1970; the zero time is an empty message.
fn time(writer: &mut Writer, value: &Value, place: Place) -> Result<(), ProtoError> {
    if value.is_null() {
        return Ok(());
    }
    let time: Timestamp = text(value, place)?.parse().map_err(|_| place.error("not a time"))?;
    writer.integer(2, i64::from(time.subsec_nanosecond()));
    writer.integer(1, time.as_second());
    Ok(())
}

fn raw(writer: &mut Writer, message: &'static Message, value: &Value, place: Place) -> Result<(), ProtoError> {
    let schema = |writer: &mut Writer, number: u16, value: &Value| {
        let field = message.fields.iter().find(|field| field.number == number);
        let kind = field.map(|field| field.kind).ok_or_else(|| place.error("no such field in the table"))?;
        one(writer, number, kind, value, place)
    };
    match (message.name, value) {
        ("JSONSchemaPropsOrBool", Value::Bool(allows)) => writer.varint(1, u64::from(*allows)),
        ("JSONSchemaPropsOrBool", _) => {
            schema(writer, 2, value)?;
            writer.varint(1, 1);
        }
        ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", Value::Array(elements)) => {
            elements.iter().rev().try_for_each(|element| schema(writer, 2, element))?;
        }
        ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", _) => schema(writer, 1, value)?,
        _ => writer.bytes(1, value.to_string().as_bytes()),
    }
    Ok(())
}
