//! Validation of objects by their schema, in upstream's words.
//!
//! What an update leaves as it was is not judged again (ratcheting): a stored object stays writable when its schema
//! becomes stricter.

use super::formats;
use super::schema::{Bounds, Identity, Schema, Type};
use crate::field::{FieldError, FieldErrorKind, FieldPath};
use serde_json::{Map, Value};

/// All that is wrong with an object; `old` is what an update replaces.
pub(super) fn validate(schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    value(&mut errors, schema, "", object, old);
    errors
}

/// Whether rules cannot be asked because the object is not even of its types.
pub(super) fn blocks_rules(errors: &[FieldError]) -> bool {
    use FieldErrorKind::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
    errors.iter().any(|error| matches!(error.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid))
}

/// The path of an error without one, as upstream prints it.
pub(super) const NO_PATH: &str = "<nil>";

fn at(path: &str) -> FieldPath {
    FieldPath::new(if path.is_empty() { NO_PATH } else { path })
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn value(errors: &mut Vec<FieldError>, schema: &Schema, path: &str, own: &Value, old: Option<&Value>) {
    if old == Some(own) {
        return;
    }
    if own.is_null() && schema.nullable {
        return;
    }
    let before = errors.len();
    if !is_of_type(errors, schema, path, own) {
        return;
    }
    match own {
        Value::String(text) => string(errors, schema, path, text),
        Value::Number(number) => self::number(errors, &schema.bounds, path, number),
        Value::Array(list) => self::list(errors, schema, path, list, old),
        Value::Object(map) => object(errors, schema, path, map, old),
        Value::Bool(_) | Value::Null => {}
    }
    allowed(errors, &schema.bounds, path, own);
    if errors.len() == before || !schema.bounds.all_of.is_empty() {
        junctors(errors, &schema.bounds, path, own);
    }
}

/// The name of a value's type, as complaints have it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_whole(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn wrong_type(errors: &mut Vec<FieldError>, path: &str, wanted: &str, found: &str) {
    errors.push(FieldError {
        kind: FieldErrorKind::TypeInvalid,
        ..FieldError::invalid(at(path), found, format!("{path} in body must be of type {wanted}: {found:?}"))
    });
}

fn is_of_type(errors: &mut Vec<FieldError>, schema: &Schema, path: &str, value: &Value) -> bool {
    if schema.int_or_string {
        let suits = value.is_string() || value.as_number().is_some_and(is_whole);
        if !suits {
            wrong_type(errors, path, "integer,string", type_name(value));
        }
        return suits;
    }
    let Some(kind) = schema.kind else { return true };
    let suits = match kind {
        Type::Array => value.is_array(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.as_number().is_some_and(is_whole),
        Type::Number => value.is_number(),
        Type::Object => value.is_object(),
        Type::String => value.is_string(),
    };
    if !suits {
        wrong_type(errors, path, kind.name(), type_name(value));
    }
    suits
}

fn string(errors: &mut Vec<FieldError>, schema: &Schema, path: &str, text: &str) {
    let bounds = &schema.bounds;
    let length = text.chars().count();
    if let Some(most) = bounds.length.most.filter(|most| length > *most) {
        errors.push(FieldError::too_long(at(path), most));
    }
    if let Some(least) = bounds.length.least.filter(|least| length < *least) {
        let detail = format!("{path} in body should be at least {least} chars long");
        errors.push(FieldError::invalid(at(path), text, detail));
    }
    if let Some(pattern) = bounds.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        let detail = format!("{path} in body should match '{}'", pattern.as_str());
        errors.push(FieldError::invalid(at(path), text, detail));
    }
    if let Some(format) = bounds.format.as_deref().filter(|format| !formats::is_of(format, text)) {
        wrong_type(errors, path, format, text);
    }
}

fn number(errors: &mut Vec<FieldError>, bounds: &Bounds, path: &str, number: &serde_json::Number) {
    let Some(value) = number.as_f64() else { return };
    let mut refuse = |words: &str, bound: f64| {
        let detail = format!("{path} in body should be {words} {bound}");
        errors.push(FieldError::invalid(at(path), number, detail));
    };
    if let Some(most) = bounds.maximum {
        match bounds.below_maximum {
            true if value >= most => refuse("less than", most),
            false if value > most => refuse("less than or equal to", most),
            _ => {}
        }
    }
    if let Some(least) = bounds.minimum {
        match bounds.above_minimum {
            true if value <= least => refuse("greater than", least),
            false if value < least => refuse("greater than or equal to", least),
            _ => {}
        }
    }
    if let Some(factor) = bounds.multiple_of.filter(|factor| *factor > 0.0) {
        let times = value / factor;
        if (times - times.round()).abs() > f64::EPSILON * times.abs().max(1.0) {
            refuse("a multiple of", factor);
        }
    }
}

fn allowed(errors: &mut Vec<FieldError>, bounds: &Bounds, path: &str, value: &Value) {
    if bounds.allowed.is_empty() || bounds.allowed.contains(value) {
        return;
    }
    let shown = |value: &Value| match value {
        Value::String(text) => format!("{text:?}"),
        other => format!("\"{other}\""),
    };
    let supported: Vec<String> = bounds.allowed.iter().map(shown).collect();
    errors.push(FieldError {
        path: at(path),
        kind: FieldErrorKind::NotSupported,
        value: Some(value.to_string()),
        detail: format!("supported values: {}", supported.join(", ")),
    });
}

fn list(errors: &mut Vec<FieldError>, schema: &Schema, path: &str, list: &[Value], old: Option<&Value>) {
    let range = schema.bounds.items;
    if let Some(most) = range.most.filter(|most| list.len() > *most) {
        errors.push(FieldError::too_many(at(path), list.len(), most));
    }
    if let Some(least) = range.least.filter(|least| list.len() < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        errors.push(FieldError::invalid(at(path), &list.len(), detail));
    }
    if let Some(items) = &schema.items {
        for (index, item) in list.iter().enumerate() {
            value(errors, items, &format!("{path}[{index}]"), item, schema.twin(item, old));
        }
    }
    duplicates(errors, schema, path, list);
}

impl Schema {
    /// The old item that has the same keys: items of other lists have no names to be found by.
    pub(super) fn twin<'v>(&self, item: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
        let (Identity::Keys(keys), Some(Value::Array(list))) = (&self.identity, old) else { return None };
        list.iter().find(|other| keys.iter().all(|key| self.key(item, key) == self.key(other, key)))
    }

    /// An item's key, or what it is by default.
    fn key<'v>(&'v self, item: &'v Value, key: &str) -> Option<&'v Value> {
        let default = || self.items.as_deref()?.properties.get(key)?.default.as_ref();
        item.get(key).or_else(default)
    }
}

fn duplicates(errors: &mut Vec<FieldError>, schema: &Schema, path: &str, list: &[Value]) {
    let mut seen: Vec<String> = Vec::with_capacity(list.len());
    let mut known = std::collections::HashSet::new();
    match &schema.identity {
        Identity::Places => return,
        Identity::Values => seen.extend(list.iter().map(canonical)),
        Identity::Keys(keys) => seen.extend(list.iter().map(|item| {
            let named = keys.iter().filter_map(|key| Some((key.clone(), schema.key(item, key)?.clone())));
            canonical(&Value::Object(named.collect()))
        })),
    }
    for (index, item) in seen.into_iter().enumerate() {
        if known.contains(&item) {
            errors.push(FieldError {
                path: at(path).index(index),
                kind: FieldErrorKind::Duplicate,
                value: Some(item),
                detail: String::new(),
            });
        } else {
            known.insert(item);
        }
    }
}

/// The same text for equal values, however their members are ordered.
fn canonical(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

fn object(errors: &mut Vec<FieldError>, schema: &Schema, path: &str, map: &Map<String, Value>, old: Option<&Value>) {
    let bounds = &schema.bounds;
    if let Some(most) = bounds.properties.most.filter(|most| map.len() > *most) {
        errors.push(FieldError::too_many(at(path), map.len(), most));
    }
    if let Some(least) = bounds.properties.least.filter(|least| map.len() < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        errors.push(FieldError::invalid(at(path), &map.len(), detail));
    }
    for name in bounds.required.iter().filter(|name| !map.contains_key(*name)) {
        errors.push(FieldError::required(FieldPath::new(&below(path, name)), ""));
    }
    if schema.embedded {
        for name in ["apiVersion", "kind"] {
            if map.get(name).and_then(Value::as_str).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(FieldPath::new(&below(path, name)), "must not be empty"));
            }
        }
    }
    for (name, member) in map {
        if let Some(known) = schema.member(name) {
            let old = old.and_then(|old| old.get(name));
            value(errors, known, &below(path, name), member, old);
        }
    }
}

/// The errors of an alternative alone.
fn tried(schema: &Schema, path: &str, own: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    value(&mut errors, schema, path, own, None);
    errors
}

fn junctors(errors: &mut Vec<FieldError>, bounds: &Bounds, path: &str, own: &Value) {
    let mut refuse = |words: String| {
        let detail = format!("{path:?} {words}");
        errors.push(FieldError::invalid(FieldPath::new(NO_PATH), "", detail));
    };
    let mut nearest = Vec::new();
    let try_all = |schemas: &[Schema]| -> Vec<Vec<FieldError>> {
        schemas.iter().map(|schema| tried(schema, path, own)).collect()
    };
    let fewest = |mut tries: Vec<Vec<FieldError>>| {
        tries.sort_by_key(Vec::len);
        tries.into_iter().next().unwrap_or_default()
    };
    if !bounds.any_of.is_empty() {
        let tries = try_all(&bounds.any_of);
        if tries.iter().all(|errors| !errors.is_empty()) {
            refuse("must validate at least one schema (anyOf)".to_owned());
            nearest.extend(fewest(tries));
        }
    }
    if !bounds.one_of.is_empty() {
        let tries = try_all(&bounds.one_of);
        match tries.iter().filter(|errors| errors.is_empty()).count() {
            1 => {}
            0 => {
                refuse("must validate one and only one schema (oneOf). Found none valid".to_owned());
                nearest.extend(fewest(tries));
            }
            many => refuse(format!("must validate one and only one schema (oneOf). Found {many} valid alternatives")),
        }
    }
    if !bounds.all_of.is_empty() {
        let tries = try_all(&bounds.all_of);
        let valid = tries.iter().filter(|errors| errors.is_empty()).count();
        if valid < tries.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            refuse(format!("must validate all the schemas (allOf){none}"));
            nearest.extend(tries.into_iter().flatten());
        }
    }
    if bounds.not.as_ref().is_some_and(|not| tried(not, path, own).is_empty()) {
        refuse("must not validate the schema (not)".to_owned());
    }
    errors.extend(nearest);
}
