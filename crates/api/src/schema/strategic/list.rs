//! Order and identity in merged lists.
//!
//! Invariants: elements keep the relative order of the list that named them; those that only the server has are
//! interleaved by the server's order, as far as it is known.

use super::error::go_format;
use super::{DIRECTIVE, PatchError};
use serde_json::Value;

/// What the elements of one or several lists are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Elements {
    Maps,
    Scalars,
    /// No element in any list.
    None,
}

/// The kind of all elements, which must be one.
pub(super) fn elements(lists: &[&[Value]]) -> Result<Elements, PatchError> {
    let mut first: Option<&'static str> = None;
    for value in lists.iter().copied().flatten() {
        let kind = super::error::go_type(value);
        if value.is_array() {
            return Err(PatchError::ListOfLists);
        }
        if *first.get_or_insert(kind) != kind {
            let lists = lists.iter().map(|list| go_format(&Value::Array(list.to_vec()))).collect::<Vec<_>>();
            return Err(PatchError::MixedList(format!("[{}]", lists.join(" "))));
        }
    }
    Ok(match first {
        None => Elements::None,
        Some("map[string]interface {}") => Elements::Maps,
        Some(_) => Elements::Scalars,
    })
}

/// What identifies an element: its merge key's value, or itself when there is no key.
pub(super) fn identity<'a>(element: &'a Value, key: &str) -> Result<&'a Value, PatchError> {
    if key.is_empty() {
        return Ok(element);
    }
    let members = element.as_object().ok_or_else(|| PatchError::not_a_map(element))?;
    members.get(key).ok_or_else(|| PatchError::no_merge_key(element, key))
}

/// Where an element with this merge key value stands; elements without the key match nothing.
pub(super) fn find(list: &[Value], key: &str, value: &Value) -> Option<usize> {
    list.iter().position(|element| if key.is_empty() { element == value } else { element.get(key) == Some(value) })
}

pub(super) fn is_delete(element: &Value) -> bool {
    element.get(DIRECTIVE).is_some_and(|directive| directive == "delete")
}

/// Without repetitions, first occurrences in place.
pub(super) fn distinct(list: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::with_capacity(list.len());
    for value in list {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

/// Those that `by` names, and the others.
pub(super) fn partition(list: Vec<Value>, by: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for element in list {
        let found = find(by, key, identity(&element, key)?);
        if found.is_some() { named.push(element) } else { others.push(element) }
    }
    Ok((named, others))
}

/// Elements in the order of `order`; `$patch: delete` elements go last.
pub(super) fn sort_by(list: Vec<Value>, order: &[Value], key: &str) -> Result<Vec<Value>, PatchError> {
    let (mut kept, mut deletes) = (Vec::with_capacity(list.len()), Vec::new());
    for element in list {
        let position = find(order, key, identity(&element, key)?).unwrap_or(usize::MAX);
        if is_delete(&element) { deletes.push(element) } else { kept.push((position, element)) }
    }
    kept.sort_by_key(|(position, _)| *position);
    Ok(kept.into_iter().map(|(_, element)| element).chain(deletes).collect())
}

/// The patch's elements in the patch's order, the server's own interleaved by the server's.
pub(super) fn interleave(
    patch: Vec<Value>,
    server_only: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: &str,
) -> Result<Vec<Value>, PatchError> {
    let patch = sort_by(patch, patch_order, key)?;
    let server_only = sort_by(server_only, server_order, key)?;
    let rank = |element: &Value| identity(element, key).ok().and_then(|value| find(server_order, key, value));
    let mut merged = Vec::with_capacity(patch.len() + server_only.len());
    let mut left = server_only.into_iter().peekable();
    for element in patch {
        let element_rank = rank(&element);
        while let Some(own) = left.next_if(|own| matches!((rank(own), element_rank), (Some(l), Some(r)) if l < r)) {
            merged.push(own);
        }
        merged.push(element);
    }
    merged.extend(left);
    Ok(merged)
}
