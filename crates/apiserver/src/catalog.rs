//! What is served at one moment: built-in kinds in the table's order, then custom ones.

use crate::backend::Backend;
use api::ResourceDef;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

type Name = (&'static str, &'static str, &'static str);

fn name(def: &ResourceDef) -> Name {
    (def.group, def.version, def.plural)
}

pub(crate) struct Catalog {
    pub(crate) defs: Vec<&'static ResourceDef>,
    /// Of kinds that the table of messages does not have.
    schemas: HashMap<Name, Arc<Value>>,
    /// Of the documents, as it was before the kinds were asked for.
    pub(crate) edition: u64,
}

impl Catalog {
    pub(crate) fn of(backend: &Backend) -> Catalog {
        let edition = backend.documents.edition();
        let served = backend.registry.served();
        let mut defs: Vec<&'static ResourceDef> = Vec::with_capacity(served.len());
        let mut schemas = HashMap::new();
        let mut customs = Vec::new();
        for resource in &served {
            match resource.kind.open_schema() {
                Some(schema) => {
                    schemas.insert(name(resource.def), schema);
                    customs.push(resource.def);
                }
                None => defs.push(resource.def),
            }
        }
        let places: HashMap<Name, usize> =
            api::object::builtin().iter().enumerate().map(|(place, row)| (name(row.def()), place)).collect();
        defs.sort_by_key(|def| places.get(&name(def)).copied().unwrap_or(usize::MAX));
        customs.sort_by_key(|def| (def.group, Reverse(Priority::of(def.version)), def.plural));
        defs.extend(customs);
        Catalog { defs, schemas, edition }
    }

    pub(crate) fn schema(&self, def: &ResourceDef) -> Option<Arc<Value>> {
        self.schemas.get(&name(def)).cloned()
    }
}

/// Which version of a group clients are to prefer: stable before beta before alpha, newer before older, and what is
/// named otherwise last, by its letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    stability: u8,
    major: u64,
    minor: u64,
    name: Reverse<String>,
}

impl Priority {
    pub(crate) fn of(version: &str) -> Priority {
        let (stability, major, minor) = parsed(version).unwrap_or_default();
        Priority { stability, major, minor, name: Reverse(version.to_owned()) }
    }
}

/// Stability (3: stable), the number, and the number of the beta or alpha.
fn parsed(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((3, major, 0));
    }
    let beta = rest.strip_prefix("beta").map(|minor| (2, minor));
    let (stability, minor) = beta.or_else(|| rest.strip_prefix("alpha").map(|minor| (1, minor)))?;
    Some((stability, major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Priority;
    use std::cmp::Reverse;

    #[test]
    fn stable_versions_come_first() {
        let mut versions = ["foo1", "v1alpha1", "v1beta2", "v2", "v10", "v1", "v1beta1", "bar", "v11alpha2"];
        versions.sort_by_key(|version| Reverse(Priority::of(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "bar", "foo1"]);
    }
}
