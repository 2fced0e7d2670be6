//! Config maps and secrets from files, literals and environments.

use super::file::{Generator, Options};
use super::loader::Root;
use super::resource::{Behavior, Resource, Set, map_at};
use crate::failure::{Failure, Result};
use base64::Engine;
use serde_json::{Map, Value, json};

const LINE: usize = 70;

pub(super) fn generated(root: &Root, kind: &str, generator: &Generator, global: Option<&Options>) -> Result<Resource> {
    if generator.name.is_empty() {
        return Err(Failure::message(format!("a {kind} generator has no name")));
    }
    let options = options(generator, global);
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": generator.name}});
    if !generator.namespace.is_empty() {
        object["metadata"]["namespace"] = generator.namespace.clone().into();
    }
    for (key, texts) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if !texts.is_empty() {
            object["metadata"][key] = json!(texts);
        }
    }
    for (key, value) in pairs(root, generator)? {
        let text = String::from_utf8(value);
        let (place, text) = match text {
            Ok(text) if kind == "ConfigMap" => ("data", text),
            Ok(text) => ("data", encoded(text.as_bytes())),
            Err(binary) if kind == "ConfigMap" => ("binaryData", encoded(binary.as_bytes())),
            Err(binary) => ("data", encoded(binary.as_bytes())),
        };
        if ["data", "binaryData"].iter().any(|place| object[place].get(&key).is_some()) {
            let name = &generator.name;
            return Err(Failure::message(format!(
                "cannot add key {key:?}, another key by that name already exists in {name}"
            )));
        }
        map_at(&mut object, place).insert(key, text.into());
    }
    if kind == "Secret" {
        let own = if generator.kind.is_empty() { "Opaque" } else { &generator.kind };
        object["type"] = own.into();
    }
    if options.immutable {
        object["immutable"] = true.into();
    }
    let behavior = match generator.behavior.as_str() {
        "replace" => Behavior::Replace,
        "merge" => Behavior::Merge,
        _ => Behavior::Create,
    };
    Ok(Resource { behavior, is_hashed: !options.disable_name_suffix_hash, ..Resource::new(object) })
}

/// A generator's own options, and those of all where it has none of its own.
fn options(generator: &Generator, global: Option<&Options>) -> Options {
    let mut options = generator.options.clone().unwrap_or_default();
    let Some(global) = global else { return options };
    for (own, all) in [(&mut options.labels, &global.labels), (&mut options.annotations, &global.annotations)] {
        for (key, value) in all {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    options.disable_name_suffix_hash |= global.disable_name_suffix_hash;
    options.immutable |= global.immutable;
    options
}

/// In lines of 70 where it takes more than one, as upstream breaks it.
fn encoded(bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out
}

fn pairs(root: &Root, generator: &Generator) -> Result<Vec<(String, Vec<u8>)>> {
    let mut pairs = Vec::new();
    let single = Some(&generator.env).filter(|env| !env.is_empty());
    for env in generator.envs.iter().chain(single) {
        let text = root.read_text(env)?;
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            pairs.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    for literal in &generator.literals {
        let (key, value) = literal
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Failure::message(format!("invalid literal source {literal}, expected key=value")))?;
        pairs.push((key.to_owned(), unquoted(value).as_bytes().to_vec()));
    }
    for file in &generator.files {
        let (key, path) = match file.split_once('=') {
            None => (file.rsplit('/').next().unwrap_or(file), file.as_str()),
            Some(("", _)) => {
                let text = format!("key name for file path {} missing", file.trim_start_matches('='));
                return Err(Failure::message(text));
            }
            Some((key, path)) => (key, path),
        };
        pairs.push((key.to_owned(), root.read(path)?));
    }
    Ok(pairs)
}

/// Without quotes that stand around all of it.
fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

pub(super) fn absorb(set: &mut Set, mut resource: Resource) -> Result<()> {
    let id = resource.id();
    let matches: Vec<usize> = (0..set.len()).filter(|index| set[*index].ids().any(|known| known.is(&id))).collect();
    let [index] = matches.as_slice() else {
        return match (matches.len(), resource.behavior) {
            (0, Behavior::Create) => {
                set.push(resource);
                Ok(())
            }
            (0, _) => Err(Failure::message(format!("id {id} does not exist; cannot merge or replace"))),
            _ => Err(Failure::message(format!("found multiple objects that could accept merge of {id}"))),
        };
    };
    let old = &set[*index];
    if resource.behavior == Behavior::Create {
        let text = format!("id {id} exists; can not use behavior: 'create', behavior must be merge or replace");
        return Err(Failure::message(text));
    }
    let mut parts = vec!["/metadata/labels", "/metadata/annotations"];
    if resource.behavior == Behavior::Merge {
        parts.extend(["/data", "/binaryData"]);
    }
    for pointer in parts {
        let own = resource.object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut merged = old.object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        merged.extend(own);
        set_map(&mut resource.object, pointer, merged);
    }
    let before = old.id();
    resource.set_metadata("name", &before.name);
    resource.set_metadata("namespace", &before.namespace);
    (resource.previous, resource.behavior) = (old.previous.clone(), old.behavior);
    (resource.prefixes, resource.suffixes) = (old.prefixes.clone(), old.suffixes.clone());
    set[*index] = resource;
    Ok(())
}

fn set_map(object: &mut Value, pointer: &str, map: Map<String, Value>) {
    if map.is_empty() {
        return;
    }
    match pointer.strip_prefix("/metadata/") {
        Some(key) => object["metadata"][key] = Value::Object(map),
        None => object[pointer.trim_start_matches('/')] = Value::Object(map),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_broken_into_lines() {
        assert_eq!(encoded(b"x"), "eA==");
        assert_eq!(encoded(&[b'x'; 54]).len(), 74);
        assert!(encoded(&[b'x'; 54]).ends_with("eHh4\n") || encoded(&[b'x'; 54]).ends_with('\n'));
        for (text, expected) in [("\"a\"", "a"), ("'a'", "a"), ("'a\"", "'a\""), ("\"", "\""), ("", "")] {
            assert_eq!(unquoted(text), expected);
        }
    }
}
