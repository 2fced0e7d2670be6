//! The language's own functions on values of any type, on texts and on collections.

use super::{NO_OVERLOAD, Result, bool, regex};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{DurationValue, TimestampValue, Value};
use std::cmp::Ordering;
use std::sync::Arc;

pub(crate) const ROWS: &[Row] = &[
    // The evaluator has steps of its own for these; the rows are for the checker.
    ("_?_:_", "conditional", "(bool, T, T) T", planned),
    ("_&&_", "logical_and", "(bool, bool) bool", planned),
    ("_||_", "logical_or", "(bool, bool) bool", planned),
    ("@not_strictly_false", "not_strictly_false", "(bool) bool", planned),
    ("_==_", "equals", "(T, T) bool", planned),
    ("_!=_", "not_equals", "(T, T) bool", planned),
    ("_[_]", "index_list", "(list(T), int) T", planned),
    ("_[_]", "index_map", "(map(K, V), K) V", planned),
    ("_[_]", "optional_list_index_int", "(optional(list(V)), int) optional(V)", planned),
    ("_[_]", "optional_map_index_value", "(optional(map(K, V)), K) optional(V)", planned),
    ("_[?_]", "list_optindex_optional_int", "(list(V), int) optional(V)", planned),
    ("_[?_]", "optional_list_optindex_optional_int", "(optional(list(V)), int) optional(V)", planned),
    ("_[?_]", "map_optindex_optional_value", "(map(K, V), K) optional(V)", planned),
    ("_[?_]", "optional_map_optindex_optional_value", "(optional(map(K, V)), K) optional(V)", planned),
    ("!_", "logical_not", "(bool) bool", not),
    ("@in", "in_list", "(T, list(T)) bool", contained),
    ("@in", "in_map", "(K, map(K, V)) bool", contained),
    ("size", "size_string", "(string) int", size),
    ("size", "string_size", "string.() int", size),
    ("size", "size_bytes", "(bytes) int", size),
    ("size", "bytes_size", "bytes.() int", size),
    ("size", "size_list", "(list(T)) int", size),
    ("size", "list_size", "list(T).() int", size),
    ("size", "size_map", "(map(K, V)) int", size),
    ("size", "map_size", "map(K, V).() int", size),
    ("type", "type", "(T) type(T)", type_of),
    ("dyn", "to_dyn", "(T) dyn", as_it_is),
    ("contains", "contains_string", "string.(string) bool", contains),
    ("startsWith", "starts_with_string", "string.(string) bool", starts_with),
    ("endsWith", "ends_with_string", "string.(string) bool", ends_with),
    ("matches", "matches", "(string, string) bool", matches),
    ("matches", "matches_string", "string.(string) bool", matches),
    ("_<_", "less_bool", "(bool, bool) bool", less),
    ("_<_", "less_int64", "(int, int) bool", less),
    ("_<_", "less_int64_double", "(int, double) bool", less),
    ("_<_", "less_int64_uint64", "(int, uint) bool", less),
    ("_<_", "less_uint64", "(uint, uint) bool", less),
    ("_<_", "less_uint64_double", "(uint, double) bool", less),
    ("_<_", "less_uint64_int64", "(uint, int) bool", less),
    ("_<_", "less_double", "(double, double) bool", less),
    ("_<_", "less_double_int64", "(double, int) bool", less),
    ("_<_", "less_double_uint64", "(double, uint) bool", less),
    ("_<_", "less_string", "(string, string) bool", less),
    ("_<_", "less_bytes", "(bytes, bytes) bool", less),
    ("_<_", "less_timestamp", "(timestamp, timestamp) bool", less),
    ("_<_", "less_duration", "(duration, duration) bool", less),
    ("_<=_", "less_equals_bool", "(bool, bool) bool", less_equals),
    ("_<=_", "less_equals_int64", "(int, int) bool", less_equals),
    ("_<=_", "less_equals_int64_double", "(int, double) bool", less_equals),
    ("_<=_", "less_equals_int64_uint64", "(int, uint) bool", less_equals),
    ("_<=_", "less_equals_uint64", "(uint, uint) bool", less_equals),
    ("_<=_", "less_equals_uint64_double", "(uint, double) bool", less_equals),
    ("_<=_", "less_equals_uint64_int64", "(uint, int) bool", less_equals),
    ("_<=_", "less_equals_double", "(double, double) bool", less_equals),
    ("_<=_", "less_equals_double_int64", "(double, int) bool", less_equals),
    ("_<=_", "less_equals_double_uint64", "(double, uint) bool", less_equals),
    ("_<=_", "less_equals_string", "(string, string) bool", less_equals),
    ("_<=_", "less_equals_bytes", "(bytes, bytes) bool", less_equals),
    ("_<=_", "less_equals_timestamp", "(timestamp, timestamp) bool", less_equals),
    ("_<=_", "less_equals_duration", "(duration, duration) bool", less_equals),
    ("_>_", "greater_bool", "(bool, bool) bool", greater),
    ("_>_", "greater_int64", "(int, int) bool", greater),
    ("_>_", "greater_int64_double", "(int, double) bool", greater),
    ("_>_", "greater_int64_uint64", "(int, uint) bool", greater),
    ("_>_", "greater_uint64", "(uint, uint) bool", greater),
    ("_>_", "greater_uint64_double", "(uint, double) bool", greater),
    ("_>_", "greater_uint64_int64", "(uint, int) bool", greater),
    ("_>_", "greater_double", "(double, double) bool", greater),
    ("_>_", "greater_double_int64", "(double, int) bool", greater),
    ("_>_", "greater_double_uint64", "(double, uint) bool", greater),
    ("_>_", "greater_string", "(string, string) bool", greater),
    ("_>_", "greater_bytes", "(bytes, bytes) bool", greater),
    ("_>_", "greater_timestamp", "(timestamp, timestamp) bool", greater),
    ("_>_", "greater_duration", "(duration, duration) bool", greater),
    ("_>=_", "greater_equals_bool", "(bool, bool) bool", greater_equals),
    ("_>=_", "greater_equals_int64", "(int, int) bool", greater_equals),
    ("_>=_", "greater_equals_int64_double", "(int, double) bool", greater_equals),
    ("_>=_", "greater_equals_int64_uint64", "(int, uint) bool", greater_equals),
    ("_>=_", "greater_equals_uint64", "(uint, uint) bool", greater_equals),
    ("_>=_", "greater_equals_uint64_double", "(uint, double) bool", greater_equals),
    ("_>=_", "greater_equals_uint64_int64", "(uint, int) bool", greater_equals),
    ("_>=_", "greater_equals_double", "(double, double) bool", greater_equals),
    ("_>=_", "greater_equals_double_int64", "(double, int) bool", greater_equals),
    ("_>=_", "greater_equals_double_uint64", "(double, uint) bool", greater_equals),
    ("_>=_", "greater_equals_string", "(string, string) bool", greater_equals),
    ("_>=_", "greater_equals_bytes", "(bytes, bytes) bool", greater_equals),
    ("_>=_", "greater_equals_timestamp", "(timestamp, timestamp) bool", greater_equals),
    ("_>=_", "greater_equals_duration", "(duration, duration) bool", greater_equals),
];

pub(crate) fn is_duration(text: &str) -> bool {
    DurationValue::parse(text).is_some()
}

pub(crate) fn is_timestamp(text: &str) -> bool {
    TimestampValue::parse(text).is_some()
}

fn planned<'v>(_: &[Value<'v>]) -> Result<'v> {
    Err(NO_OVERLOAD)
}

fn as_it_is<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    arguments.first().cloned().ok_or(NO_OVERLOAD)
}

fn not<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Bool(value)] => bool(!value),
        _ => Err(NO_OVERLOAD),
    }
}

fn contained<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [item, Value::List(list)] => bool(list.contains(item)),
        [key, Value::Map(map)] => bool(map.get(key).is_some()),
        _ => Err(NO_OVERLOAD),
    }
}

fn size<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Ok(Value::Int(value.size().and_then(|size| i64::try_from(size).ok()).unwrap_or(i64::MAX)))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn type_of<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value] => Ok(Value::Type(Arc::new(value.runtime_type()))),
        _ => Err(NO_OVERLOAD),
    }
}

fn contains<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole), Value::String(part)] => bool(whole.contains(&**part)),
        _ => Err(NO_OVERLOAD),
    }
}

fn starts_with<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole), Value::String(part)] => bool(whole.starts_with(&**part)),
        _ => Err(NO_OVERLOAD),
    }
}

fn ends_with<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole), Value::String(part)] => bool(whole.ends_with(&**part)),
        _ => Err(NO_OVERLOAD),
    }
}

fn matches<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole), Value::String(pattern)] => {
            let pattern = regex::compile(pattern).map_err(EvalError::failed)?;
            bool(pattern.is_match(whole))
        }
        _ => Err(NO_OVERLOAD),
    }
}

/// The order of two values that may be ordered; none where a NaN is one.
fn order(arguments: &[Value<'_>]) -> std::result::Result<Option<Ordering>, EvalError> {
    match arguments {
        [left, right] => match left.compare(right) {
            None if left.is_number() && right.is_number() => Ok(None),
            None => Err(NO_OVERLOAD),
            found => Ok(found),
        },
        _ => Err(NO_OVERLOAD),
    }
}

fn less<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_some_and(Ordering::is_lt))
}

fn less_equals<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_some_and(Ordering::is_le))
}

fn greater<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_some_and(Ordering::is_gt))
}

fn greater_equals<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_some_and(Ordering::is_ge))
}
