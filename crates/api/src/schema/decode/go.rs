//! How Go spells types and quotes strings, for upstream's error texts.

use crate::schema::facts::{Codec, Message, Shape, Type};

/// `[]v1.Container`, `map[string]string`, `v1.ResourceList`.
pub(super) fn type_name(shape: Shape, kind: Type) -> String {
    let element = element(kind);
    match shape {
        Shape::One => element,
        Shape::List => format!("[]{element}"),
        Shape::Map if element == "resource.Quantity" => "v1.ResourceList".to_owned(),
        Shape::Map => format!("map[string]{element}"),
    }
}

fn element(kind: Type) -> String {
    match kind {
        Type::String => "string".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Bytes => "[]uint8".to_owned(),
        Type::Double => "float64".to_owned(),
        Type::Message(id) => message_name(id.get()),
    }
}

/// `v1.PodSpec`: the last segment of the package is Go's package name.
pub(super) fn message_name(message: &Message) -> String {
    match message.codec {
        // Their own decoders read a string, and complain about that.
        Codec::Time | Codec::MicroTime | Codec::Duration => "string".to_owned(),
        Codec::IntOrString => "int32".to_owned(),
        _ => format!("{}.{}", message.package.rsplit('.').next().unwrap_or_default(), message.name),
    }
}

/// `strconv.Quote`.
pub(super) fn quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            c if c < ' ' || c == '\x7f' => write!(out, "\\x{:02x}", u32::from(c)).expect("a string takes all"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
