//! The types of expressions: what the checker infers, what variables and functions declare.
//!
//! Invariant: two object types are the same when their names are.

use crate::schema::Schema;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A type. Its text is the one that messages show: `list(int)`, `map(string, dyn)`, `optional_type(string)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// What an expression has that could not be checked; fits everything, so that one mistake is told once.
    Error,
    /// Any value; checked when the expression runs.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
    Object(ObjectType),
    /// A value that only functions look into, such as `kubernetes.URL`.
    Opaque(&'static str),
    /// The type of a type, if it is known which.
    Type(Option<Arc<Type>>),
    /// A parameter of a function's signature, such as `T`.
    Param(&'static str),
    /// An unknown that the checker solves.
    Var(usize),
}

impl Type {
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    pub fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner))
    }

    /// The type of a value that a schema describes.
    pub fn of_schema(schema: &Schema) -> Type {
        schema.value_type()
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// Whether values of this type all have the size 1.
    pub(crate) fn is_scalar(&self) -> bool {
        match self {
            Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Timestamp | Type::Duration => true,
            Type::Optional(inner) => inner.is_scalar(),
            _ => false,
        }
    }

    /// The name that `type()` shows: without parameters.
    pub(crate) fn runtime_name(&self) -> &str {
        match self {
            Type::Null => "null_type",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::Duration => "google.protobuf.Duration",
            Type::List(_) => "list",
            Type::Map(..) => "map",
            Type::Optional(_) => "optional_type",
            Type::Type(_) => "type",
            Type::Object(object) => object.name(),
            Type::Opaque(name) => name,
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Error | Type::Dyn | Type::Param(_) | Type::Var(_) => "dyn",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Error => f.write_str("!error!"),
            Type::Dyn => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::List(element) => write!(f, "list({element})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(inner) => write!(f, "optional_type({inner})"),
            Type::Type(Some(inner)) => write!(f, "type({inner})"),
            Type::Param(name) => f.write_str(name),
            Type::Var(index) => write!(f, "_var{index}"),
            other => f.write_str(other.runtime_name()),
        }
    }
}

/// An object with named fields.
#[derive(Clone)]
pub struct ObjectType {
    name: Arc<str>,
    fields: Fields,
}

#[derive(Clone)]
enum Fields {
    /// By the names that expressions use.
    Declared(Arc<BTreeMap<Arc<str>, Arc<Schema>>>),
    /// Any field, of any type: objects that an expression makes, whose schema is not known.
    Open,
}

impl ObjectType {
    /// An object whose fields are these, by the names that expressions use (see `escape`).
    pub fn new(name: impl Into<Arc<str>>, fields: BTreeMap<Arc<str>, Arc<Schema>>) -> ObjectType {
        ObjectType { name: name.into(), fields: Fields::Declared(Arc::new(fields)) }
    }

    /// An object that may have any field.
    pub fn open(name: impl Into<Arc<str>>) -> ObjectType {
        ObjectType { name: name.into(), fields: Fields::Open }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of a field, or none if there is no such field.
    pub fn field(&self, name: &str) -> Option<Type> {
        match &self.fields {
            Fields::Declared(fields) => fields.get(name).map(|schema| schema.value_type()),
            Fields::Open => Some(Type::Dyn),
        }
    }

    pub(crate) fn field_schema(&self, name: &str) -> Option<&Schema> {
        match &self.fields {
            Fields::Declared(fields) => fields.get(name).map(Arc::as_ref),
            Fields::Open => None,
        }
    }
}

impl PartialEq for ObjectType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ObjectType {}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Schemas refer to their objects' types; printing the fields would print whole kinds.
        f.debug_tuple("ObjectType").field(&self.name).finish()
    }
}
