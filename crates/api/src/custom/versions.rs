//! One object in several versions: the bytes that change where only the version's name does, and what is accepted of
//! whoever converts the rest.
//!
//! Invariants: pure; conversion leaves an object its identity: of its metadata a converter may change labels and
//! annotations; what a version's schema does not name is not shown in that version.

use super::schema::Schema;
use super::{defaults, prune};
use crate::check::{self, Errors};
use crate::field::FieldPath;
use crate::object;
use serde_json::{Error, Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How stored objects of custom kinds begin.
const FIELD: &[u8] = br#"{"apiVersion":""#;
const METADATA: &str = "metadata";

/// The schemas of a definition's versions by their names; versions whose schemas are equal share one.
pub(super) type ByVersion = BTreeMap<String, Arc<Schema>>;

/// `group/version` of a stored object, read off its first bytes.
pub(super) fn api_version_of(stored: &[u8]) -> Option<&str> {
    let rest = stored.strip_prefix(FIELD)?;
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The object with another `apiVersion`; `schema` is the wanted version's where it differs from the object's own.
pub(super) fn renamed(json: &[u8], wanted: &str, schema: Option<&Schema>) -> Result<Vec<u8>, Error> {
    if schema.is_none()
        && let Some(own) = api_version_of(json)
    {
        return Ok([FIELD, wanted.as_bytes(), &json[FIELD.len() + own.len()..]].concat());
    }
    let mut object: Map<String, Value> = serde_json::from_slice(json)?;
    object.insert("apiVersion".to_owned(), wanted.into());
    if let Some(schema) = schema {
        prune::prune(schema, &mut object);
    }
    object::json(&object)
}

/// The object as its version's schema has it today; `None` where it is so already.
pub(super) fn normalized(stored: &[u8], schemas: &ByVersion) -> Option<Vec<u8>> {
    let (_, version) = api_version_of(stored)?.rsplit_once('/')?;
    let schema = schemas.get(version)?;
    // What does not decode is refused where it is read.
    let mut object: Map<String, Value> = serde_json::from_slice(stored).ok()?;
    let pruned = !prune::prune(schema, &mut object).is_empty();
    let filled = defaults::fill(schema, &mut object);
    if pruned || filled { object::json(&object).ok() } else { None }
}

/// What is wrong with a converted object, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is another object, or of another version or kind.
    Object(String),
    Metadata(String),
}

/// What a conversion made of `original`, as it is stored or shown: `wanted` is the `group/version` asked for.
///
/// # Errors
/// When it is no conversion of this object.
pub(super) fn accepted(original: &[u8], converted: Value, wanted: &str, schema: &Schema) -> Result<Vec<u8>, Unfit> {
    let original: Map<String, Value> =
        serde_json::from_slice(original).map_err(|error| Unfit::Object(error.to_string()))?;
    let Value::Object(mut converted) = converted else {
        return Err(Unfit::Object("the converted object is no object".to_owned()));
    };
    same_object(&original, &converted, wanted)?;
    let metadata = restored(&original, converted.shift_remove(METADATA))?;
    converted.shift_remove("apiVersion");
    converted.shift_remove("kind");
    let mut object = Map::with_capacity(converted.len() + 3);
    object.insert("apiVersion".to_owned(), wanted.into());
    object.insert("kind".to_owned(), original.get("kind").cloned().unwrap_or_default());
    object.insert(METADATA.to_owned(), metadata);
    object.append(&mut converted);
    prune::prune(schema, &mut object);
    object::json(&object).map_err(|error| Unfit::Object(error.to_string()))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn same_object(original: &Map<String, Value>, converted: &Map<String, Value>, wanted: &str) -> Result<(), Unfit> {
    let found = text(converted, "apiVersion");
    if found != wanted {
        return Err(Unfit::Object(format!("invalid groupVersion (expected {wanted}, received {found})")));
    }
    let (kind, found) = (text(original, "kind"), text(converted, "kind"));
    if kind != found {
        return Err(Unfit::Object(format!("invalid kind (expected {kind}, received {found})")));
    }
    let of = |object: &Map<String, Value>, name: &str| -> String {
        object.get(METADATA).and_then(|meta| meta.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    for (name, words) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (own, found) = (of(original, name), of(converted, name));
        if own != found {
            return Err(Unfit::Object(format!("must have the same {words}: {own} != {found}")));
        }
    }
    Ok(())
}

/// The original's metadata with the labels and annotations of the converted object.
fn restored(original: &Map<String, Value>, converted: Option<Value>) -> Result<Value, Unfit> {
    let bad = |why: &str| Err(Unfit::Metadata(why.to_owned()));
    let converted = match converted {
        Some(Value::Object(converted)) => converted,
        Some(_) => return bad("invalid metadata in converted object: it is no object"),
        None => return bad("missing metadata in converted object"),
    };
    let mut metadata = match original.get(METADATA) {
        Some(Value::Object(metadata)) => metadata.clone(),
        _ => Map::new(),
    };
    for field in ["labels", "annotations"] {
        match converted.get(field) {
            None | Some(Value::Null) => drop(metadata.shift_remove(field)),
            Some(Value::Object(texts)) => {
                if metadata.get(field).and_then(Value::as_object) != Some(texts) {
                    judge(field, texts)?;
                    metadata.insert(field.to_owned(), Value::Object(texts.clone()));
                }
            }
            Some(_) => return bad(&format!("invalid metadata.{field} in converted object: it is no map")),
        }
    }
    Ok(Value::Object(metadata))
}

fn judge(field: &str, texts: &Map<String, Value>) -> Result<(), Unfit> {
    let mut map = BTreeMap::new();
    for (name, value) in texts {
        let Value::String(value) = value else {
            return Err(Unfit::Metadata(format!("metadata.{field}[{name}] must be a string in converted object")));
        };
        map.insert(name.clone(), value.clone());
    }
    let mut errors = Errors::new();
    let path = FieldPath::new("metadata");
    match field {
        "labels" => check::label_map(&mut errors, &path.child("labels"), Some(&map)),
        // Upstream's own spelling.
        _ => check::annotations(&mut errors, &path.child("annotation"), Some(&map)),
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(Unfit::Metadata(one.to_string())),
        many => {
            let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
            Err(Unfit::Metadata(format!("[{}]", texts.join(", "))))
        }
    }
}
