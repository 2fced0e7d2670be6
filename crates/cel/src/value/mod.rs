//! What expressions compute with. JSON is wrapped, not copied: selecting a field gives a view of it.
//!
//! Invariants: values are immutable; a view of JSON carries its schema, which says what its texts and numbers mean.

mod collections;
pub(crate) mod equality;
mod json;
pub(crate) mod opaque;
mod text;
mod time;

pub use collections::{Key, List, Map, Struct};
pub use opaque::Opaque;
pub use text::{Blob, Text};
pub use time::{DurationValue, TimestampValue};

use crate::error::EvalError;
use crate::types::Type;
use std::sync::Arc;

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'v>),
    Bytes(Blob<'v>),
    Timestamp(TimestampValue),
    Duration(DurationValue),
    List(List<'v>),
    Map(Map<'v>),
    /// An object that the expression made.
    Struct(Arc<Struct<'v>>),
    /// An object whose fields are computed when they are asked for.
    Fields(FieldsRef<'v>),
    Optional(Option<Arc<Value<'v>>>),
    Type(Arc<Type>),
    Opaque(Opaque),
}

/// An object whose fields are computed on demand, such as a policy's variables.
pub trait FieldSource: Sync {
    /// The field's value, or none if there is no such field. Asked each time: remember what was dear.
    fn field<'a>(&'a self, name: &str) -> Option<Result<Value<'a>, EvalError>>;
}

/// A borrowed source of fields.
#[derive(Clone, Copy)]
pub struct FieldsRef<'v>(pub &'v (dyn FieldSource + 'v));

impl std::fmt::Debug for FieldsRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields")
    }
}

impl<'v> Value<'v> {
    pub fn text(text: &'v str) -> Value<'v> {
        Value::String(Text::Borrowed(text))
    }

    pub(crate) fn list(items: Vec<Value<'v>>) -> Value<'v> {
        Value::List(List::Made(Arc::new(items)))
    }

    pub(crate) fn some(value: Value<'v>) -> Value<'v> {
        Value::Optional(Some(Arc::new(value)))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The same value, which borrows from what this one lives in.
    pub(crate) fn reborrow(&'v self) -> Value<'v> {
        match self {
            Value::String(text) => Value::String(Text::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Blob::Borrowed(bytes)),
            other => other.clone(),
        }
    }

    /// What `type()` gives.
    pub(crate) fn runtime_type(&self) -> Type {
        match self {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Uint(_) => Type::Uint,
            Value::Double(_) => Type::Double,
            Value::String(_) => Type::String,
            Value::Bytes(_) => Type::Bytes,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Duration(_) => Type::Duration,
            Value::List(_) => Type::list(Type::Dyn),
            Value::Map(map) => map.object_type().map_or_else(|| Type::map(Type::Dyn, Type::Dyn), Type::Object),
            Value::Struct(made) => Type::Object(crate::types::ObjectType::open(made.name.clone())),
            Value::Fields(_) => Type::map(Type::String, Type::Dyn),
            Value::Optional(_) => Type::optional(Type::Dyn),
            Value::Type(_) => Type::Type(None),
            Value::Opaque(opaque) => Type::Opaque(opaque.type_name()),
        }
    }

    /// Whether a parameter of this type takes the value, as far as a value can tell.
    pub(crate) fn fits(&self, parameter: &Type) -> bool {
        match (self, parameter) {
            (_, Type::Dyn | Type::Error | Type::Param(_) | Type::Var(_)) => true,
            (Value::Null, Type::Null) => true,
            (Value::List(_), Type::List(_)) | (Value::Optional(_), Type::Optional(_)) => true,
            (Value::Map(_) | Value::Fields(_), Type::Map(..)) | (Value::Type(_), Type::Type(_)) => true,
            (Value::Map(_) | Value::Struct(_) | Value::Fields(_), Type::Object(_)) => true,
            _ => self.runtime_type() == *parameter,
        }
    }

    /// Its size as costs count it: code points, bytes, items, entries; none for what has no size.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = match self {
            Value::String(text) => text.length(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            Value::Opaque(opaque) => return opaque.size(),
            _ => return None,
        };
        Some(size as u64)
    }

    /// A field of a map or object; none if it is not there.
    pub(crate) fn field(&self, field: &FieldName) -> Result<Option<Value<'v>>, EvalError> {
        match self {
            Value::Map(map) => Ok(map.field(field)),
            Value::Struct(made) => Ok(made.field(&field.escaped)),
            Value::Fields(source) => source.0.field(&field.escaped).transpose(),
            _ => Err(EvalError::NoSuchOverload),
        }
    }
}

/// A field, by the name that expressions use and by its own.
#[derive(Clone, Debug)]
pub(crate) struct FieldName {
    pub(crate) escaped: Arc<str>,
    pub(crate) plain: Arc<str>,
}

impl FieldName {
    pub(crate) fn new(escaped: &str) -> FieldName {
        let plain = crate::escape::unescape(escaped);
        let escaped: Arc<str> = escaped.into();
        let plain = if plain == *escaped { escaped.clone() } else { plain.into() };
        FieldName { escaped, plain }
    }
}
