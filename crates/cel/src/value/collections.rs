//! Lists, maps and objects: made by expressions, or views of JSON.

use super::{FieldName, Text, Value};
use crate::schema::{ListIdentity, Schema, Shape};
use crate::types::ObjectType;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

type Json = serde_json::Value;

#[derive(Clone, Debug)]
pub enum List<'v> {
    Json(&'v [Json], Option<&'v Schema>),
    Made(Arc<Vec<Value<'v>>>),
}

impl<'v> List<'v> {
    pub fn len(&self) -> usize {
        match self {
            List::Json(items, _) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<Value<'v>> {
        match self {
            List::Json(items, schema) => {
                items.get(index).map(|item| Value::from_json(item, schema.and_then(Schema::element)))
            }
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'v>> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or(Value::Null))
    }

    /// How the list's items are told apart.
    pub(crate) fn identity(&self) -> &ListIdentity {
        match self {
            List::Json(_, Some(Schema { shape: Shape::List { identity, .. }, .. })) => identity,
            _ => &ListIdentity::Atomic,
        }
    }

    /// The items, copied out unless nobody else holds them.
    pub(crate) fn into_items(self) -> Vec<Value<'v>> {
        match self {
            List::Made(items) => Arc::try_unwrap(items).unwrap_or_else(|items| items.as_ref().clone()),
            json => json.iter().collect(),
        }
    }
}

/// A key of a map. Whole numbers are the same key whatever their type.
#[derive(Clone, Debug)]
pub enum Key<'v> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Text<'v>),
}

impl<'v> Key<'v> {
    /// A value as a key: a double that is a whole number is one for looking up.
    pub(crate) fn of(value: &Value<'v>) -> Option<Key<'v>> {
        match value {
            Value::Bool(value) => Some(Key::Bool(*value)),
            Value::Int(value) => Some(Key::Int(*value)),
            Value::Uint(value) => Some(Key::Uint(*value)),
            Value::String(text) => Some(Key::String(text.clone())),
            _ => None,
        }
    }

    pub(crate) fn value(&self) -> Value<'v> {
        match self {
            Key::Bool(value) => Value::Bool(*value),
            Key::Int(value) => Value::Int(*value),
            Key::Uint(value) => Value::Uint(*value),
            Key::String(text) => Value::String(text.clone()),
        }
    }

    fn number(&self) -> Option<i128> {
        match self {
            Key::Int(value) => Some(i128::from(*value)),
            Key::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Key::Bool(_) => 0,
            Key::Int(_) | Key::Uint(_) => 1,
            Key::String(_) => 2,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::String(a), Key::String(b)) => (**a).cmp(b),
            _ => self.rank().cmp(&other.rank()).then(self.number().cmp(&other.number())),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

#[derive(Clone, Debug)]
pub enum Map<'v> {
    Json(&'v serde_json::Map<String, Json>, Option<&'v Schema>),
    Made(Arc<BTreeMap<Key<'v>, Value<'v>>>),
}

impl<'v> Map<'v> {
    pub fn len(&self) -> usize {
        match self {
            Map::Json(entries, _) => entries.len(),
            Map::Made(entries) => entries.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a key. A double finds the whole number that it equals.
    pub(crate) fn get(&self, key: &Value<'v>) -> Option<Value<'v>> {
        match self {
            Map::Json(..) => self.at(key.as_str()?),
            Map::Made(entries) => {
                let key = match key {
                    Value::Double(value) => whole(*value)?,
                    other => Key::of(other)?,
                };
                entries.get(&key).cloned()
            }
        }
    }

    /// The value at a text.
    pub fn at(&self, key: &str) -> Option<Value<'v>> {
        match self {
            Map::Json(entries, schema) => {
                let value = entries.get(key)?;
                Some(Value::from_json(value, schema.and_then(Schema::element)))
            }
            Map::Made(entries) => {
                // The borrowed key's lifetime must be the map's: a shared text has any.
                entries.get(&Key::String(Text::from(key))).cloned()
            }
        }
    }

    pub(crate) fn field(&self, field: &FieldName) -> Option<Value<'v>> {
        match self {
            Map::Json(entries, Some(schema)) if matches!(schema.shape, Shape::Object(_)) => {
                let value = entries.get(&*field.plain)?;
                Some(Value::from_json(value, schema.field(&field.escaped)))
            }
            _ => self.at(&field.escaped),
        }
    }

    pub fn keys(&self) -> Vec<Value<'v>> {
        match self {
            Map::Json(entries, _) => entries.keys().map(|key| Value::text(key)).collect(),
            Map::Made(entries) => entries.keys().map(Key::value).collect(),
        }
    }

    pub fn entries(&self) -> Vec<(Value<'v>, Value<'v>)> {
        match self {
            Map::Json(entries, schema) => {
                let entry = |(key, value): (&'v String, &'v Json)| {
                    let schema = schema.and_then(|schema| match schema.shape {
                        Shape::Object(_) => crate::escape::escape(key).and_then(|key| schema.field(&key)),
                        _ => schema.element(),
                    });
                    (Value::text(key), Value::from_json(value, schema))
                };
                entries.iter().map(entry).collect()
            }
            Map::Made(entries) => entries.iter().map(|(key, value)| (key.value(), value.clone())).collect(),
        }
    }

    pub(crate) fn object_type(&self) -> Option<ObjectType> {
        match self {
            Map::Json(_, Some(Schema { shape: Shape::Object(object), .. })) => Some(object.clone()),
            _ => None,
        }
    }

    pub(crate) fn into_entries(self) -> BTreeMap<Key<'v>, Value<'v>> {
        match self {
            Map::Made(entries) => Arc::try_unwrap(entries).unwrap_or_else(|entries| entries.as_ref().clone()),
            json => json.entries().into_iter().filter_map(|(key, value)| Some((Key::of(&key)?, value))).collect(),
        }
    }
}

/// The key that a double equals, if it is a whole number in range.
fn whole<'v>(value: f64) -> Option<Key<'v>> {
    if value.fract() != 0.0 {
        return None;
    }
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        return Some(Key::Int(value as i64));
    }
    (0.0..18_446_744_073_709_551_616.0).contains(&value).then_some(Key::Uint(value as u64))
}

/// An object that an expression made, such as `Object.spec{replicas: 1}`.
#[derive(Clone, Debug)]
pub struct Struct<'v> {
    pub name: Arc<str>,
    /// By the names that the expression used.
    pub fields: BTreeMap<Arc<str>, Value<'v>>,
}

impl<'v> Struct<'v> {
    pub fn field(&self, name: &str) -> Option<Value<'v>> {
        self.fields.get(name).cloned()
    }

    /// What is wrong with the names of the objects in it: an object at a field must be named after the path to it, such
    /// as `Object.spec` at the field `spec` of an `Object`.
    pub fn misnamed(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        self.check_name(&self.name, &mut complaints);
        complaints
    }

    fn check_name(&self, expected: &str, complaints: &mut Vec<String>) {
        if &*self.name != expected {
            complaints.push(format!(
                "unexpected type name {:?}, expected {expected:?}, which matches field name path from root Object type",
                &*self.name
            ));
        }
        for (field, value) in &self.fields {
            check_names(value, &format!("{expected}.{field}"), complaints);
        }
    }
}

/// The same for all objects in a value; lists and maps have no part in names.
fn check_names(value: &Value<'_>, expected: &str, complaints: &mut Vec<String>) {
    match value {
        Value::Struct(made) => made.check_name(expected, complaints),
        Value::List(List::Made(items)) => items.iter().for_each(|item| check_names(item, expected, complaints)),
        Value::Map(Map::Made(entries)) => entries.values().for_each(|value| check_names(value, expected, complaints)),
        _ => {}
    }
}
