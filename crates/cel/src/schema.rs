//! What a JSON value looks like: its type, its fields, and how large it may be. Drives the checker, the lazy wrapping of
//! JSON, and the estimate of costs.
//!
//! Invariants: a schema is a finite tree (a recursive kind stops at `Schema::any`); sizes follow upstream's reckoning:
//! what a schema does not bound is bounded by the largest request.

use crate::types::{ObjectType, Type};
use crate::value::opaque;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Upstream's largest request, from which unbounded sizes are reckoned.
pub(crate) const REQUEST_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// One node of a schema.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(crate) shape: Shape,
    /// The largest size: code points, items or entries. Zero for what has no size.
    pub(crate) size_max: u64,
    /// The fewest bytes of its JSON.
    pub(crate) bytes_min: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Any,
    Bool,
    Int,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    Quantity,
    List { items: Arc<Schema>, identity: ListIdentity },
    Map { values: Arc<Schema> },
    Object(ObjectType),
}

/// When two lists are equal, and what adding them means: `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListIdentity {
    /// The order counts; `+` concatenates.
    #[default]
    Atomic,
    /// The order does not count; `+` leaves out what is there already.
    Set,
    /// Items are told apart by these keys; `+` replaces items that have the same.
    Map(Arc<[String]>),
}

impl Schema {
    /// A value of which nothing is known.
    pub fn any() -> Schema {
        Schema { shape: Shape::Any, size_max: REQUEST_BYTES_MAX - 2, bytes_min: 1 }
    }

    /// An integer or a string, of at most so many code points.
    pub fn int_or_string(length_max: Option<u64>) -> Schema {
        Schema { shape: Shape::Any, size_max: text_size(length_max), bytes_min: 1 }
    }

    pub fn bool() -> Schema {
        Schema { shape: Shape::Bool, size_max: 0, bytes_min: 4 }
    }

    pub fn int() -> Schema {
        Schema { shape: Shape::Int, size_max: 0, bytes_min: 1 }
    }

    pub fn double() -> Schema {
        Schema { shape: Shape::Double, size_max: 0, bytes_min: 1 }
    }

    /// A text of at most so many code points.
    pub fn string(length_max: Option<u64>) -> Schema {
        Schema { shape: Shape::String, size_max: text_size(length_max), bytes_min: 2 }
    }

    /// Bytes, in base64, of at most so many characters.
    pub fn bytes(length_max: Option<u64>) -> Schema {
        Schema { shape: Shape::Bytes, size_max: length_max.unwrap_or(REQUEST_BYTES_MAX - 2), bytes_min: 2 }
    }

    /// A date and time, or a date alone.
    pub fn timestamp() -> Schema {
        Schema { shape: Shape::Timestamp, size_max: 32, bytes_min: 21 }
    }

    pub fn date() -> Schema {
        Schema { shape: Shape::Timestamp, size_max: 12, bytes_min: 12 }
    }

    pub fn duration() -> Schema {
        Schema { shape: Shape::Duration, size_max: 32, bytes_min: 3 }
    }

    /// An amount, such as `1Gi`.
    pub fn quantity() -> Schema {
        Schema { shape: Shape::Quantity, size_max: 0, bytes_min: 1 }
    }

    /// A list of at most so many items.
    pub fn list(items: Arc<Schema>, items_max: Option<u64>, identity: ListIdentity) -> Schema {
        let size_max = items_max.unwrap_or((REQUEST_BYTES_MAX - 2) / (items.bytes_min + 1));
        Schema { shape: Shape::List { items, identity }, size_max, bytes_min: 2 }
    }

    /// A map from text, of at most so many entries.
    pub fn map(values: Arc<Schema>, entries_max: Option<u64>) -> Schema {
        let size_max = entries_max.unwrap_or((REQUEST_BYTES_MAX - 2) / (values.bytes_min + 6));
        Schema { shape: Shape::Map { values }, size_max, bytes_min: 2 }
    }

    /// An object with these fields, by the names that expressions use (see `escape`).
    pub fn object(name: impl Into<Arc<str>>, fields: BTreeMap<Arc<str>, Arc<Schema>>) -> Schema {
        Schema { shape: Shape::Object(ObjectType::new(name, fields)), size_max: 0, bytes_min: 2 }
    }

    /// The same, where an estimate of the whole knows better how large it is.
    pub fn with_size_max(mut self, size_max: u64) -> Schema {
        self.size_max = size_max;
        self
    }

    pub(crate) fn with_bytes_min(mut self, bytes_min: u64) -> Schema {
        self.bytes_min = bytes_min;
        self
    }

    /// The largest size of a value: code points, items or entries.
    pub fn size_max(&self) -> u64 {
        self.size_max
    }

    /// The schema of a field, by the name that expressions use.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        match &self.shape {
            Shape::Object(object) => object.field_schema(name),
            _ => None,
        }
    }

    /// The schema of a list's items or a map's values.
    pub fn element(&self) -> Option<&Schema> {
        match &self.shape {
            Shape::List { items, .. } => Some(items),
            Shape::Map { values } => Some(values),
            _ => None,
        }
    }

    pub(crate) fn value_type(&self) -> Type {
        match &self.shape {
            Shape::Any => Type::Dyn,
            Shape::Bool => Type::Bool,
            Shape::Int => Type::Int,
            Shape::Double => Type::Double,
            Shape::String => Type::String,
            Shape::Bytes => Type::Bytes,
            Shape::Timestamp => Type::Timestamp,
            Shape::Duration => Type::Duration,
            Shape::Quantity => Type::Opaque(opaque::QUANTITY),
            Shape::List { items, .. } => Type::list(items.value_type()),
            Shape::Map { values } => Type::map(Type::String, values.value_type()),
            Shape::Object(object) => Type::Object(object.clone()),
        }
    }
}

/// Four bytes a code point, as upstream reckons a bounded text.
fn text_size(length_max: Option<u64>) -> u64 {
    length_max.map_or(REQUEST_BYTES_MAX - 2, |length| length.saturating_mul(4))
}
