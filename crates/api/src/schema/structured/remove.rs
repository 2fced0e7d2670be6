//! An object without some of its paths.

use super::element::PathElement;
use super::items;
use super::schema::{Form, Kind, Schema};
use super::set::Set;
use serde_json::{Map, Value};

/// `value` without the paths of `gone` and all that is below them. A map or list of which nothing is left is null: it
/// was there, and may be somebody's.
pub fn remove(schema: Schema<'_>, value: Value, gone: &Set) -> Value {
    let form = schema.form(Kind::of(&value));
    match (&form, value) {
        (Form::Map, Value::Object(members)) if !members.is_empty() => {
            let mut left = Map::new();
            for (name, value) in members {
                let element = PathElement::field(&name);
                if gone.has(&element) {
                    continue;
                }
                let value = match gone.behind(&element) {
                    Some(below) => remove(schema.below(&name).schema, value, below),
                    None => value,
                };
                left.insert(name, value);
            }
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        (Form::Keyed(_) | Form::Set, Value::Array(list)) if !list.is_empty() => {
            let item_schema = schema.item();
            let kept = list.into_iter().filter_map(|item| {
                let Ok(element) = items::element(&form, item_schema, &item) else { return Some(item) };
                if gone.has(&element) {
                    return None;
                }
                match gone.behind(&element) {
                    Some(below) => Some(remove(item_schema, item, below)).filter(|item| !item.is_null()),
                    None => Some(item),
                }
            });
            let kept: Vec<Value> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (_, value) => value,
    }
}
