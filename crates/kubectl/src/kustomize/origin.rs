//! Where objects of a kustomization are from and what changed them: annotations that `buildMetadata` asks for.

use super::remote;
use super::resource::{Resource, Set};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

const ORIGIN: &str = "config.kubernetes.io/origin";
const CHANGES: &str = "alpha.config.kubernetes.io/transformations";
const BUILTIN: &str = "builtin";

/// A file of a folder or of a repository; of what was generated, the file that asked for it and what made it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    path: String,
    repository: String,
    reference: String,
    configured_in: String,
    configured_by: Option<Maker>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Maker {
    api_version: String,
    kind: String,
    name: String,
    namespace: String,
}

impl Origin {
    /// What is named from here: a file, a folder, or a repository.
    pub(super) fn below(&self, name: &str) -> Origin {
        let mut below = self.clone();
        let name = match remote::place(name) {
            Some((repository, folder, reference)) => {
                (below.repository, below.reference, below.path) = (repository, reference, String::new());
                folder
            }
            None => name.to_owned(),
        };
        below.path = normal(&Path::new(&below.path).join(name));
        below
    }

    /// Of what a field of a kustomization file makes or changes.
    pub(super) fn builtin(&self, file: &str, kind: &str) -> Origin {
        let by = Maker { api_version: BUILTIN.to_owned(), kind: kind.to_owned(), ..Maker::default() };
        let here = self.below(file);
        Origin { configured_in: here.path, path: String::new(), configured_by: Some(by), ..self.clone() }
    }

    /// Of what the object of a file makes or changes; `self` is that file.
    pub(super) fn plugin(&self, object: &Resource) -> Origin {
        let id = object.id();
        let by = Maker { api_version: id.api_version(), kind: id.kind, name: id.name, namespace: id.namespace };
        Origin { configured_in: self.path.clone(), path: String::new(), configured_by: Some(by), ..self.clone() }
    }

    /// As YAML, each line behind `indent` but the first.
    fn text(&self, indent: &str) -> String {
        let mut lines = Vec::new();
        for (key, value) in [
            ("path", &self.path),
            ("repo", &self.repository),
            ("ref", &self.reference),
            ("configuredIn", &self.configured_in),
        ] {
            if !value.is_empty() {
                lines.push(format!("{key}: {value}"));
            }
        }
        if let Some(by) = &self.configured_by {
            lines.push("configuredBy:".to_owned());
            for (key, value) in
                [("apiVersion", &by.api_version), ("kind", &by.kind), ("name", &by.name), ("namespace", &by.namespace)]
            {
                if !value.is_empty() {
                    lines.push(format!("  {key}: {value}"));
                }
            }
        }
        lines.join(&format!("\n{indent}")) + "\n"
    }
}

/// Without `.` and `..` on the way; what is above the folder that is built begins with `..`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir if parts.last().is_some_and(|last| last != "..") => drop(parts.pop()),
            Component::CurDir | Component::RootDir => {}
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    PathBuf::from_iter(parts).display().to_string()
}

/// Notes what changes all these objects.
pub(super) fn changed(set: &mut Set, by: &Origin) {
    set.iter_mut().for_each(|resource| resource.changes.push(by.clone()));
}

/// Writes what was noted into the objects.
pub(super) fn tell(set: &mut Set, origins: bool, changes: bool) {
    for resource in set {
        if let Some(origin) = resource.origin.clone().filter(|_| origins) {
            annotate(resource, ORIGIN, origin.text(""));
        }
        if changes && !resource.changes.is_empty() {
            let mut text = String::new();
            for change in &resource.changes {
                // Writing to a string cannot fail.
                write!(text, "- {}", change.text("  ")).unwrap_or_default();
            }
            annotate(resource, CHANGES, text);
        }
    }
}

fn annotate(resource: &mut Resource, key: &str, text: String) {
    let metadata = super::resource::map_at(&mut resource.object, "metadata");
    let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(key.to_owned(), text.into());
    }
}
