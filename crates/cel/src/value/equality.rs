//! When values are equal, and their order.
//!
//! Invariant: numbers compare by value whatever their types; a double is never rounded to be compared.

use super::{Key, List, Map, Value};
use crate::schema::ListIdentity;
use std::cmp::Ordering;

impl Value<'_> {
    pub(crate) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::String(a), Value::String(b)) => **a == **b,
            (Value::Bytes(a), Value::Bytes(b)) => **a == **b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.equals(b),
            (Value::Map(a), Value::Map(b)) => a.equals(b),
            (Value::Struct(a), Value::Struct(b)) => {
                a.name == b.name
                    && a.fields.len() == b.fields.len()
                    && a.fields.iter().all(|(name, value)| b.fields.get(name).is_some_and(|other| value.equals(other)))
            }
            (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Optional(Some(a)), Value::Optional(Some(b))) => a.equals(b),
            (Value::Type(a), Value::Type(b)) => a.runtime_name() == b.runtime_name(),
            (Value::Opaque(a), Value::Opaque(b)) => a.equals(b),
            _ => self.compare_numbers(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two values, if they have one.
    pub(crate) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::String(a), Value::String(b)) => Some((**a).cmp(b)),
            (Value::Bytes(a), Value::Bytes(b)) => Some((**a).cmp(b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            _ => self.compare_numbers(other),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Uint(_) | Value::Double(_))
    }

    fn compare_numbers(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Double(a), _) => compare_double(*a, other.whole()?),
            (_, Value::Double(b)) => compare_double(*b, self.whole()?).map(Ordering::reverse),
            _ => Some(self.whole()?.cmp(&other.whole()?)),
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(value) => Some(i128::from(*value)),
            Value::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }
}

fn compare_double(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Both ranges fit an `i128`; the cast saturates, which keeps infinities in order.
    let truncated = double.trunc() as i128;
    Some(truncated.cmp(&whole).then_with(|| double.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal)))
}

impl List<'_> {
    pub(crate) fn equals(&self, other: &List<'_>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match (self.identity(), other.identity()) {
            (ListIdentity::Atomic, ListIdentity::Atomic) => self.iter().zip(other.iter()).all(|(a, b)| a.equals(&b)),
            (ListIdentity::Map(keys), _) | (_, ListIdentity::Map(keys)) => {
                let others: Vec<_> = other.iter().collect();
                self.iter().all(|a| others.iter().any(|b| same_keys(keys, &a, b) && a.equals(b)))
            }
            _ => {
                let others: Vec<_> = other.iter().collect();
                self.iter().all(|a| others.iter().any(|b| a.equals(b)))
            }
        }
    }

    pub(crate) fn contains(&self, value: &Value<'_>) -> bool {
        self.iter().any(|item| item.equals(value))
    }
}

/// Whether two items of a list are the same item by these keys.
pub(crate) fn same_keys(keys: &[String], a: &Value<'_>, b: &Value<'_>) -> bool {
    let (Value::Map(a), Value::Map(b)) = (a, b) else { return false };
    keys.iter().all(|key| match (a.plain_field(key), b.plain_field(key)) {
        (Some(a), Some(b)) => a.equals(&b),
        (None, None) => true,
        _ => false,
    })
}

impl<'v> Map<'v> {
    fn plain_field(&self, name: &str) -> Option<Value<'v>> {
        match self {
            Map::Json(entries, _) => entries.get(name).map(|value| Value::from_json(value, None)),
            Map::Made(_) => self.at(name),
        }
    }

    pub(crate) fn equals(&self, other: &Map<'_>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match (self, other) {
            (Map::Json(a, None), Map::Json(b, None)) if std::ptr::eq(*a, *b) => true,
            (Map::Made(a), Map::Made(b)) => a.iter().zip(b.iter()).all(|((k, v), (l, w))| {
                let (k, l): (&Key<'_>, &Key<'_>) = (k, l);
                k.cmp(l).is_eq() && v.equals(w)
            }),
            _ => {
                let mut others: Vec<_> = other.entries();
                let mut own = self.entries();
                own.sort_by(by_key);
                others.sort_by(by_key);
                own.iter().zip(&others).all(|((k, v), (l, w))| k.equals(l) && v.equals(w))
            }
        }
    }
}

fn by_key(a: &(Value<'_>, Value<'_>), b: &(Value<'_>, Value<'_>)) -> Ordering {
    match (Key::of(&a.0), Key::of(&b.0)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
