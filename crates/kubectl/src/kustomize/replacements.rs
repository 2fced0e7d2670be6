//! Values copied from one object's field to fields of others.

use super::file::{FieldOptions, Replacement, Selector, Source, Target};
use super::loader::Root;
use super::resource::{Resource, Set};
use super::select::{Chosen, is_exactly};
use crate::failure::{Failure, Result};
use serde_json::{Map, Value};

const DEFAULT: &str = "metadata.name";

pub(super) fn apply(root: &Root, replacements: &[Replacement], set: &mut Set) -> Result<()> {
    for replacement in replacements {
        if replacement.path.is_empty() {
            one(replacement, set)?;
            continue;
        }
        // A file has one, or a list of them.
        for document in crate::manifest::parse(&root.read_text(&replacement.path)?, &replacement.path)? {
            let all = if document.is_array() { document } else { Value::Array(vec![document]) };
            let all: Vec<Replacement> = serde_json::from_value(all)
                .map_err(|error| Failure::message(format!("replacements in {}: {error}", replacement.path)))?;
            all.iter().try_for_each(|replacement| one(replacement, set))?;
        }
    }
    Ok(())
}

fn one(replacement: &Replacement, set: &mut Set) -> Result<()> {
    let value = match (&replacement.source, &replacement.source_value) {
        (Some(_), Some(_)) => {
            return Err(Failure::message("value and resource selectors are mutually exclusive"));
        }
        (None, Some(text)) => Value::from(text.as_str()),
        (Some(source), None) if !replacement.targets.is_empty() => source_value(source, set)?,
        _ => return Err(Failure::message("replacements must specify a source and at least one target")),
    };
    replacement.targets.iter().try_for_each(|target| write(target, &value, set))
}

fn source_value(source: &Source, set: &Set) -> Result<Value> {
    let selector = Selector {
        group: source.group.clone(),
        version: source.version.clone(),
        kind: source.kind.clone(),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        ..Selector::default()
    };
    let found: Vec<&Resource> =
        set.iter().filter(|resource| resource.ids().any(|id| is_exactly(&selector, &id))).collect();
    let named = described(source);
    let [resource] = found.as_slice() else {
        let what = if found.is_empty() { "nothing selected by" } else { "multiple matches for selector" };
        return Err(Failure::message(format!("{what} {named}")));
    };
    let path = if source.field_path.is_empty() { DEFAULT } else { &source.field_path };
    let mut object = resource.object.clone();
    let mut value = None;
    each(&mut object, &parts(path), None, &mut |found| {
        value = Some(found.clone());
        Ok(())
    })?;
    let value = value
        .ok_or_else(|| Failure::message(format!("fieldPath `{path}` is missing for replacement source {named}")))?;
    refined(source.options.as_ref(), value)
}

/// `Deployment.v1.apps/web.ns`, as far as it is said.
fn described(source: &Source) -> String {
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    format!(
        "{}.{}.{}/{}.{}",
        or(&source.kind, "[noKind]"),
        or(&source.version, "[noVer]"),
        or(&source.group, "[noGrp]"),
        or(&source.name, "[noName]"),
        or(&source.namespace, "[noNs]")
    )
}

/// One of the value's parts where a delimiter is given.
fn refined(options: Option<&FieldOptions>, value: Value) -> Result<Value> {
    let Some(options) = options.filter(|options| !options.delimiter.is_empty()) else { return Ok(value) };
    let text = scalar(&value)?;
    let parts: Vec<&str> = text.split(options.delimiter.as_str()).collect();
    let part = usize::try_from(options.index).ok().and_then(|index| parts.get(index));
    let part = part.ok_or_else(|| {
        Failure::message(format!("options.index {} is out of bounds for value {text}", options.index))
    })?;
    Ok(Value::from(*part))
}

fn scalar(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => {
            Err(Failure::message("delimiter option can only be used with scalar nodes"))
        }
    }
}

fn write(target: &Target, value: &Value, set: &mut Set) -> Result<()> {
    let Some(select) = &target.select else {
        return Err(Failure::message("target must specify resources to select"));
    };
    let chosen = Chosen::of(select)?;
    let rejected = target.reject.iter().map(Chosen::of).collect::<Result<Vec<_>>>()?;
    let default = [DEFAULT.to_owned()];
    let paths = if target.field_paths.is_empty() { &default[..] } else { &target.field_paths };
    let create = target.options.as_ref().is_some_and(|options| options.create);
    let meant = |resource: &Resource| chosen.is(resource) && !rejected.iter().any(|rejected| rejected.is(resource));
    for resource in set.iter_mut().filter(|resource| meant(resource)) {
        // Others may refer to it by the name that it had.
        resource.remember();
        for path in paths {
            let mut count = 0;
            each(&mut resource.object, &parts(path), create.then_some(value), &mut |field| {
                count += 1;
                put(target.options.as_ref(), field, value)
            })?;
            if count == 0 {
                let doing = if create { "find or create" } else { "find" };
                return Err(Failure::message(format!("unable to {doing} field {path:?} in replacement target")));
            }
        }
    }
    Ok(())
}

/// A scalar keeps its type.
fn put(options: Option<&FieldOptions>, field: &mut Value, value: &Value) -> Result<()> {
    let mut value = value.clone();
    if let Some(options) = options.filter(|options| !options.delimiter.is_empty()) {
        let old = scalar(field)?;
        let mut parts: Vec<String> = old.split(options.delimiter.as_str()).map(str::to_owned).collect();
        let own = scalar(&value)?;
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, own),
            Ok(index) if index >= parts.len() => parts.push(own),
            Ok(index) => parts[index] = own,
        }
        value = Value::from(parts.join(&options.delimiter));
    }
    let is_scalar = |value: &Value| !value.is_array() && !value.is_object() && !value.is_null();
    if is_scalar(field) && is_scalar(&value) {
        let text = scalar(&value)?;
        value = match field {
            Value::String(_) => Value::from(text),
            // Where the text is no number, it is a text.
            _ => serde_json::from_str(&text).ok().filter(is_scalar).unwrap_or(Value::from(text)),
        };
    }
    *field = value;
    Ok(())
}

/// Parts between dots; brackets hold one together, and a backslash makes a dot one of a name.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut bracketed, mut escaped) = (false, false);
    for character in path.chars() {
        let last = parts.last_mut().expect("there is always one");
        match character {
            _ if escaped => {
                last.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' if !bracketed => parts.push(String::new()),
            '[' if last.is_empty() => {
                bracketed = true;
                last.push('[');
            }
            ']' if bracketed => {
                bracketed = false;
                last.push(']');
            }
            other => last.push(other),
        }
    }
    // `[a.b/c]` is a name with dots.
    let plain = |part: String| match part.strip_prefix('[').and_then(|part| part.strip_suffix(']')) {
        Some(name) if !name.contains('=') => name.to_owned(),
        _ => part,
    };
    parts.into_iter().map(plain).filter(|part| !part.is_empty()).collect()
}

/// Runs `set` on each value at a path; with `made`, the last field is made where it is missing.
fn each(
    value: &mut Value,
    path: &[String],
    made: Option<&Value>,
    set: &mut impl FnMut(&mut Value) -> Result<()>,
) -> Result<()> {
    let Some((first, rest)) = path.split_first() else { return set(value) };
    if value.is_null() && made.is_some() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Array(elements) => match condition(first) {
            Some((key, wanted)) => {
                let fits = |element: &&mut Value| match key {
                    "" => scalar(element).is_ok_and(|text| text == wanted),
                    key => scalar(&element[key]).is_ok_and(|text| text == wanted),
                };
                elements.iter_mut().filter(fits).try_for_each(|element| each(element, rest, made, set))
            }
            None if first == "*" => elements.iter_mut().try_for_each(|element| each(element, rest, made, set)),
            None => match (first.as_str(), first.parse::<usize>()) {
                ("-", _) if made.is_some() => {
                    elements.push(Value::Null);
                    let last = elements.last_mut().expect("it was pushed");
                    each(last, rest, made, set)
                }
                (_, Ok(index)) => match elements.get_mut(index) {
                    Some(element) => each(element, rest, made, set),
                    None => Ok(()),
                },
                _ => Ok(()),
            },
        },
        Value::Object(members) if first == "*" => {
            members.iter_mut().try_for_each(|(_, member)| each(member, rest, made, set))
        }
        Value::Object(members) => {
            if made.is_some() && !members.contains_key(first) {
                members.insert(first.clone(), Value::Null);
            }
            match members.get_mut(first) {
                Some(member) => each(member, rest, made, set),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// `[name=web]`.
fn condition(part: &str) -> Option<(&str, &str)> {
    part.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_parted_at_their_dots() {
        for (path, expected) in [
            ("a.b.0.c", vec!["a", "b", "0", "c"]),
            ("spec.containers.[name=a.b].image", vec!["spec", "containers", "[name=a.b]", "image"]),
            ("metadata.annotations.[x.io/y]", vec!["metadata", "annotations", "x.io/y"]),
            ("metadata.annotations.x\\.io/y", vec!["metadata", "annotations", "x.io/y"]),
        ] {
            assert_eq!(parts(path), expected);
        }
    }

    #[test]
    fn a_scalar_keeps_its_type() {
        for (field, value, expected) in [
            (json!(80), json!("8080"), json!(8080)),
            (json!("80"), json!(8080), json!("8080")),
            (json!(80), json!("http"), json!("http")),
            (json!({"a": 1}), json!("x"), json!("x")),
        ] {
            let mut own = field.clone();
            put(None, &mut own, &value).unwrap();
            assert_eq!(own, expected, "{field} {value}");
        }
    }
}
