//! `+ - * / %` and negation. Whole numbers that overflow are errors.

use super::{NO_OVERLOAD, Result};
use crate::error::EvalError;
use crate::functions::Row;
use crate::limits::{LIST_LENGTH_MAX, TEXT_BYTES_MAX};
use crate::schema::ListIdentity;
use crate::value::equality::same_keys;
use crate::value::{DurationValue, List, Value};

pub(crate) const ROWS: &[Row] = &[
    ("_+_", "add_int64", "(int, int) int", add),
    ("_+_", "add_uint64", "(uint, uint) uint", add),
    ("_+_", "add_double", "(double, double) double", add),
    ("_+_", "add_string", "(string, string) string", add),
    ("_+_", "add_bytes", "(bytes, bytes) bytes", add),
    ("_+_", "add_list", "(list(T), list(T)) list(T)", add),
    ("_+_", "add_timestamp_duration", "(timestamp, duration) timestamp", add),
    ("_+_", "add_duration_timestamp", "(duration, timestamp) timestamp", add),
    ("_+_", "add_duration_duration", "(duration, duration) duration", add),
    ("_-_", "subtract_int64", "(int, int) int", subtract),
    ("_-_", "subtract_uint64", "(uint, uint) uint", subtract),
    ("_-_", "subtract_double", "(double, double) double", subtract),
    ("_-_", "subtract_timestamp_timestamp", "(timestamp, timestamp) duration", subtract),
    ("_-_", "subtract_timestamp_duration", "(timestamp, duration) timestamp", subtract),
    ("_-_", "subtract_duration_duration", "(duration, duration) duration", subtract),
    ("_*_", "multiply_int64", "(int, int) int", multiply),
    ("_*_", "multiply_uint64", "(uint, uint) uint", multiply),
    ("_*_", "multiply_double", "(double, double) double", multiply),
    ("_/_", "divide_int64", "(int, int) int", divide),
    ("_/_", "divide_uint64", "(uint, uint) uint", divide),
    ("_/_", "divide_double", "(double, double) double", divide),
    ("_%_", "modulo_int64", "(int, int) int", modulo),
    ("_%_", "modulo_uint64", "(uint, uint) uint", modulo),
    ("-_", "negate_int64", "(int) int", negate),
    ("-_", "negate_double", "(double) double", negate),
];

const SIGNED: EvalError = EvalError::IntegerOverflow;
const UNSIGNED: EvalError = EvalError::UnsignedIntegerOverflow;

fn int<'v>(value: Option<i64>) -> Result<'v> {
    value.map(Value::Int).ok_or(SIGNED)
}

fn uint<'v>(value: Option<u64>) -> Result<'v> {
    value.map(Value::Uint).ok_or(UNSIGNED)
}

fn duration<'v>(nanos: Option<i64>) -> Result<'v> {
    nanos.map(|nanos| Value::Duration(DurationValue(nanos))).ok_or(EvalError::DurationOverflow)
}

pub(super) fn add<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => int(a.checked_add(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_add(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::String(a), Value::String(b)] => {
            fits(a.len() + b.len(), TEXT_BYTES_MAX)?;
            super::text([&**a, &**b].concat())
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            fits(a.len() + b.len(), TEXT_BYTES_MAX)?;
            Ok(Value::Bytes([&**a, &**b].concat().into()))
        }
        [Value::List(a), Value::List(b)] => concatenate(a, b),
        [Value::Timestamp(at), Value::Duration(by)] | [Value::Duration(by), Value::Timestamp(at)] => {
            at.checked_add(*by).map(Value::Timestamp)
        }
        [Value::Duration(a), Value::Duration(b)] => duration(a.0.checked_add(b.0)),
        _ => Err(NO_OVERLOAD),
    }
}

/// That what an expression makes is not larger than this.
pub(super) fn fits(size: usize, most: usize) -> std::result::Result<(), EvalError> {
    if size > most { Err(EvalError::failed(format!("result is too large: {size}, limit {most}"))) } else { Ok(()) }
}

fn concatenate<'v>(a: &List<'v>, b: &List<'v>) -> Result<'v> {
    fits(a.len() + b.len(), LIST_LENGTH_MAX)?;
    if b.is_empty() {
        return Ok(Value::List(a.clone()));
    }
    let mut items: Vec<Value<'v>> = Vec::with_capacity(a.len() + b.len());
    items.extend(a.iter());
    match a.identity() {
        ListIdentity::Atomic => items.extend(b.iter()),
        ListIdentity::Set => {
            for item in b.iter() {
                if !items.iter().any(|known| known.equals(&item)) {
                    items.push(item);
                }
            }
        }
        ListIdentity::Map(keys) => {
            for item in b.iter() {
                match items.iter_mut().find(|known| same_keys(keys, known, &item)) {
                    Some(known) => *known = item,
                    None => items.push(item),
                }
            }
        }
    }
    Ok(Value::list(items))
}

fn subtract<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => int(a.checked_sub(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_sub(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Timestamp(a), Value::Timestamp(b)] => a.since(*b).map(Value::Duration),
        [Value::Timestamp(at), Value::Duration(by)] => {
            let back = by.0.checked_neg().ok_or(EvalError::TimestampOverflow)?;
            at.checked_add(DurationValue(back)).map(Value::Timestamp)
        }
        [Value::Duration(a), Value::Duration(b)] => duration(a.0.checked_sub(b.0)),
        _ => Err(NO_OVERLOAD),
    }
}

fn multiply<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => Err(NO_OVERLOAD),
    }
}

fn divide<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(EvalError::DivisionByZero),
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a / b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => Err(NO_OVERLOAD),
    }
}

fn modulo<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(EvalError::ModulusByZero),
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a % b)),
        _ => Err(NO_OVERLOAD),
    }
}

fn negate<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Int(value)] => int(value.checked_neg()),
        [Value::Double(value)] => Ok(Value::Double(-value)),
        _ => Err(NO_OVERLOAD),
    }
}
