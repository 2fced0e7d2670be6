//! Applying a patch, and joining two patches into one.

use super::error::go_format;
use super::list::{self, Elements};
use super::meta::Node;
use super::{DELETE_FROM_LIST, DIRECTIVE, Object, PatchError, RETAIN_KEYS, SET_ORDER, directive_field};
use serde_json::Value;

#[derive(Clone, Copy)]
pub(super) struct Options {
    /// Directives are obeyed. When two patches are joined they are kept for later instead.
    obey: bool,
    /// A null for what is not there leaves no trace. When two patches are joined it must, to delete later.
    forget_nulls: bool,
}

impl Options {
    pub(super) const APPLY: Options = Options { obey: true, forget_nulls: true };
    pub(super) const JOIN: Options = Options { obey: false, forget_nulls: false };
}

pub(super) fn map(mut original: Object, mut patch: Object, node: Node, options: Options) -> Result<Object, PatchError> {
    if let Some(directive) = patch.shift_remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => {
                let shown = go_format(&directive);
                patch.insert(DIRECTIVE.to_owned(), directive);
                Err(PatchError::BadDirective { directive: shown, map: go_format(&Value::Object(patch)) })
            }
        };
    }
    retain_keys(&mut original, &mut patch, options)?;
    ordered_lists(&mut original, &mut patch, node, options)?;
    // What a patch both adds to and deletes from a list is deleted.
    let (deletions, members): (Vec<_>, Vec<_>) =
        patch.into_iter().partition(|(key, _)| key.starts_with(DELETE_FROM_LIST));
    for (key, value) in members {
        member(&mut original, key, value, node, options)?;
    }
    for (key, value) in deletions {
        deletion(&mut original, key, value, options)?;
    }
    Ok(original)
}

fn member(original: &mut Object, key: String, patch: Value, node: Node, options: Options) -> Result<(), PatchError> {
    if patch.is_null() {
        original.shift_remove(&key);
        if !options.forget_nulls {
            original.insert(key, patch);
        }
        return Ok(());
    }
    let Some(slot) = original.get_mut(&key) else {
        if let Some(added) = added(patch, options) {
            original.insert(key, added);
        }
        return Ok(());
    };
    let merged = match (std::mem::take(slot), patch) {
        (Value::Object(old), Value::Object(new)) => {
            let meta = node.field(&key)?;
            let merged = if meta.replace { new } else { map(old, new, meta.node, options)? };
            Some(Value::Object(merged))
        }
        (Value::Array(old), Value::Array(new)) => {
            let meta = node.field(&key)?;
            let merged = if meta.merge { merge_list(old, new, meta.node, meta.merge_key, options)? } else { new };
            Some(Value::Array(merged))
        }
        (old, new) if std::mem::discriminant(&old) == std::mem::discriminant(&new) => Some(new),
        (_, new) => added(new, options),
    };
    match merged {
        Some(merged) => *slot = merged,
        None => drop(original.shift_remove(&key)),
    }
    Ok(())
}

/// What becomes of a patch's value where there was none: directives and nulls mean nothing there.
fn added(patch: Value, options: Options) -> Option<Value> {
    if !options.obey {
        return Some(patch);
    }
    match patch {
        Value::Null => None,
        Value::Object(members) => {
            if members.get(DIRECTIVE).is_some_and(|directive| directive == "delete") {
                return None;
            }
            let plain = members.into_iter().filter(|(key, _)| {
                !matches!(key.as_str(), DIRECTIVE | RETAIN_KEYS)
                    && directive_field(key, SET_ORDER).is_none()
                    && directive_field(key, DELETE_FROM_LIST).is_none()
            });
            Some(Value::Object(plain.filter_map(|(key, value)| Some((key, added(value, options)?))).collect()))
        }
        Value::Array(elements) => {
            let is_directive = |element: &Value| element.get(DIRECTIVE).is_some();
            let kept = elements.into_iter().filter(|element| !is_directive(element));
            // A null in a list is an element, not a deletion.
            Some(Value::Array(kept.map(|element| added(element, options).unwrap_or(Value::Null)).collect()))
        }
        scalar => Some(scalar),
    }
}

/// `$deleteFromPrimitiveList/finalizers: [a]`.
fn deletion(original: &mut Object, key: String, patch: Value, options: Options) -> Result<(), PatchError> {
    if !options.obey {
        original.insert(key, patch);
        return Ok(());
    }
    let field = directive_field(&key, DELETE_FROM_LIST).ok_or(PatchError::BadPrimitiveList)?;
    let Some(slot) = original.get_mut(field) else { return Ok(()) };
    let Value::Array(gone) = patch else { return Err(PatchError::BadPrimitiveList) };
    let elements = slot.as_array_mut().ok_or(PatchError::BadPrimitiveList)?;
    elements.retain(|element| !gone.contains(element));
    Ok(())
}

/// `$retainKeys`: of the original, only these stay.
fn retain_keys(original: &mut Object, patch: &mut Object, options: Options) -> Result<(), PatchError> {
    let Some(retained) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    if !options.obey {
        return match original.get(RETAIN_KEYS) {
            Some(other) if *other != retained => {
                Err(PatchError::RetainKeysDiffer(go_format(other), go_format(&retained)))
            }
            _ => {
                original.insert(RETAIN_KEYS.to_owned(), retained);
                Ok(())
            }
        };
    }
    let Value::Array(retained) = retained else { return Err(PatchError::BadRetainKeys) };
    let is_retained = |key: &str| retained.iter().any(|name| name == key);
    for (key, value) in patch.iter() {
        let is_list_directive = key.starts_with(DELETE_FROM_LIST) || key.starts_with(SET_ORDER);
        if !value.is_null() && !is_list_directive && !is_retained(key) {
            return Err(PatchError::BadRetainKeys);
        }
    }
    original.retain(|key, _| is_retained(key));
    Ok(())
}

/// Merges every list that a `$setElementOrder/…` names, and orders it.
fn ordered_lists(original: &mut Object, patch: &mut Object, node: Node, options: Options) -> Result<(), PatchError> {
    let keys: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for key in keys {
        let Some(order) = patch.shift_remove(&key) else { continue };
        if !options.obey {
            match original.get(&key) {
                Some(other) if *other != order => return Err(PatchError::BadSetElementOrder),
                _ => drop(original.insert(key.clone(), order.clone())),
            }
        }
        let Value::Array(order) = order else { return Err(PatchError::not_a_list(&order)) };
        let field = directive_field(&key, SET_ORDER).ok_or(PatchError::BadSetElementOrder)?;
        ordered_list(original, patch, field, &order, node, options)?;
    }
    Ok(())
}

fn ordered_list(
    original: &mut Object,
    patch: &mut Object,
    field: &str,
    order: &[Value],
    node: Node,
    options: Options,
) -> Result<(), PatchError> {
    let list = |value: Option<&Value>| match value {
        None => Ok(None),
        Some(Value::Array(elements)) => Ok(Some(elements.clone())),
        Some(other) => Err(PatchError::not_a_list(other)),
    };
    let (live, patched) = (list(original.get(field))?, list(patch.get(field))?);
    let meta = node.field(field)?;
    if let Some(patched) = &patched {
        check_order(patched, order, meta.merge_key)?;
    }
    let server_order = live.clone().unwrap_or_default();
    let merged = match (live, patched) {
        (None, None) => return Ok(()),
        (Some(live), None) => live,
        (None, Some(patched)) => added(Value::Array(patched), options).and_then(into_list).unwrap_or_default(),
        (Some(live), Some(patched)) if meta.merge => merge_list(live, patched, meta.node, meta.merge_key, options)?,
        (Some(_), Some(patched)) => patched,
    };
    let (named, server_only) = list::partition(merged, order, meta.merge_key)?;
    let ordered = list::interleave(named, server_only, order, &server_order, meta.merge_key)?;
    original.insert(field.to_owned(), Value::Array(ordered));
    patch.shift_remove(field);
    Ok(())
}

fn into_list(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(elements) = value { Some(elements) } else { None }
}

/// The patch's elements must stand in the order list, in its order; deletions need not.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for element in patch.iter().filter(|element| element.get(DIRECTIVE).is_none()) {
        let identity = list::identity(element, key)?;
        let mut found = false;
        for ordered in rest.by_ref() {
            if list::identity(ordered, key)? == identity {
                found = true;
                break;
            }
        }
        if !found {
            return Err(PatchError::OrderMismatch {
                patch: go_format(&Value::Array(patch.to_vec())),
                order: go_format(&Value::Array(order.to_vec())),
            });
        }
    }
    Ok(())
}

fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    node: Node,
    key: &'static str,
    options: Options,
) -> Result<Vec<Value>, PatchError> {
    match list::elements(&[&original, &patch])? {
        Elements::None => Ok(original),
        Elements::Scalars => {
            let merged = list::distinct(original.iter().chain(&patch).cloned().collect());
            let (named, server_only) = list::partition(merged, &patch, "")?;
            list::interleave(named, server_only, &patch, &original, "")
        }
        Elements::Maps if key.is_empty() => Err(PatchError::ListWithoutKey(node.element().kind())),
        Elements::Maps => {
            let (original, patch) = special_elements(original, patch, key, options)?;
            let merged = merge_maps(original.clone(), &patch, node, key, options)?;
            let (named, server_only) = list::partition(merged, &patch, key)?;
            list::interleave(named, server_only, &patch, &original, key)
        }
    }
}

/// Obeys the elements with a `$patch`, and takes them out of the patch.
fn special_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    options: Options,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for element in patch {
        match element.get(DIRECTIVE).map(|directive| (directive.as_str(), directive)) {
            None => plain.push(element),
            Some((Some("delete"), _)) => {
                let gone = list::identity(&element, key)?;
                original.retain(|own| own.get(key) != Some(gone));
                if !options.obey {
                    // A deletion in the later of two patches must outlive the joining.
                    original.push(element);
                }
            }
            Some((Some("replace"), _)) => replace = true,
            Some((Some("merge"), _)) => return Err(PatchError::MergeDirectiveInList),
            Some((_, directive)) => {
                return Err(PatchError::BadDirective { directive: go_format(directive), map: go_format(&element) });
            }
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (original, plain) })
}

fn merge_maps(
    mut original: Vec<Value>,
    patch: &[Value],
    node: Node,
    key: &str,
    options: Options,
) -> Result<Vec<Value>, PatchError> {
    for element in patch {
        let identity = list::identity(element, key)?;
        match list::find(&original, key, identity) {
            Some(position) => {
                let old = super::object(std::mem::take(&mut original[position]))?;
                let merged = map(old, super::object(element.clone())?, node.element(), options)?;
                original[position] = Value::Object(merged);
            }
            None => original.extend(added(element.clone(), options)),
        }
    }
    if let Some(bare) = original.iter().find(|element| !element.is_object()) {
        return Err(PatchError::not_a_map(bare));
    }
    Ok(original)
}
