//! What a mutation makes of an object: an apply configuration laid over it, or a JSON patch.
//!
//! Invariant: an apply configuration replaces no list, map or struct as a whole that the schema calls atomic: who means
//! to add to one would remove what they did not name.

use api::Registered;
use api::schema::structured::{Schema, atomics, merge, validate};
use cel::{List, Value};
use json_patch::{Patch, PatchErrorKind};
use serde_json::{Map, Value as Json};

/// The object with what the configuration says.
pub(super) fn configured(kind: &dyn Registered, live: Json, made: &Value<'_>) -> Result<Json, String> {
    if !matches!(made, Value::Struct(_)) {
        return Err("unsupported return type from ApplyConfiguration expression".to_owned());
    }
    check_names(made)?;
    let mut intent = made.to_json().map_err(|error| error.to_string())?;
    for field in ["apiVersion", "kind"] {
        intent[field] = live[field].clone();
    }
    let open = kind.open_schema();
    let schema = match &open {
        Some(open) => Schema::of_custom(open),
        None => Schema::of_message(kind.def().message),
    };
    if let Some(why) = validate(schema, &intent) {
        return Err(format!("error applying patch: failed to convert patch object to typed object: {why}"));
    }
    let whole = atomics(schema, &intent);
    if !whole.is_empty() {
        let paths = whole.join(", ");
        return Err(format!(
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}"
        ));
    }
    Ok(merge(schema, live, &intent))
}

/// Objects in it are named after the paths to them.
fn check_names(made: &Value<'_>) -> Result<(), String> {
    let Value::Struct(object) = made else { return Ok(()) };
    match object.misnamed().as_slice() {
        [] => Ok(()),
        complaints => Err(format!("type mismatch: {}", complaints.join("\n"))),
    }
}

/// The object as the patch leaves it: unchanged where a `test` of it fails.
pub(super) fn patched(live: Json, made: &Value<'_>) -> Result<Json, String> {
    let Value::List(operations) = made else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    };
    let patch = parsed(operations)?;
    let mut patched = live.clone();
    match registry::apply_operations(&mut patched, &patch) {
        Ok(()) => Ok(patched),
        Err(error) if matches!(error.kind, PatchErrorKind::TestFailed) => Ok(live),
        Err(error) => Err(format!("JSONPath: {error}")),
    }
}

fn parsed(operations: &List<'_>) -> Result<Patch, String> {
    let operations: Result<Vec<Json>, String> = operations.iter().map(|made| operation(&made)).collect();
    serde_json::from_value(Json::Array(operations?)).map_err(|error| format!("JSONPath: {error}"))
}

fn operation(made: &Value<'_>) -> Result<Json, String> {
    let Value::Struct(made) = made else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch".to_owned());
    };
    let mut operation = Map::new();
    for (name, value) in &made.fields {
        if &**name == "value" {
            check_names(value)?;
        }
        let json = value.to_json().map_err(|error| {
            format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {error}")
        })?;
        operation.insert(name.to_string(), json);
    }
    Ok(Json::Object(operation))
}
