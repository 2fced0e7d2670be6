//! Patches: strategic ones by the object they name or by a target, JSON patches by a target.

use super::file::{Patch, Selector};
use super::loader::Root;
use super::merge;
use super::resource::{Resource, Set};
use super::select::Chosen;
use crate::failure::{Failure, Result};
use crate::manifest;
use serde_json::Value;

/// Patches that name their objects: each text is one or several, or the file where they are.
pub(super) fn strategic<'a>(root: &Root, texts: impl IntoIterator<Item = &'a String>, set: &mut Set) -> Result<()> {
    for text in texts {
        let inline =
            manifest::parse_strict(text, "patch").ok().filter(|documents| documents.iter().all(Value::is_object));
        let documents = match inline.filter(|documents| !documents.is_empty()) {
            Some(documents) => documents,
            None => manifest::parse_strict(&root.read_text(text)?, text)?,
        };
        documents.iter().try_for_each(|patch| by_own_name(set, patch, false, false))?;
    }
    Ok(())
}

pub(super) fn apply(root: &Root, set: &mut Set, patch: &Patch) -> Result<()> {
    let text = match (patch.patch.trim(), patch.path.as_str()) {
        ("", "") => return Err(Failure::message("must specify one of patch and path in a patch")),
        ("", path) => root.read_text(path)?,
        (text, "") => text.to_owned(),
        _ => return Err(Failure::message("patch and path can't be set at the same time in a patch")),
    };
    let mut documents = manifest::parse_strict(&text, "patch")?;
    if matches!(documents.as_slice(), [Value::Array(_)]) {
        // The reader of JSON patches is another.
        documents = manifest::parse(&text, "patch")?;
    }
    let option = |name: &str| patch.options.get(name).copied().unwrap_or_default();
    let (names, kinds) = (option("allowNameChange"), option("allowKindChange"));
    if let [Value::Array(_)] = documents.as_slice() {
        let Some(target) = &patch.target else {
            return Err(Failure::message(format!("must specify a target for JSON patch {text}")));
        };
        return json(set, &documents[0], target);
    }
    if documents.is_empty() || !documents.iter().all(Value::is_object) {
        return Err(Failure::message(format!("unable to parse SM or JSON patch from [{text}]")));
    }
    for document in &documents {
        match &patch.target {
            Some(target) => {
                let chosen = Chosen::of(target)?;
                for resource in set.iter_mut().filter(|resource| chosen.is(resource)) {
                    let mut own = document.clone();
                    own["apiVersion"] = resource.object["apiVersion"].clone();
                    merge_into(resource, &own, names, kinds)?;
                }
            }
            None => by_own_name(set, document, names, kinds)?,
        }
        set.retain(|resource| !resource.object.is_null());
    }
    Ok(())
}

fn by_own_name(set: &mut Set, patch: &Value, names: bool, kinds: bool) -> Result<()> {
    let id = Resource::new(patch.clone()).id();
    let matches: Vec<usize> = (0..set.len()).filter(|index| set[*index].ids().any(|known| known.is(&id))).collect();
    match matches.as_slice() {
        [index] => merge_into(&mut set[*index], patch, names, kinds)?,
        [] => {
            let text = format!(
                "no resource matches strategic merge patch \"{id}\": no matches for Id {id}; failed to find unique target for patch {id}"
            );
            return Err(Failure::message(text));
        }
        _ => {
            let text = format!("multiple matches for Id {id}; failed to find unique target for patch {id}");
            return Err(Failure::message(text));
        }
    }
    set.retain(|resource| !resource.object.is_null());
    Ok(())
}

/// An object that is taken away becomes `Null`.
fn merge_into(resource: &mut Resource, patch: &Value, names: bool, kinds: bool) -> Result<()> {
    let before = resource.id();
    if names || kinds {
        resource.remember();
    }
    let object = std::mem::take(&mut resource.object);
    let Some(object) = merge::merged(&before.api_version(), &before.kind, object, patch)? else { return Ok(()) };
    resource.object = object;
    if !kinds {
        resource.object["kind"] = before.kind.into();
    }
    if !names {
        resource.set_metadata("name", &before.name);
    }
    resource.set_metadata("namespace", &before.namespace);
    Ok(())
}

fn json(set: &mut Set, patch: &Value, target: &Selector) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Failure::message(format!("JSON patch: {error}"));
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|error| failed(&error))?;
    let chosen = Chosen::of(target)?;
    for resource in set.iter_mut().filter(|resource| chosen.is(resource)) {
        resource.remember();
        json_patch::patch(&mut resource.object, &patch).map_err(|error| failed(&error))?;
    }
    Ok(())
}
