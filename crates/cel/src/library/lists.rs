//! Kubernetes' functions on lists.

use super::{NO_OVERLOAD, Result, arithmetic, bool};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{DurationValue, List, Value};
use std::cmp::Ordering;

pub(crate) const ROWS: &[Row] = &[
    ("isSorted", "list_int_is_sorted_bool", "list(int).() bool", is_sorted),
    ("isSorted", "list_uint_is_sorted_bool", "list(uint).() bool", is_sorted),
    ("isSorted", "list_double_is_sorted_bool", "list(double).() bool", is_sorted),
    ("isSorted", "list_bool_is_sorted_bool", "list(bool).() bool", is_sorted),
    ("isSorted", "list_duration_is_sorted_bool", "list(duration).() bool", is_sorted),
    ("isSorted", "list_timestamp_is_sorted_bool", "list(timestamp).() bool", is_sorted),
    ("isSorted", "list_string_is_sorted_bool", "list(string).() bool", is_sorted),
    ("isSorted", "list_bytes_is_sorted_bool", "list(bytes).() bool", is_sorted),
    ("sum", "list_int_sum_int", "list(int).() int", sum_int),
    ("sum", "list_uint_sum_uint", "list(uint).() uint", sum_uint),
    ("sum", "list_double_sum_double", "list(double).() double", sum_double),
    ("sum", "list_duration_sum_duration", "list(duration).() duration", sum_duration),
    ("min", "list_int_min_int", "list(int).() int", min),
    ("min", "list_uint_min_uint", "list(uint).() uint", min),
    ("min", "list_double_min_double", "list(double).() double", min),
    ("min", "list_bool_min_bool", "list(bool).() bool", min),
    ("min", "list_duration_min_duration", "list(duration).() duration", min),
    ("min", "list_timestamp_min_timestamp", "list(timestamp).() timestamp", min),
    ("min", "list_string_min_string", "list(string).() string", min),
    ("min", "list_bytes_min_bytes", "list(bytes).() bytes", min),
    ("max", "list_int_max_int", "list(int).() int", max),
    ("max", "list_uint_max_uint", "list(uint).() uint", max),
    ("max", "list_double_max_double", "list(double).() double", max),
    ("max", "list_bool_max_bool", "list(bool).() bool", max),
    ("max", "list_duration_max_duration", "list(duration).() duration", max),
    ("max", "list_timestamp_max_timestamp", "list(timestamp).() timestamp", max),
    ("max", "list_string_max_string", "list(string).() string", max),
    ("max", "list_bytes_max_bytes", "list(bytes).() bytes", max),
    ("indexOf", "list_a_index_of_int", "list(A).(A) int", index_of),
    ("lastIndexOf", "list_a_last_index_of_int", "list(A).(A) int", last_index_of),
];

fn only<'a, 'v>(arguments: &'a [Value<'v>]) -> std::result::Result<&'a List<'v>, EvalError> {
    match arguments {
        [Value::List(list)] => Ok(list),
        _ => Err(NO_OVERLOAD),
    }
}

fn is_sorted<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let items: Vec<Value<'v>> = only(arguments)?.iter().collect();
    bool(items.windows(2).all(|pair| pair[0].compare(&pair[1]) != Some(Ordering::Greater)))
}

fn sum<'v>(arguments: &[Value<'v>], zero: Value<'v>) -> Result<'v> {
    only(arguments)?.iter().try_fold(zero, |sum, item| arithmetic::add(&[sum, item]))
}

fn sum_int<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    sum(arguments, Value::Int(0))
}

fn sum_uint<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    sum(arguments, Value::Uint(0))
}

fn sum_double<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    sum(arguments, Value::Double(0.0))
}

fn sum_duration<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    sum(arguments, Value::Duration(DurationValue(0)))
}

fn extreme<'v>(arguments: &[Value<'v>], name: &str, better: Ordering) -> Result<'v> {
    let best =
        only(arguments)?.iter().reduce(|best, item| if item.compare(&best) == Some(better) { item } else { best });
    best.ok_or_else(|| EvalError::failed(format!("{name} called on empty list")))
}

fn min<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    extreme(arguments, "min", Ordering::Less)
}

fn max<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    extreme(arguments, "max", Ordering::Greater)
}

fn index<'v>(position: Option<usize>) -> Result<'v> {
    Ok(Value::Int(position.map_or(-1, |position| position as i64)))
}

fn index_of<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(list), wanted] => index(list.iter().position(|item| item.equals(wanted))),
        _ => Err(NO_OVERLOAD),
    }
}

fn last_index_of<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(list), wanted] => index(list.iter().rposition(|item| item.equals(wanted))),
        _ => Err(NO_OVERLOAD),
    }
}
