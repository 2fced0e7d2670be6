//! Amounts of resources.

use super::{NO_OVERLOAD, Result, bool};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{Opaque, Value};
use api::quantity::{Format, Quantity};
use std::cmp::Ordering;

pub(crate) const ROWS: &[Row] = &[
    ("quantity", "string_to_quantity", "(string) Quantity", to_quantity),
    ("isQuantity", "is_quantity_string", "(string) bool", is_quantity),
    // A plain function upstream as well, unlike the others.
    ("sign", "quantity_sign", "(Quantity) int", sign),
    ("sign", "quantity_member_sign", "Quantity.() int", sign),
    ("isGreaterThan", "quantity_is_greater_than", "Quantity.(Quantity) bool", is_greater),
    ("isLessThan", "quantity_is_less_than", "Quantity.(Quantity) bool", is_less),
    ("compareTo", "quantity_compare_to", "Quantity.(Quantity) int", compare),
    ("asApproximateFloat", "quantity_get_float", "Quantity.() double", as_float),
    ("asInteger", "quantity_get_int", "Quantity.() int", as_integer),
    ("isInteger", "quantity_is_integer", "Quantity.() bool", is_integer),
    ("add", "quantity_add", "Quantity.(Quantity) Quantity", add),
    ("add", "quantity_add_int", "Quantity.(int) Quantity", add),
    ("sub", "quantity_sub", "Quantity.(Quantity) Quantity", subtract),
    ("sub", "quantity_sub_int", "Quantity.(int) Quantity", subtract),
];

fn to_quantity<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(text)] => match Quantity::parse(text) {
            Ok(quantity) => Ok(Value::Opaque(Opaque::Quantity(quantity))),
            Err(error) => Err(EvalError::failed(error.to_string())),
        },
        _ => Err(NO_OVERLOAD),
    }
}

fn is_quantity<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(text)] => bool(Quantity::parse(text).is_ok()),
        _ => Err(NO_OVERLOAD),
    }
}

fn only(arguments: &[Value<'_>]) -> std::result::Result<Quantity, EvalError> {
    match arguments {
        [Value::Opaque(Opaque::Quantity(quantity))] => Ok(*quantity),
        _ => Err(NO_OVERLOAD),
    }
}

/// Two amounts; a whole number is one.
fn both(arguments: &[Value<'_>]) -> std::result::Result<(Quantity, Quantity), EvalError> {
    match arguments {
        [Value::Opaque(Opaque::Quantity(a)), Value::Opaque(Opaque::Quantity(b))] => Ok((*a, *b)),
        [Value::Opaque(Opaque::Quantity(a)), Value::Int(b)] => {
            Ok((*a, Quantity::from_units(*b, Format::DecimalExponent)))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn order(arguments: &[Value<'_>]) -> std::result::Result<Ordering, EvalError> {
    both(arguments).map(|(a, b)| a.cmp(&b))
}

fn sign<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Int(only(arguments)?.cmp(&Quantity::ZERO) as i64))
}

fn is_greater<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_gt())
}

fn is_less<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_lt())
}

fn compare<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Int(order(arguments)? as i64))
}

fn as_float<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Double(only(arguments)?.as_f64()))
}

/// The whole number that an amount is, if it is one that fits. The largest is where larger ones are capped.
fn integer(quantity: Quantity) -> Option<i64> {
    let value = quantity.value();
    (value.unsigned_abs() < i64::MAX.unsigned_abs() && Quantity::from_units(value, Format::DecimalSI) == quantity)
        .then_some(value)
}

fn as_integer<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    integer(only(arguments)?).map(Value::Int).ok_or_else(|| EvalError::failed("cannot convert value to integer"))
}

fn is_integer<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(integer(only(arguments)?).is_some())
}

fn made<'v>(quantity: Option<Quantity>) -> Result<'v> {
    let quantity = quantity.ok_or_else(|| EvalError::failed("quantity overflow"))?;
    Ok(Value::Opaque(Opaque::Quantity(quantity)))
}

fn add<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (a, b) = both(arguments)?;
    made(a.checked_add(b))
}

fn subtract<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (a, b) = both(arguments)?;
    made(a.checked_sub(b))
}
