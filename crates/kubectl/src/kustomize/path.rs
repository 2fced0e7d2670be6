//! Fields of objects by paths: `spec/template/metadata/labels`, lists on the way gone through one by one.

use super::file::Spec;
use super::resource::{Kinds, Resource};
use crate::failure::{Failure, Result};
use serde_json::{Map, Value};

/// What is made where a path's last field is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Made {
    Map,
    Scalar,
}

/// The parts of a path; `\/` is a slash in a name.
fn parts(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push('/');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

impl Spec {
    pub(super) fn kinds(&self) -> Kinds<'_> {
        Kinds { group: &self.group, version: &self.version, kind: &self.kind }
    }

    /// Runs `set` on each value at the path where the object is of the kinds.
    pub(super) fn each(
        &self,
        resource: &mut Resource,
        made: Made,
        set: &mut impl FnMut(&mut Value) -> Result<()>,
    ) -> Result<()> {
        if !resource.id().is_of(self.kinds()) {
            return Ok(());
        }
        let id = resource.id();
        walk(&mut resource.object, &parts(&self.path), self.create, made, set)
            .map_err(|failure| Failure::message(format!("{failure} at path '{}' of {id}", self.path)))
    }
}

pub(super) fn each(object: &mut Value, path: &str, set: &mut impl FnMut(&mut Value) -> Result<()>) -> Result<()> {
    walk(object, &parts(path), false, Made::Scalar, set)
}

fn walk(
    value: &mut Value,
    path: &[String],
    create: bool,
    made: Made,
    set: &mut impl FnMut(&mut Value) -> Result<()>,
) -> Result<()> {
    let Some((first, rest)) = path.split_first() else { return set(value) };
    match value {
        Value::Array(elements) => elements.iter_mut().try_for_each(|element| walk(element, path, create, made, set)),
        Value::Object(members) => {
            let (name, listed) = first.strip_suffix("[]").map_or((first.as_str(), false), |name| (name, true));
            let make = || match made {
                Made::Scalar if rest.is_empty() => Value::Null,
                _ => Value::Object(Map::new()),
            };
            let may_make = create && !listed;
            let member = match members.get_mut(name) {
                Some(member) => member,
                None if may_make => members.entry(name).or_insert_with(make),
                None => return Ok(()),
            };
            if member.is_null() && !rest.is_empty() {
                if !may_make {
                    return Ok(());
                }
                *member = make();
            }
            walk(member, rest, create, made, set)
        }
        _ => Err(Failure::message("expected sequence or mapping node")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_go_through_lists_and_make_maps() {
        let mut resource = Resource::new(json!({"kind": "K", "l": [{"a": 1}, {"b": 2}], "m": {"x/y": "z"}}));
        let mut set = |path: &str, create: bool| {
            let spec = Spec { path: path.into(), create, ..Spec::default() };
            spec.each(&mut resource, Made::Scalar, &mut |value| {
                *value = "set".into();
                Ok(())
            })
            .unwrap();
        };
        set("l/a", false);
        set("m/x\\/y", false);
        set("n/o", true);
        set("p/q", false);
        set("r[]/s", true);
        assert_eq!(
            resource.object,
            json!({"kind": "K", "l": [{"a": "set"}, {"b": 2}], "m": {"x/y": "set"}, "n": {"o": "set"}})
        );
    }
}
