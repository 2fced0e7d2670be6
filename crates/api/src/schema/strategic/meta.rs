//! What the table says about patching a field.

use super::PatchError;
use crate::schema::facts::{self, Field, Message, Shape, Type};

/// The type of a value on the way down.
#[derive(Clone, Copy)]
pub(super) enum Node {
    /// An object at the top, which also has an `apiVersion` and a `kind`.
    Root(&'static Message),
    Struct(&'static Message),
    MapOf(Type),
    ListOf(Type),
    /// Go's name of the kind.
    Scalar(&'static str),
}

/// How one field is patched.
#[derive(Clone, Copy)]
pub(super) struct Meta {
    pub(super) node: Node,
    /// A list merges.
    pub(super) merge: bool,
    /// A map is replaced.
    pub(super) replace: bool,
    pub(super) retain_keys: bool,
    /// Empty for lists of scalars.
    pub(super) merge_key: &'static str,
}

impl Node {
    pub(super) fn root(message: &'static Message) -> Node {
        Node::Root(message)
    }

    fn of(shape: Shape, kind: Type) -> Node {
        match (shape, kind) {
            (Shape::List, _) => Node::ListOf(kind),
            (Shape::Map, _) => Node::MapOf(kind),
            (Shape::One, Type::Message(id)) => Node::Struct(id.get()),
            (Shape::One, Type::String) => Node::Scalar("string"),
            (Shape::One, Type::Int32) => Node::Scalar("int32"),
            (Shape::One, Type::Int64) => Node::Scalar("int64"),
            (Shape::One, Type::Bool) => Node::Scalar("bool"),
            (Shape::One, Type::Bytes) => Node::Scalar("slice"),
            (Shape::One, Type::Double) => Node::Scalar("float64"),
        }
    }

    /// The type of a list's elements.
    pub(super) fn element(self) -> Node {
        match self {
            Node::ListOf(kind) => Node::of(Shape::One, kind),
            other => other,
        }
    }

    /// Go's name of the kind of type, for texts.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Node::Root(_) | Node::Struct(_) => "struct",
            Node::MapOf(_) => "map",
            Node::ListOf(_) => "slice",
            Node::Scalar(name) => name,
        }
    }

    pub(super) fn field(self, name: &str) -> Result<Meta, PatchError> {
        match self {
            Node::Struct(message) => named(message, name),
            Node::Root(message) => match named(message, name) {
                Err(_) if matches!(name, "apiVersion" | "kind") => Ok(Meta::plain(Node::Scalar("string"))),
                found => found,
            },
            Node::MapOf(kind) => Ok(Meta::plain(Node::of(Shape::One, kind))),
            Node::ListOf(_) | Node::Scalar(_) => Err(PatchError::NotAStruct(self.kind())),
        }
    }
}

impl Meta {
    fn plain(node: Node) -> Meta {
        Meta { node, merge: false, replace: false, retain_keys: false, merge_key: "" }
    }
}

fn named(message: &'static Message, name: &str) -> Result<Meta, PatchError> {
    let field: &facts::Field = message
        .field(name.as_bytes())
        .ok_or_else(|| PatchError::UnknownField { message: message.name, field: name.to_owned() })?;
    let Field { shape, kind, patch_merge, patch_replace, patch_retain_keys, merge_key, .. } = *field;
    Ok(Meta {
        node: Node::of(shape, kind),
        merge: patch_merge,
        replace: patch_replace,
        retain_keys: patch_retain_keys,
        merge_key,
    })
}
