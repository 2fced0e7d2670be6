//! The paths of a value: what an applier that applies it owns.

use super::element::PathElement;
use super::items;
use super::schema::{Form, Kind, Schema};
use super::set::Set;
use serde_json::Value;

/// Every leaf of the value, and every key of a map and item of a list that merges.
pub fn extract(schema: Schema<'_>, value: &Value) -> Set {
    place(schema, value).1
}

/// Whether the place itself is a path of the set, and what is below it.
fn place(schema: Schema<'_>, value: &Value) -> (bool, Set) {
    let form = schema.form(Kind::of(value));
    match (&form, value) {
        (Form::Leaf, _) | (_, Value::Null) => (true, Set::default()),
        (Form::Map, Value::Object(members)) if members.is_empty() => (true, Set::default()),
        (Form::Map, Value::Object(members)) => {
            let mut below = Set::default();
            for (name, value) in members {
                let member = schema.below(name);
                let (itself, further) = place(member.schema, value);
                below.add(PathElement::Field(schema.name_of(name)), itself || !member.named, further);
            }
            (false, below)
        }
        (Form::Keyed(_) | Form::Set, Value::Array(list)) => {
            let item_schema = schema.item();
            let mut below = Set::default();
            for (element, item) in items::named(&form, item_schema, list) {
                let (_, further) = place(item_schema, item);
                below.add(element, true, further);
            }
            (false, below)
        }
        _ => (true, Set::default()),
    }
}
