//! What `kubectl apply` sends: the change from the live object to the wanted one, and the deletions since last time.

use super::diff::{self, Scope};
use super::meta::Node;
use super::{Object, PatchError, known, merge, object};
use serde_json::Value;

/// The strategic merge patch that turns `original` into `modified`.
pub fn two_way(message: &str, original: Value, modified: Value) -> Result<Value, PatchError> {
    let node = Node::root(known(message)?);
    diff::map(&object(original)?, &object(modified)?, node, false, Scope::All).map(Value::Object)
}

/// The strategic merge patch for `current` that sets what `modified` has, and removes what `original` had and
/// `modified` has no more. `original` is what was applied last, null when nothing was.
pub fn three_way(message: &str, original: Value, modified: Value, current: Value) -> Result<Value, PatchError> {
    let node = Node::root(known(message)?);
    let (original, modified, current) = (object(original)?, object(modified)?, object(current)?);
    let additions = diff::map(&current, &modified, node, false, Scope::Additions)?;
    let deletions = diff::map(&original, &modified, node, false, Scope::Deletions)?;
    merge::map(deletions, additions, node, merge::Options::JOIN).map(Value::Object)
}

/// The same as a JSON merge patch, for kinds without a schema: lists are replaced whole.
pub fn json_three_way(original: Value, modified: Value, current: Value) -> Result<Value, PatchError> {
    let (original, modified, current) = (object(original)?, object(modified)?, object(current)?);
    let mut patch = json_diff(&original, &modified, Scope::Deletions);
    overlay(&mut patch, json_diff(&current, &modified, Scope::Additions));
    Ok(Value::Object(patch))
}

fn json_diff(original: &Object, modified: &Object, scope: Scope) -> Object {
    let mut patch = Object::new();
    for (key, new) in modified {
        match (original.get(key), new) {
            // A null in a merge patch deletes; the wanted object cannot ask for one to be stored.
            (_, Value::Null) => {}
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                let inner = json_diff(old, new, scope);
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (_, new) if scope == Scope::Additions => drop(patch.insert(key.clone(), new.clone())),
            _ => {}
        }
    }
    if scope == Scope::Deletions {
        let gone = original.keys().filter(|key| modified.get(*key).is_none_or(Value::is_null));
        patch.extend(gone.map(|key| (key.clone(), Value::Null)));
    }
    patch
}

/// Lays one merge patch over another, nulls included.
fn overlay(patch: &mut Object, over: Object) {
    for (key, new) in over {
        match (patch.get_mut(&key), new) {
            (Some(Value::Object(old)), Value::Object(new)) => overlay(old, new),
            (_, new) => drop(patch.insert(key, new)),
        }
    }
}
