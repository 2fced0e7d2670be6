//! The end of a generated object's name: a hash of what it holds, so that a change of it is a new object.

use super::resource::{Resource, Set};
use crate::calls::name_of;
use crate::failure::Result;
use crate::print::compact;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const LETTERS: usize = 10;

/// Gives the objects that want one their hash.
pub(super) fn rename(set: &mut Set) -> Result<()> {
    for resource in set.iter_mut().filter(|resource| resource.is_hashed) {
        let name = format!("{}-{}", name_of(&resource.object), of(resource));
        resource.remember();
        resource.set_metadata("name", &name);
    }
    Ok(())
}

fn of(resource: &Resource) -> String {
    let object = &resource.object;
    let kind = resource.kind();
    let empty = || Value::from("");
    let part = |key: &str| object.get(key).cloned().unwrap_or_else(empty);
    // The name is no part of it, though upstream has a place for one.
    let mut hashed = json!({"kind": kind, "name": "", "data": part("data")});
    let further = if kind == "Secret" { "stringData" } else { "binaryData" };
    if object[further].is_object() {
        hashed[further] = object[further].clone();
    }
    if kind == "Secret" {
        hashed["type"] = part("type");
    }
    letters(compact(&hashed).as_bytes())
}

/// Letters that do not make words.
fn letters(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let letter = |letter| match letter {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().take(LETTERS).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_upstreams() {
        let check = |object: Value, expected: &str| assert_eq!(of(&Resource::new(object)), expected);
        check(json!({"kind": "ConfigMap", "metadata": {"name": "any"}}), "6ct58987ht");
        check(json!({"kind": "ConfigMap", "metadata": {"name": ""}, "data": {"one": ""}}), "9g67k2htb6");
        check(
            json!({"kind": "Secret", "type": "my-type", "metadata": {"name": ""}, "data": {"one": ""}}),
            "74bd68bm66",
        );
    }
}
