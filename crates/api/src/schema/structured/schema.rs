//! What server-side apply has to know of a place in an object: whether it merges member by member, item by item, or as
//! one value.
//!
//! Without a schema maps merge member by member and lists are one value.

use crate::schema::facts::{self, Codec, Field, ListType, MapType, Message, Shape, Type};
use serde_json::Value;
use std::borrow::Cow;

/// A place's schema; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub enum Schema<'a> {
    /// Of a built-in kind.
    Table(Place),
    /// In OpenAPI's form, as CustomResourceDefinitions have it.
    Open {
        schema: &'a Value,
        /// Whether it is a whole object, whose metadata is everybody's.
        resource: bool,
    },
    Unknown,
}

/// Fields that Go's types have as structs, never absent.
const EMBEDDED: &[&str] = &["metadata", "spec", "status", "strategy", "updateStrategy", "template", "resources"];

/// A place in the table of facts.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Message { message: &'static Message, atomic: bool },
    List(&'static Field),
    Map(&'static Field),
    Scalar(Type),
}

/// How a place's value merges.
#[derive(Clone, Debug)]
pub(super) enum Form<'a> {
    /// As one value: a scalar, or what the schema says is atomic.
    Leaf,
    /// Member by member.
    Map,
    /// A list whose items are their own names.
    Set,
    /// A list whose items are named by these members.
    Keyed(Vec<&'a str>),
}

/// What a value is, as far as its merging depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Scalar,
    List,
    Map,
}

impl Kind {
    pub(super) fn of(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Null,
            Value::Object(_) => Kind::Map,
            Value::Array(_) => Kind::List,
            _ => Kind::Scalar,
        }
    }
}

/// What a schema says of one member of a map or struct.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) schema: Schema<'a>,
    /// A field of a struct rather than a key of a map.
    pub(super) named: bool,
}

/// The JSON type that a schema wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Anything,
    Text,
    Number,
    Flag,
    List,
    Map,
}

impl Schema<'static> {
    /// The schema of a message of the table, unknown where the table does not have it.
    pub fn of_message(name: &str) -> Schema<'static> {
        match facts::message(name) {
            Some(message) => Schema::Table(Place::Message { message, atomic: message.atomic }),
            None => Schema::Unknown,
        }
    }
}

impl<'a> Schema<'a> {
    /// The schema of a custom resource's objects.
    pub fn of_custom(schema: &'a Value) -> Schema<'a> {
        Schema::Open { schema, resource: true }
    }

    /// How a value of this kind merges here; where the schema does not say, the kind decides.
    pub(super) fn form(self, kind: Kind) -> Form<'a> {
        match self {
            Schema::Unknown => match kind {
                Kind::Map => Form::Map,
                _ => Form::Leaf,
            },
            Schema::Table(place) => place.form(kind),
            Schema::Open { schema, .. } => open_form(schema, kind),
        }
    }

    /// A member's schema; `None` where the schema does not have it.
    pub(super) fn member(self, name: &str) -> Option<Member<'a>> {
        match self {
            Schema::Unknown => Some(Member { schema: Schema::Unknown, named: false }),
            Schema::Table(place) => place.member(name),
            Schema::Open { schema, resource } => open_member(schema, resource, name),
        }
    }

    /// As `member`, with what is not declared unknown.
    pub(super) fn below(self, name: &str) -> Member<'a> {
        self.member(name).unwrap_or(Member { schema: Schema::Unknown, named: false })
    }

    /// The schema of a list's items.
    pub(super) fn item(self) -> Schema<'a> {
        match self {
            Schema::Table(Place::List(field)) => of_kind(field.kind),
            Schema::Open { schema, .. } => match schema.get("items") {
                Some(items) => Schema::Open { schema: items, resource: false },
                None => Schema::Unknown,
            },
            _ => Schema::Unknown,
        }
    }

    /// The value that an item's key has when the item does not name it.
    pub(super) fn default_of(self, key: &str) -> Option<Value> {
        match self {
            Schema::Table(Place::Message { message, .. }) => {
                serde_json::from_str(message.field(key.as_bytes())?.default?).ok()
            }
            Schema::Open { schema, .. } => schema.get("properties")?.get(key)?.get("default").cloned(),
            _ => None,
        }
    }

    /// Whether a struct without this field still has it: upstream's zero objects contain it, empty. The table does not
    /// tell Go's structs from pointers to them; the names do, nearly always.
    pub(super) fn is_implied(self, name: &str) -> bool {
        match self {
            Schema::Table(Place::Message { message, .. }) => match message.field(name.as_bytes()) {
                Some(field) => field.required || (field.shape == Shape::One && EMBEDDED.contains(&name)),
                None => false,
            },
            _ => false,
        }
    }

    pub(super) fn expected(self) -> Expected {
        match self {
            Schema::Unknown => Expected::Anything,
            Schema::Table(place) => place.expected(),
            Schema::Open { schema, .. } => match schema.get("type").and_then(Value::as_str) {
                Some("string") => Expected::Text,
                Some("integer" | "number") => Expected::Number,
                Some("boolean") => Expected::Flag,
                Some("array") => Expected::List,
                Some("object") => Expected::Map,
                _ => Expected::Anything,
            },
        }
    }

    /// A field's name without an allocation where the table has it.
    pub(super) fn name_of(self, name: &str) -> Cow<'static, str> {
        if let Schema::Table(Place::Message { message, .. }) = self
            && let Some(field) = message.field(name.as_bytes())
        {
            return Cow::Borrowed(field.name);
        }
        Cow::Owned(name.to_owned())
    }
}

fn of_kind(kind: Type) -> Schema<'static> {
    match kind {
        Type::Message(id) => of_message(id.get(), id.get().atomic),
        scalar => Schema::Table(Place::Scalar(scalar)),
    }
}

fn of_message(message: &'static Message, atomic: bool) -> Schema<'static> {
    match message.codec {
        Codec::Raw => Schema::Unknown,
        _ => Schema::Table(Place::Message { message, atomic }),
    }
}

fn of_field(field: &'static Field) -> Schema<'static> {
    match (field.shape, field.kind) {
        (Shape::List, _) => Schema::Table(Place::List(field)),
        (Shape::Map, _) => Schema::Table(Place::Map(field)),
        (Shape::One, Type::Message(id)) => {
            let message = id.get();
            let atomic = match field.map_type {
                MapType::Unset => message.atomic,
                MapType::Atomic => true,
                MapType::Granular => false,
            };
            of_message(message, atomic)
        }
        (Shape::One, scalar) => Schema::Table(Place::Scalar(scalar)),
    }
}

impl Place {
    fn form(self, kind: Kind) -> Form<'static> {
        let map = match kind {
            Kind::Map | Kind::Null => Form::Map,
            _ => Form::Leaf,
        };
        match self {
            Place::Message { message, atomic } if !atomic && message.codec == Codec::Object => map,
            Place::Map(field) if field.map_type != MapType::Atomic => map,
            Place::List(field) if matches!(kind, Kind::List | Kind::Null) => match field.list_type {
                ListType::Set => Form::Set,
                ListType::Map(keys) => Form::Keyed(keys.split(',').collect()),
                ListType::Atomic | ListType::Unset => Form::Leaf,
            },
            _ => Form::Leaf,
        }
    }

    fn member(self, name: &str) -> Option<Member<'static>> {
        match self {
            Place::Message { message, .. } => {
                let field = message.field(name.as_bytes());
                match (field, name) {
                    (Some(field), _) => Some(Member { schema: of_field(field), named: true }),
                    // Every kind has them, and the table leaves them out.
                    (None, "apiVersion" | "kind") if message.group_version.is_some() => {
                        Some(Member { schema: Schema::Table(Place::Scalar(Type::String)), named: true })
                    }
                    _ => None,
                }
            }
            Place::Map(field) => Some(Member { schema: of_kind(field.kind), named: false }),
            Place::List(_) | Place::Scalar(_) => None,
        }
    }

    fn expected(self) -> Expected {
        match self {
            Place::List(_) => Expected::List,
            Place::Map(_) => Expected::Map,
            Place::Scalar(Type::String | Type::Bytes) => Expected::Text,
            Place::Scalar(Type::Int32 | Type::Int64 | Type::Double) => Expected::Number,
            Place::Scalar(Type::Bool) => Expected::Flag,
            Place::Scalar(Type::Message(_)) => Expected::Anything,
            Place::Message { message, .. } => match message.codec {
                Codec::Object => Expected::Map,
                Codec::Time | Codec::MicroTime | Codec::Duration => Expected::Text,
                Codec::Items => Expected::List,
                Codec::Quantity | Codec::IntOrString | Codec::Raw => Expected::Anything,
            },
        }
    }
}

fn extension<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn open_form(schema: &Value, kind: Kind) -> Form<'_> {
    let is_array = matches!(kind, Kind::List | Kind::Null);
    match extension(schema, "type") {
        Some("array") if is_array => match extension(schema, "x-kubernetes-list-type") {
            Some("set") => Form::Set,
            Some("map") => {
                let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                Form::Keyed(keys.into_iter().flatten().filter_map(Value::as_str).collect())
            }
            _ => Form::Leaf,
        },
        Some("array" | "string" | "integer" | "number" | "boolean") => Form::Leaf,
        _ if extension(schema, "x-kubernetes-map-type") == Some("atomic") => Form::Leaf,
        Some("object") if kind == Kind::Null => Form::Map,
        _ if kind == Kind::Map => Form::Map,
        _ => Form::Leaf,
    }
}

fn open_member<'a>(schema: &'a Value, resource: bool, name: &str) -> Option<Member<'a>> {
    if resource || flag(schema, "x-kubernetes-embedded-resource") {
        match name {
            "metadata" => {
                let metadata = Schema::of_message("k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta");
                return Some(Member { schema: metadata, named: true });
            }
            "apiVersion" | "kind" => {
                return Some(Member { schema: Schema::Table(Place::Scalar(Type::String)), named: true });
            }
            _ => {}
        }
    }
    let open = |schema: &'a Value| Schema::Open { schema, resource: false };
    if let Some(property) = schema.get("properties").and_then(|properties| properties.get(name)) {
        return Some(Member { schema: open(property), named: true });
    }
    match schema.get("additionalProperties") {
        Some(values @ Value::Object(_)) => Some(Member { schema: open(values), named: false }),
        Some(Value::Bool(true)) => Some(Member { schema: Schema::Unknown, named: false }),
        _ if flag(schema, "x-kubernetes-preserve-unknown-fields") => {
            Some(Member { schema: Schema::Unknown, named: false })
        }
        // A schema that says nothing of members says nothing against them.
        _ if schema.get("properties").is_none() && extension(schema, "type").is_none() => {
            Some(Member { schema: Schema::Unknown, named: false })
        }
        _ => None,
    }
}
