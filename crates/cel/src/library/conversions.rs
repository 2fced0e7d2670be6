//! From one type to another: `int('1')`, `string(1.5)`, ….

use super::{NO_OVERLOAD, Result, text};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{Blob, DurationValue, Text, TimestampValue, Value};

pub(crate) const ROWS: &[Row] = &[
    ("bool", "bool_to_bool", "(bool) bool", to_bool),
    ("bool", "string_to_bool", "(string) bool", to_bool),
    ("bytes", "bytes_to_bytes", "(bytes) bytes", to_bytes),
    ("bytes", "string_to_bytes", "(string) bytes", to_bytes),
    ("double", "double_to_double", "(double) double", to_double),
    ("double", "int64_to_double", "(int) double", to_double),
    ("double", "string_to_double", "(string) double", to_double),
    ("double", "uint64_to_double", "(uint) double", to_double),
    ("duration", "duration_to_duration", "(duration) duration", to_duration),
    ("duration", "int64_to_duration", "(int) duration", to_duration),
    ("duration", "string_to_duration", "(string) duration", to_duration),
    ("int", "int64_to_int64", "(int) int", to_int),
    ("int", "double_to_int64", "(double) int", to_int),
    ("int", "duration_to_int64", "(duration) int", to_int),
    ("int", "string_to_int64", "(string) int", to_int),
    ("int", "timestamp_to_int64", "(timestamp) int", to_int),
    ("int", "uint64_to_int64", "(uint) int", to_int),
    ("uint", "uint64_to_uint64", "(uint) uint", to_uint),
    ("uint", "double_to_uint64", "(double) uint", to_uint),
    ("uint", "int64_to_uint64", "(int) uint", to_uint),
    ("uint", "string_to_uint64", "(string) uint", to_uint),
    ("string", "string_to_string", "(string) string", to_string),
    ("string", "bool_to_string", "(bool) string", to_string),
    ("string", "bytes_to_string", "(bytes) string", to_string),
    ("string", "double_to_string", "(double) string", to_string),
    ("string", "duration_to_string", "(duration) string", to_string),
    ("string", "int64_to_string", "(int) string", to_string),
    ("string", "timestamp_to_string", "(timestamp) string", to_string),
    ("string", "uint64_to_string", "(uint) string", to_string),
    ("timestamp", "timestamp_to_timestamp", "(timestamp) timestamp", to_timestamp),
    ("timestamp", "int64_to_timestamp", "(int) timestamp", to_timestamp),
    ("timestamp", "string_to_timestamp", "(string) timestamp", to_timestamp),
];

fn unfit(text: &str, target: &str) -> EvalError {
    EvalError::failed(format!("type conversion error from '{text}' to '{target}'"))
}

fn to_bool<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Bool(_)] => Ok(value.clone()),
        [Value::String(text)] => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            other => Err(unfit(other, "bool")),
        },
        _ => Err(NO_OVERLOAD),
    }
}

fn to_bytes<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Bytes(_)] => Ok(value.clone()),
        [Value::String(Text::Borrowed(text))] => Ok(Value::Bytes(Blob::Borrowed(text.as_bytes()))),
        [Value::String(text)] => Ok(Value::Bytes(text.as_bytes().to_vec().into())),
        _ => Err(NO_OVERLOAD),
    }
}

fn to_double<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Double(_)] => Ok(value.clone()),
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::Uint(value)] => Ok(Value::Double(*value as f64)),
        [Value::String(text)] => text.parse().map(Value::Double).map_err(|_| unfit(text, "double")),
        _ => Err(NO_OVERLOAD),
    }
}

fn to_duration<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Duration(_)] => Ok(value.clone()),
        [Value::Int(nanos)] => Ok(Value::Duration(DurationValue(*nanos))),
        [Value::String(text)] => {
            DurationValue::parse(text).map(Value::Duration).ok_or_else(|| unfit(text, "google.protobuf.Duration"))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn to_timestamp<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Timestamp(_)] => Ok(value.clone()),
        [Value::Int(second)] => {
            TimestampValue::from_second(*second).map(Value::Timestamp).ok_or(EvalError::TimestampOverflow)
        }
        [Value::String(text)] => {
            TimestampValue::parse(text).map(Value::Timestamp).ok_or_else(|| unfit(text, "google.protobuf.Timestamp"))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn to_int<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Int(_)] => Ok(value.clone()),
        [Value::Uint(value)] => i64::try_from(*value).map(Value::Int).map_err(|_| EvalError::IntegerOverflow),
        // The largest double below 2^63 is far from it; the bounds are exclusive, as upstream has them.
        [Value::Double(value)] if *value > -9_223_372_036_854_775_808.0 && *value < 9_223_372_036_854_775_808.0 => {
            Ok(Value::Int(*value as i64))
        }
        [Value::Double(_)] => Err(EvalError::IntegerOverflow),
        [Value::Duration(duration)] => Ok(Value::Int(duration.0)),
        [Value::Timestamp(timestamp)] => Ok(Value::Int(timestamp.second())),
        [Value::String(text)] => text.parse().map(Value::Int).map_err(|_| unfit(text, "int")),
        _ => Err(NO_OVERLOAD),
    }
}

fn to_uint<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::Uint(_)] => Ok(value.clone()),
        [Value::Int(value)] => u64::try_from(*value).map(Value::Uint).map_err(|_| EvalError::UnsignedIntegerOverflow),
        [Value::Double(value)] if *value > -1.0 && *value < 18_446_744_073_709_551_616.0 && *value >= 0.0 => {
            Ok(Value::Uint(*value as u64))
        }
        [Value::Double(_)] => Err(EvalError::UnsignedIntegerOverflow),
        [Value::String(text)] => text.parse().map(Value::Uint).map_err(|_| unfit(text, "uint")),
        _ => Err(NO_OVERLOAD),
    }
}

fn to_string<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ Value::String(_)] => Ok(value.clone()),
        [Value::Bool(value)] => text(value.to_string()),
        [Value::Int(value)] => text(value.to_string()),
        [Value::Uint(value)] => text(value.to_string()),
        [Value::Double(value)] => text(double_text(*value)),
        [Value::Duration(value)] => text(value.to_string()),
        [Value::Timestamp(value)] => text(value.to_string()),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(valid) => text(valid.to_owned()),
            Err(_) => Err(EvalError::failed("invalid UTF-8 in bytes, cannot convert to string")),
        },
        _ => Err(NO_OVERLOAD),
    }
}

/// A double in the shortest form that reads back: with an exponent where it is very large or small.
pub(super) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value}")
}
