//! OpenAPI v2 of other servers, made part of this one's document.
//!
//! Of each only its own group version's paths are taken, with the definitions that they lead to. A definition that has
//! another's name and says something else gets a name of its own, as upstream numbers them.

use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DEFINITIONS: &str = "#/definitions/";

/// The part of another server's document that is its group version's, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RemoteDocument {
    /// As the server names its content; empty where it does not.
    pub(super) tag: String,
    pub(super) part: Bytes,
}

impl RemoteDocument {
    /// # Errors
    /// For what is no document.
    pub(super) fn of(tag: String, body: &[u8], root: &str) -> Result<RemoteDocument, serde_json::Error> {
        let mut document: Value = serde_json::from_slice(body)?;
        keep_paths(&mut document, root);
        Ok(RemoteDocument { tag, part: serde_json::to_vec(&document)?.into() })
    }
}

fn members<'v>(document: &'v mut Value, name: &str) -> Option<&'v mut Map<String, Value>> {
    document.get_mut(name).and_then(Value::as_object_mut)
}

/// Keeps what is below the path, and only the definitions that it needs.
fn keep_paths(document: &mut Value, root: &str) {
    let below = |path: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let paths = members(document, "paths").map(std::mem::take).unwrap_or_default();
    let paths: Map<String, Value> = paths.into_iter().filter(|(path, _)| below(path)).collect();
    let mut definitions = members(document, "definitions").map(std::mem::take).unwrap_or_default();
    let mut needed = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    paths.values().for_each(|path| each_reference(path, &mut |name| open.push(name.to_owned())));
    while let Some(name) = open.pop() {
        if needed.contains(&name) {
            continue;
        }
        if let Some(definition) = definitions.get(&name) {
            each_reference(definition, &mut |name| open.push(name.to_owned()));
        }
        needed.insert(name);
    }
    definitions.retain(|name, _| needed.contains(name));
    *document = serde_json::json!({"paths": paths, "definitions": definitions});
}

fn each_reference(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().and_then(|text| text.strip_prefix(DEFINITIONS)) {
                    Some(definition) if name == "$ref" => visit(definition),
                    _ => each_reference(value, visit),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_reference(item, visit)),
        _ => {}
    }
}

fn rename_references(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let renamed = value.as_str().and_then(|text| names.get(text.strip_prefix(DEFINITIONS)?));
                match renamed {
                    Some(renamed) if name == "$ref" => *value = format!("{DEFINITIONS}{renamed}").into(),
                    _ => rename_references(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, names)),
        _ => {}
    }
}

/// This server's document with the others' parts. A path that is there already stays what it is.
pub(crate) fn merged(mut document: Value, others: &[Arc<RemoteDocument>]) -> Value {
    for other in others {
        match serde_json::from_slice(&other.part) {
            Ok(part) => merge(&mut document, part),
            Err(error) => tracing::error!(%error, "a part of the OpenAPI document cannot be read back"),
        }
    }
    document
}

fn merge(document: &mut Value, mut part: Value) {
    let Some(own) = members(document, "definitions") else { return };
    let definitions = members(&mut part, "definitions").map(std::mem::take).unwrap_or_default();
    let mut names = BTreeMap::new();
    for (name, definition) in &definitions {
        if own.get(name).is_some_and(|own| own != definition) {
            let fresh = (2..).map(|number| format!("{name}_v{number}"));
            let free = |candidate: &String| !own.contains_key(candidate) && !definitions.contains_key(candidate);
            names.extend(fresh.into_iter().find(free).map(|fresh| (name.clone(), fresh)));
        }
    }
    for (name, mut definition) in definitions {
        rename_references(&mut definition, &names);
        let name = names.get(&name).cloned().unwrap_or(name);
        own.entry(name).or_insert(definition);
    }
    let Some(paths) = members(document, "paths") else { return };
    for (path, mut item) in members(&mut part, "paths").map(std::mem::take).unwrap_or_default() {
        rename_references(&mut item, &names);
        paths.entry(path).or_insert(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(name: &str) -> Value {
        json!({"schema": {"$ref": format!("{DEFINITIONS}{name}")}})
    }

    #[test]
    fn only_a_servers_own_paths_and_what_they_need_are_taken() {
        let body = json!({"swagger": "2.0", "info": {}, "paths": {
                "/apis/g.io/v1/": reference("List"), "/apis/g.io/v1beta1/": reference("Old"), "/version": {},
                "/apis/g.io/v1/things": {"get": reference("Thing")}},
            "definitions": {"List": {}, "Old": {}, "Thing": {"properties": {"part": {"items": {
                "$ref": "#/definitions/Part"}}}}, "Part": {"self": {"$ref": "#/definitions/Part"}}}});
        let part = RemoteDocument::of(String::new(), body.to_string().as_bytes(), "/apis/g.io/v1").unwrap().part;
        let part: Value = serde_json::from_slice(&part).unwrap();
        let names = |name: &str| part[name].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names("paths"), ["/apis/g.io/v1/", "/apis/g.io/v1/things"]);
        assert_eq!(names("definitions"), ["List", "Thing", "Part"]);
    }

    #[test]
    fn one_name_for_two_things_becomes_two_names() {
        let own = json!({"swagger": "2.0", "paths": {"/api": {"get": "own"}},
            "definitions": {"Meta": {"type": "object"}, "Same": {"a": 1}}});
        let part = json!({"paths": {"/apis/g.io/v1/things": reference("Thing"), "/api": {"get": "theirs"}},
            "definitions": {"Meta": {"type": "string"}, "Same": {"a": 1},
                "Thing": {"properties": {"m": {"$ref": "#/definitions/Meta"}, "s": {"$ref": "#/definitions/Same"}}}}});
        let other = Arc::new(RemoteDocument { tag: String::new(), part: part.to_string().into() });
        let merged = merged(own, &[other]);
        assert_eq!(merged["paths"]["/api"]["get"], "own");
        assert_eq!(merged["definitions"]["Meta"]["type"], "object");
        assert_eq!(merged["definitions"]["Meta_v2"]["type"], "string");
        let thing = &merged["definitions"]["Thing"]["properties"];
        assert_eq!(thing["m"]["$ref"], "#/definitions/Meta_v2");
        assert_eq!(thing["s"]["$ref"], "#/definitions/Same");
        assert_eq!(merged["paths"]["/apis/g.io/v1/things"], reference("Thing"));
    }
}
