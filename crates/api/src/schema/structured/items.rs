//! How the items of associative lists and sets are told apart.

use super::element::PathElement;
use super::schema::{Form, Schema};
use serde_json::Value;

/// The step to an item of a list of this form; `item_schema` is the items'.
///
/// # Errors
/// Upstream's words for an item that has no name.
pub(super) fn element(form: &Form<'_>, item_schema: Schema<'_>, item: &Value) -> Result<PathElement, String> {
    match form {
        Form::Keyed(keys) => keyed(keys, item_schema, item),
        _ => match item {
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            item => Ok(PathElement::Value(Box::new(item.clone()))),
        },
    }
}

fn keyed(keys: &[&str], item_schema: Schema<'_>, item: &Value) -> Result<PathElement, String> {
    let members = match item {
        Value::Object(members) => members,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut named = Vec::with_capacity(keys.len());
    for key in keys {
        let value = members.get(*key).cloned().or_else(|| item_schema.default_of(key)).ok_or_else(|| {
            format!("associative list with keys has an element that omits key field {key:?} (and doesn't have default value)")
        })?;
        named.push((item_schema.name_of(key), value));
    }
    Ok(PathElement::key(named))
}

/// As `element`, from the values of those keys (by their positions) that an item has.
pub(super) fn named_by(keys: &[&str], item_schema: Schema<'_>, mut given: Vec<(usize, Value)>) -> Option<PathElement> {
    let mut named = Vec::with_capacity(keys.len());
    for (position, key) in keys.iter().enumerate() {
        let own = given.iter().rposition(|(at, _)| *at == position).map(|at| given.swap_remove(at).1);
        named.push((item_schema.name_of(key), own.or_else(|| item_schema.default_of(key))?));
    }
    Some(PathElement::key(named))
}

/// The items that have names, with them, in their order.
pub(super) fn named<'v>(
    form: &Form<'_>,
    item_schema: Schema<'_>,
    items: &'v [Value],
) -> impl Iterator<Item = (PathElement, &'v Value)> {
    items.iter().filter_map(move |item| Some((element(form, item_schema, item).ok()?, item)))
}
