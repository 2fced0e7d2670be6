//! Fields and items.

use super::{Evaluated, Evaluator};
use crate::error::EvalError;
use crate::plan::{Index, Select, SelectMode};
use crate::value::{FieldName, List, Value};

impl<'v> Evaluator<'v, '_> {
    pub(super) fn select(&mut self, select: &'v Select) -> Evaluated<'v> {
        let operand = self.run(&select.operand)?;
        if select.mode == SelectMode::Test {
            return Ok(Value::Bool(has(&operand, &select.field)?));
        }
        self.charge(1 + u64::from(select.surcharge))?;
        if let Value::Optional(held) = &operand {
            return match held {
                None => Ok(operand),
                Some(held) => Ok(optional(held.field(&select.field)?)),
            };
        }
        let found = operand.field(&select.field)?;
        if select.mode == SelectMode::Optional {
            return Ok(optional(found));
        }
        found.ok_or_else(|| EvalError::NoSuchKey(select.field.escaped.to_string()))
    }

    pub(super) fn index(&mut self, index: &'v Index) -> Evaluated<'v> {
        let operand = self.run(&index.operand)?;
        let key = self.run(&index.index)?;
        self.charge(1 + u64::from(index.surcharge))?;
        match &operand {
            Value::Optional(None) => Ok(operand),
            Value::Optional(Some(held)) => Ok(optional(item(held, &key)?.ok())),
            plain if index.optional => Ok(optional(item(plain, &key)?.ok())),
            plain => item(plain, &key)?,
        }
    }
}

/// An empty optional, or one that holds the value; an optional stays as it is.
fn optional(found: Option<Value<'_>>) -> Value<'_> {
    match found {
        None => Value::Optional(None),
        Some(already @ Value::Optional(_)) => already,
        Some(value) => Value::some(value),
    }
}

fn has(operand: &Value<'_>, field: &FieldName) -> Result<bool, EvalError> {
    match operand {
        Value::Optional(None) => Ok(false),
        Value::Optional(Some(held)) => has(held, field),
        other => Ok(other.field(field)?.is_some()),
    }
}

/// What stands at an index or key: an error outside if there can be nothing, inside if there is nothing.
fn item<'v>(operand: &Value<'v>, key: &Value<'v>) -> Result<Evaluated<'v>, EvalError> {
    match operand {
        Value::List(list) => at(list, key),
        Value::Map(map) => match key {
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_) => {
                Ok(map.get(key).ok_or_else(|| EvalError::NoSuchKey(shown(key))))
            }
            other => Err(EvalError::failed(format!("unsupported key type: {}", other.runtime_type().runtime_name()))),
        },
        Value::Struct(_) | Value::Fields(_) => {
            let name = key.as_str().ok_or(EvalError::NoSuchOverload)?;
            let found = operand.field(&FieldName::new(name))?;
            Ok(found.ok_or_else(|| EvalError::NoSuchKey(name.to_owned())))
        }
        _ => Err(EvalError::NoSuchOverload),
    }
}

fn at<'v>(list: &List<'v>, key: &Value<'v>) -> Result<Evaluated<'v>, EvalError> {
    let index = match key {
        Value::Int(index) => *index,
        Value::Uint(index) => i64::try_from(*index).unwrap_or(i64::MAX),
        Value::Double(index) if index.fract() == 0.0 => *index as i64,
        other => {
            let name = other.runtime_type().runtime_name().to_owned();
            return Err(EvalError::failed(format!("unsupported index type '{name}' in list")));
        }
    };
    let found = usize::try_from(index).ok().and_then(|index| list.get(index));
    Ok(found.ok_or(EvalError::IndexOutOfBounds(index)))
}

/// A key as messages show it.
pub(super) fn shown(key: &Value<'_>) -> String {
    match key {
        Value::String(text) => text.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        other => other.runtime_type().to_string(),
    }
}
