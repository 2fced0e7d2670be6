//! A patch merged into an object as kustomize merges: by the schema's keys, what the patch brings first in lists.
//!
//! Invariants: lists without a key in the schema, and all lists of kinds without one, are replaced; a null of the patch
//! takes a field away, a null of the object stays where the patch is silent.

use crate::failure::{Failure, Result};
use api::schema::{Field, ListType, Message, Shape, Type, message};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";

/// What the schema says of a value.
#[derive(Clone, Copy, Default)]
struct Schema {
    /// Of a map with known fields, or of a list's or map's elements.
    message: Option<&'static Message>,
    field: Option<&'static Field>,
}

impl Schema {
    fn field(self, name: &str) -> Schema {
        if let Some(field) = self.field.filter(|field| field.shape == Shape::Map) {
            return Schema { message: of(field.kind), field: None };
        }
        let field = self.message.and_then(|message| message.field(name.as_bytes()));
        Schema { message: field.and_then(|field| of(field.kind)), field }
    }

    fn element(self) -> Schema {
        Schema { message: self.message, field: None }
    }

    /// The keys of a list that merges; empty where its elements are scalars.
    fn keys(self) -> Option<Vec<&'static str>> {
        let field = self.field.filter(|field| field.shape == Shape::List && field.patch_merge)?;
        Some(match field.list_type {
            ListType::Map(keys) => keys.split(',').collect(),
            _ if field.merge_key.is_empty() => Vec::new(),
            _ => vec![field.merge_key],
        })
    }
}

fn of(kind: Type) -> Option<&'static Message> {
    match kind {
        Type::Message(id) => Some(id.get()),
        _ => None,
    }
}

/// The object with the patch in it; `None` where the patch takes it away.
pub(super) fn merged(api_version: &str, kind: &str, object: Value, patch: &Value) -> Result<Option<Value>> {
    let name = api::object::find_kind(api_version, kind).map_or("", |row| row.def().message);
    let schema = Schema { message: message(name), field: None };
    merge(schema, Some(object), Some(patch))
}

fn merge(schema: Schema, object: Option<Value>, patch: Option<&Value>) -> Result<Option<Value>> {
    Ok(match (object, patch) {
        (object, None) => object,
        (_, Some(Value::Null)) => None,
        (None | Some(Value::Null), Some(patch)) => added(patch.clone()),
        (Some(Value::Object(object)), Some(Value::Object(patch))) => map(schema, object, patch)?,
        (Some(Value::Array(object)), Some(Value::Array(patch))) => match schema.keys() {
            Some(keys) => list(schema.element(), &keys, object, patch)?,
            None => Some(Value::Array(patch.clone())),
        },
        (Some(object @ (Value::Object(_) | Value::Array(_))), Some(patch)) => {
            let kinds = [&object, patch].map(|value| match value {
                Value::Object(_) => "MappingNode",
                Value::Array(_) => "SequenceNode",
                _ => "ScalarNode",
            });
            return Err(Failure::message(format!("wrong node kind: expected {} but was {}", kinds[0], kinds[1])));
        }
        (Some(_), Some(patch)) => Some(patch.clone()),
    })
}

fn directive(map: &Map<String, Value>) -> Option<&str> {
    map.get(DIRECTIVE).and_then(Value::as_str)
}

/// What was not there, without directives.
fn added(patch: Value) -> Option<Value> {
    match patch {
        Value::Object(members) if directive(&members) == Some("delete") => None,
        Value::Object(mut members) => {
            members.shift_remove(DIRECTIVE);
            Some(Value::Object(members))
        }
        Value::Array(elements) => {
            let elements = elements.into_iter().filter(|element| !is_directive(element));
            Some(elements.collect())
        }
        other => Some(other),
    }
}

/// An element that only says what to do with its list.
fn is_directive(element: &Value) -> bool {
    element.as_object().is_some_and(|members| members.len() == 1 && members.contains_key(DIRECTIVE))
}

fn map(schema: Schema, object: Map<String, Value>, patch: &Map<String, Value>) -> Result<Option<Value>> {
    match directive(patch) {
        Some("delete") => return Ok(None),
        Some("replace") => return Ok(added(Value::Object(patch.clone()))),
        _ => {}
    }
    let mut out = object;
    for (key, member) in patch.iter().filter(|(key, _)| *key != DIRECTIVE) {
        match merge(schema.field(key), out.get(key).cloned(), Some(member))? {
            Some(value) => {
                out.insert(key.clone(), value);
            }
            None => {
                out.shift_remove(key);
            }
        }
    }
    Ok(Some(Value::Object(out)))
}

fn list(schema: Schema, keys: &[&str], object: Vec<Value>, patch: &[Value]) -> Result<Option<Value>> {
    let whole = patch.iter().find(|element| is_directive(element)).and_then(|element| element[DIRECTIVE].as_str());
    match whole {
        Some("delete") => return Ok(None),
        Some("replace") => return Ok(added(Value::Array(patch.to_vec()))),
        _ => {}
    }
    if keys.is_empty() {
        let mut out: Vec<Value> = Vec::new();
        for element in patch.iter().chain(&object) {
            if !out.contains(element) {
                out.push(element.clone());
            }
        }
        return Ok(Some(Value::Array(out)));
    }
    let patch = patch.iter().filter(|element| !is_directive(element));
    match keys {
        [key] => by_key(schema, key, object, patch),
        keys => by_keys(schema, keys, object, patch),
    }
}

/// The patch's elements in their order, then the others of the object in theirs.
fn by_key<'a>(
    schema: Schema,
    key: &str,
    object: Vec<Value>,
    patch: impl Iterator<Item = &'a Value>,
) -> Result<Option<Value>> {
    let mut rest: Vec<Option<Value>> = object.into_iter().map(Some).collect();
    let mut out = Vec::new();
    for element in patch {
        let same =
            |other: &&mut Option<Value>| other.as_ref().is_some_and(|other| text(&other[key]) == text(&element[key]));
        let before = rest.iter_mut().find(same).and_then(Option::take);
        out.extend(merge(schema, before, Some(element))?);
    }
    out.extend(rest.into_iter().flatten());
    Ok(Some(Value::Array(out)))
}

/// What is new, then the object's elements in their order. An element of the patch that lacks a key, or has one that the
/// object's lacks, changes nothing where it might mean several.
fn by_keys<'a>(
    schema: Schema,
    keys: &[&str],
    object: Vec<Value>,
    patch: impl Iterator<Item = &'a Value>,
) -> Result<Option<Value>> {
    let mut own: Vec<Option<Value>> = object.into_iter().map(Some).collect();
    let mut new = Vec::new();
    for element in patch {
        let is_whole = keys.iter().all(|key| !element[*key].is_null());
        let fits = |other: &Value, key: &str| {
            other[key].is_null() || element[key].is_null() || text(&other[key]) == text(&element[key])
        };
        let possible: Vec<usize> = (0..own.len())
            .filter(|index| own[*index].as_ref().is_some_and(|other| keys.iter().all(|key| fits(other, key))))
            .collect();
        let same = |index: &&usize| {
            own[**index].as_ref().is_some_and(|other| keys.iter().all(|key| text(&other[*key]) == text(&element[*key])))
        };
        match possible.iter().find(same).copied() {
            None if possible.is_empty() => new.extend(merge(schema, None, Some(element))?),
            Some(index) if is_whole || possible.len() == 1 => {
                own[index] = merge(schema, own[index].take(), Some(element))?;
            }
            _ => {}
        }
    }
    new.extend(own.into_iter().flatten());
    Ok(Some(Value::Array(new)))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(object: Value, patch: Value, expected: Option<Value>) {
        assert_eq!(merged("v1", "Pod", object, &patch).unwrap(), expected);
    }

    #[test]
    fn lists_merge_by_their_keys() {
        let pod = |containers: Value| json!({"spec": {"containers": containers}});
        check(
            pod(json!([{"name": "a", "image": "x"}, {"name": "b"}, {"name": "c", "args": ["1"]}])),
            pod(json!([{"name": "c", "args": ["2"]}, {"name": "b", "$patch": "delete"}, {"name": "n"}])),
            Some(pod(json!([{"name": "c", "args": ["2"]}, {"name": "n"}, {"name": "a", "image": "x"}]))),
        );
        check(
            pod(json!([{"name": "a"}])),
            pod(json!([{"$patch": "replace"}, {"name": "b"}])),
            Some(pod(json!([{"name": "b"}]))),
        );
        check(
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["c", "a"]}}),
            Some(json!({"metadata": {"finalizers": ["c", "a", "b"]}})),
        );
    }

    #[test]
    fn ports_merge_where_one_alone_is_meant() {
        let service = |ports: Value| json!({"spec": {"containers": [{"name": "c", "ports": ports}]}});
        let (tcp, udp) =
            (json!({"containerPort": 80, "protocol": "TCP"}), json!({"containerPort": 80, "protocol": "UDP"}));
        let object = || service(json!([tcp, udp]));
        check(object(), service(json!([{"containerPort": 80, "name": "x"}])), Some(object()));
        check(
            object(),
            service(json!([{"containerPort": 81}, {"containerPort": 80, "protocol": "UDP", "name": "u"}])),
            Some(service(json!([{"containerPort": 81}, tcp, {"containerPort": 80, "protocol": "UDP", "name": "u"}]))),
        );
    }

    #[test]
    fn nulls_and_directives_take_away() {
        check(json!({"a": 1, "b": null}), json!({"a": null}), Some(json!({"b": null})));
        check(
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"$patch": "replace", "d": 3}}),
            Some(json!({"a": {"d": 3}})),
        );
        check(json!({"a": {"b": 1}}), json!({"a": {"$patch": "delete"}}), Some(json!({})));
        check(json!({"a": 1}), json!({"$patch": "delete"}), None);
        assert!(merged("v1", "Pod", json!({"a": {}}), &json!({"a": 1})).is_err());
    }
}
