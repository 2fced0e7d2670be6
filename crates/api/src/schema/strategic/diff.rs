//! The patch that turns one object into another.

use super::list::{self, Elements};
use super::meta::{Meta, Node};
use super::{DELETE_FROM_LIST, DIRECTIVE, Object, PatchError, RETAIN_KEYS, SET_ORDER};
use serde_json::{Value, json};

/// Which differences count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    /// What was added or changed.
    Additions,
    /// What is gone.
    Deletions,
}

impl Scope {
    fn additions(self) -> bool {
        self != Scope::Deletions
    }
    fn deletions(self) -> bool {
        self != Scope::Additions
    }
}

pub(super) fn map(
    original: &Object,
    modified: &Object,
    node: Node,
    retain_keys: bool,
    scope: Scope,
) -> Result<Object, PatchError> {
    let mut patch = Object::new();
    for (key, new) in modified {
        let Some(old) = original.get(key) else {
            if scope.additions() {
                patch.insert(key.clone(), new.clone());
            }
            continue;
        };
        if key == DIRECTIVE {
            if !old.is_string() || !new.is_string() {
                return Err(PatchError::BadDirectiveValue);
            }
            if old != new {
                patch.insert(key.clone(), new.clone());
            }
            continue;
        }
        match (old, new) {
            _ if old == new => {}
            (Value::Object(old), Value::Object(new)) => {
                let meta = node.field(key)?;
                if meta.replace {
                    if scope.additions() {
                        patch.insert(key.clone(), Value::Object(new.clone()));
                    }
                    continue;
                }
                let inner = map(old, new, meta.node, meta.retain_keys, scope)?;
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(old), Value::Array(new)) if node.field(key)?.merge => {
                lists(key, old, new, node.field(key)?, scope, &mut patch)?;
            }
            _ if scope.additions() => drop(patch.insert(key.clone(), new.clone())),
            _ => {}
        }
    }
    if scope.deletions() {
        let gone = original.keys().filter(|key| !modified.contains_key(*key));
        patch.extend(gone.map(|key| (key.clone(), Value::Null)));
    }
    if retain_keys {
        add_retain_keys(original, modified, &mut patch);
    }
    Ok(patch)
}

fn add_retain_keys(original: &Object, modified: &Object, patch: &mut Object) {
    let mut retained: Vec<&str> = modified.iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k.as_str()).collect();
    let has_more = original.iter().any(|(key, value)| !value.is_null() && !modified.contains_key(key));
    if !retained.is_empty() && (!patch.is_empty() || has_more) {
        retained.sort_unstable();
        patch.insert(RETAIN_KEYS.to_owned(), json!(retained));
    }
}

fn lists(
    field: &str,
    original: &[Value],
    modified: &[Value],
    meta: Meta,
    scope: Scope,
    patch: &mut Object,
) -> Result<(), PatchError> {
    if original.is_empty() {
        if !modified.is_empty() && scope.additions() {
            patch.insert(field.to_owned(), Value::Array(modified.to_vec()));
        }
        return Ok(());
    }
    match list::elements(&[original, modified])? {
        Elements::None => Ok(()),
        Elements::Maps => lists_of_maps(field, original, modified, meta, scope, patch),
        Elements::Scalars => {
            lists_of_scalars(field, original, modified, scope, patch);
            Ok(())
        }
    }
}

fn lists_of_scalars(field: &str, original: &[Value], modified: &[Value], scope: Scope, patch: &mut Object) {
    let missing = |from: &[Value], list: &[Value]| -> Vec<Value> {
        list::distinct(list.iter().filter(|value| !from.contains(value)).cloned().collect())
    };
    let added = if scope.additions() { missing(original, modified) } else { Vec::new() };
    let mut gone = if scope.deletions() { missing(modified, original) } else { Vec::new() };
    gone.sort_by_key(super::error::go_format);
    let reordered = scope.additions() && original != modified;
    if (reordered || !gone.is_empty()) && !modified.is_empty() {
        patch.insert(format!("{SET_ORDER}/{field}"), Value::Array(modified.to_vec()));
    }
    if !added.is_empty() {
        patch.insert(field.to_owned(), Value::Array(added));
    }
    if !gone.is_empty() {
        patch.insert(format!("{DELETE_FROM_LIST}/{field}"), Value::Array(gone));
    }
}

fn lists_of_maps(
    field: &str,
    original: &[Value],
    modified: &[Value],
    meta: Meta,
    scope: Scope,
    patch: &mut Object,
) -> Result<(), PatchError> {
    let key = meta.merge_key;
    let mut changes = Vec::new();
    for new in modified {
        let identity = list::identity(new, key)?;
        let old = list::find(original, key, identity).map(|position| &original[position]);
        match (old, new) {
            (None, _) if scope.additions() => changes.push(new.clone()),
            (Some(Value::Object(old)), Value::Object(new)) => {
                let mut inner = map(old, new, meta.node.element(), meta.retain_keys, scope)?;
                if !inner.is_empty() {
                    inner.insert(key.to_owned(), identity.clone());
                    changes.push(Value::Object(inner));
                }
            }
            _ => {}
        }
    }
    let mut same_order = original.len() == modified.len();
    let mut gone = Vec::new();
    for (position, old) in original.iter().enumerate() {
        let identity = list::identity(old, key)?;
        same_order &= modified.get(position).and_then(|new| new.get(key)) == Some(identity);
        if scope.deletions() && list::find(modified, key, identity).is_none() {
            gone.push(json!({ key: identity, DIRECTIVE: "delete" }));
        }
    }
    gone.sort_by_key(|element| super::error::go_format(&element[key]));
    changes.extend(gone);
    let has_order = !changes.is_empty() || (scope.additions() && !same_order);
    if has_order && !modified.is_empty() {
        let order = modified.iter().map(|new| json!({ key: new[key] })).collect();
        patch.insert(format!("{SET_ORDER}/{field}"), Value::Array(order));
    }
    if !changes.is_empty() {
        patch.insert(field.to_owned(), Value::Array(changes));
    }
    Ok(())
}
