//! Values that may be absent.

use super::{NO_OVERLOAD, Result, bool};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::Value;

pub(crate) const ROWS: &[Row] = &[
    ("optional.of", "optional_of", "(V) optional(V)", of),
    ("optional.ofNonZeroValue", "optional_ofNonZeroValue", "(V) optional(V)", of_non_zero),
    ("optional.none", "optional_none", "() optional(V)", none),
    ("optional.unwrap", "optional_unwrap", "(list(optional(V))) list(V)", unwrap),
    ("unwrapOpt", "optional_unwrapOpt", "list(optional(V)).() list(V)", unwrap),
    ("hasValue", "optional_hasValue", "optional(V).() bool", has_value),
    ("value", "optional_value", "optional(V).() V", value),
    ("or", "optional_or_optional", "optional(V).(optional(V)) optional(V)", or),
    ("orValue", "optional_orValue_value", "optional(V).(V) V", or_value),
    ("first", "list_first", "list(V).() optional(V)", first),
    ("last", "list_last", "list(V).() optional(V)", last),
];

fn of<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value] => Ok(Value::some(value.clone())),
        _ => Err(NO_OVERLOAD),
    }
}

fn of_non_zero<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [value] if is_zero(value) => Ok(Value::Optional(None)),
        _ => of(arguments),
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::Duration(value) => value.0 == 0,
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => value.size() == Some(0),
        Value::Struct(made) => made.fields.is_empty(),
        _ => false,
    }
}

fn none<'v>(_: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Optional(None))
}

fn unwrap<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::List(list)] = arguments else { return Err(NO_OVERLOAD) };
    let mut held = Vec::new();
    for item in list.iter() {
        match item {
            Value::Optional(item) => held.extend(item.map(|item| item.as_ref().clone())),
            _ => return Err(NO_OVERLOAD),
        }
    }
    Ok(Value::list(held))
}

fn has_value<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Optional(held)] => bool(held.is_some()),
        _ => Err(NO_OVERLOAD),
    }
}

fn value<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Optional(Some(held))] => Ok(held.as_ref().clone()),
        [Value::Optional(None)] => Err(EvalError::failed("optional.none() dereference")),
        _ => Err(NO_OVERLOAD),
    }
}

fn or<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Optional(None), other @ Value::Optional(_)] => Ok(other.clone()),
        [own @ Value::Optional(Some(_)), _] => Ok(own.clone()),
        _ => Err(NO_OVERLOAD),
    }
}

fn or_value<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Optional(None), other] => Ok(other.clone()),
        [Value::Optional(Some(held)), _] => Ok(held.as_ref().clone()),
        _ => Err(NO_OVERLOAD),
    }
}

fn first<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(list)] => Ok(list.get(0).map_or(Value::Optional(None), Value::some)),
        _ => Err(NO_OVERLOAD),
    }
}

fn last<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::List(list)] => Ok(list.iter().next_back().map_or(Value::Optional(None), Value::some)),
        _ => Err(NO_OVERLOAD),
    }
}
