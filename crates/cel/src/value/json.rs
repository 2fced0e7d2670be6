//! From JSON and back.

use super::{Blob, DurationValue, Key, List, Map, Opaque, Struct, Text, TimestampValue, Value};
use crate::error::EvalError;
use crate::schema::{Schema, Shape};
use api::quantity::Quantity;
use base64::Engine;
use serde_json::Value as Json;

impl<'v> Value<'v> {
    /// A view of JSON. Where the JSON does not fit the schema, it is taken as it is, and the expression that uses it
    /// fails by the type that it has.
    pub fn from_json(json: &'v Json, schema: Option<&'v Schema>) -> Value<'v> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => from_number(number, schema),
            Json::String(text) => from_text(text, schema),
            Json::Array(items) => {
                let schema = schema.filter(|schema| matches!(schema.shape, Shape::List { .. }));
                Value::List(List::Json(items, schema))
            }
            Json::Object(entries) => {
                let schema = schema.filter(|schema| matches!(schema.shape, Shape::Map { .. } | Shape::Object(_)));
                Value::Map(Map::Json(entries, schema))
            }
        }
    }

    /// The value as JSON: objects by their fields' own names, times as texts, bytes in base64.
    pub fn to_json(&self) -> Result<Json, EvalError> {
        Ok(match self {
            Value::Null | Value::Optional(None) => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Uint(value) => Json::from(*value),
            Value::Double(value) => serde_json::Number::from_f64(*value)
                .map(Json::Number)
                .ok_or_else(|| EvalError::failed(format!("{value} is no number of JSON")))?,
            Value::String(text) => Json::String(text.to_string()),
            Value::Bytes(bytes) => Json::String(base64::engine::general_purpose::STANDARD.encode(&**bytes)),
            Value::Timestamp(timestamp) => Json::String(timestamp.to_string()),
            Value::Duration(duration) => Json::String(duration.to_string()),
            Value::List(List::Json(items, _)) => Json::Array(items.to_vec()),
            Value::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect::<Result<_, _>>()?),
            Value::Map(Map::Json(entries, _)) => Json::Object((*entries).clone()),
            Value::Map(Map::Made(entries)) => {
                let entry = |(key, value): (&Key<'_>, &Value<'_>)| match key {
                    Key::String(text) => Ok((text.to_string(), value.to_json()?)),
                    other => Err(EvalError::failed(format!("map key {other:?} is no text"))),
                };
                Json::Object(entries.iter().map(entry).collect::<Result<_, EvalError>>()?)
            }
            Value::Struct(made) => struct_json(made)?,
            Value::Optional(Some(value)) => value.to_json()?,
            Value::Fields(_) | Value::Type(_) | Value::Opaque(_) => {
                return Err(EvalError::failed(format!("{} is no value of JSON", self.runtime_type())));
            }
        })
    }
}

fn struct_json(made: &Struct<'_>) -> Result<Json, EvalError> {
    let field =
        |(name, value): (&std::sync::Arc<str>, &Value<'_>)| Ok((crate::escape::unescape(name), value.to_json()?));
    Ok(Json::Object(made.fields.iter().map(field).collect::<Result<_, EvalError>>()?))
}

fn from_number<'v>(number: &serde_json::Number, schema: Option<&Schema>) -> Value<'v> {
    let double = || Value::Double(number.as_f64().unwrap_or(f64::NAN));
    match schema.map(|schema| &schema.shape) {
        Some(Shape::Double) => double(),
        Some(Shape::Int) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Value::Int(value),
            (None, Some(value)) if value.fract() == 0.0 && value.abs() < 9e15 => Value::Int(value as i64),
            _ => double(),
        },
        _ => number.as_i64().map_or_else(double, Value::Int),
    }
}

fn from_text<'v>(text: &'v str, schema: Option<&Schema>) -> Value<'v> {
    let special = match schema.map(|schema| &schema.shape) {
        Some(Shape::Timestamp) => {
            TimestampValue::parse(text).or_else(|| TimestampValue::parse_date(text)).map(Value::Timestamp)
        }
        Some(Shape::Duration) => DurationValue::parse(text).map(Value::Duration),
        Some(Shape::Quantity) => Quantity::parse(text).ok().map(|amount| Value::Opaque(Opaque::Quantity(amount))),
        Some(Shape::Bytes) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
            bytes.map(|bytes| Value::Bytes(Blob::from(bytes)))
        }
        _ => None,
    };
    special.unwrap_or(Value::String(Text::Borrowed(text)))
}
