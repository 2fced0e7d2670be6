//! An object on its way through kustomizations, with the names that it had.

use super::origin::Origin;
use crate::calls::{name_of, namespace_of, text};
use crate::failure::{Failure, Result};
use serde_json::{Map, Value};

/// What tells an object from others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Id {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

/// What kinds something is about; empty texts are all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds<'a> {
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) kind: &'a str,
}

impl Id {
    /// `default` is the namespace of what names none.
    pub(super) fn effective_namespace(&self) -> &str {
        match self.namespace.as_str() {
            _ if self.is_cluster_scoped() => "",
            "" => "default",
            namespace => namespace,
        }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Kinds that nobody knows are taken to have namespaces.
    pub(super) fn is_cluster_scoped(&self) -> bool {
        api::object::find_kind(&self.api_version(), &self.kind).is_some_and(|row| !row.def().namespaced())
    }

    pub(super) fn is(&self, other: &Id) -> bool {
        self.group == other.group
            && self.version == other.version
            && self.kind == other.kind
            && self.name == other.name
            && self.is_beside(other)
    }

    /// In one namespace.
    pub(super) fn is_beside(&self, other: &Id) -> bool {
        self.is_cluster_scoped() == other.is_cluster_scoped()
            && self.effective_namespace() == other.effective_namespace()
    }

    pub(super) fn is_of(&self, kinds: Kinds<'_>) -> bool {
        let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        fits(kinds.group, &self.group) && fits(kinds.version, &self.version) && fits(kinds.kind, &self.kind)
    }
}

/// `Deployment.v1.apps/web.[noNs]`.
impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
        let (version, group) = (or(&self.version, "[noVer]"), or(&self.group, "[noGrp]"));
        write!(formatter, "{}.{version}.{group}/", or(&self.kind, "[noKind]"))?;
        write!(formatter, "{}.{}", or(&self.name, "[noName]"), or(&self.namespace, "[noNs]"))
    }
}

/// What is done with an object of a generator where there is one already.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Behavior {
    #[default]
    Create,
    Replace,
    Merge,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    pub(super) object: Value,
    /// The oldest first; the present one is not among them.
    pub(super) previous: Vec<Id>,
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    /// Whether its name gets a hash of its content.
    pub(super) is_hashed: bool,
    pub(super) behavior: Behavior,
    /// Vars that are fields of it.
    pub(super) vars: Vec<String>,
    /// Where it is from, where that is to be told.
    pub(super) origin: Option<Origin>,
    /// What changed it, where that is to be told.
    pub(super) changes: Vec<Origin>,
}

pub(super) type Set = Vec<Resource>;

impl Resource {
    pub(super) fn new(object: Value) -> Resource {
        Resource { object, ..Resource::default() }
    }

    pub(super) fn id(&self) -> Id {
        let version = text(&self.object, "/apiVersion");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        Id {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text(&self.object, "/kind").to_owned(),
            name: name_of(&self.object).to_owned(),
            namespace: namespace_of(&self.object).to_owned(),
        }
    }

    pub(super) fn original(&self) -> Id {
        self.previous.first().cloned().unwrap_or_else(|| self.id())
    }

    /// All that it was and is.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.previous.iter().cloned().chain([self.id()])
    }

    /// Before its name, its namespace or its kind is changed.
    pub(super) fn remember(&mut self) {
        let mut id = self.id();
        id.namespace = id.effective_namespace().to_owned();
        self.previous.push(id);
    }

    pub(super) fn kind(&self) -> &str {
        text(&self.object, "/kind")
    }

    pub(super) fn set_metadata(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            if let Some(metadata) = self.object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.shift_remove(key);
            }
            return;
        }
        let metadata = map_at(&mut self.object, "metadata");
        metadata.insert(key.to_owned(), value.into());
    }

    /// An object for tools alone, which no cluster sees.
    pub(super) fn is_local(&self) -> bool {
        let mark = self.object.pointer("/metadata/annotations/config.kubernetes.io~1local-config");
        mark.is_some_and(|mark| mark != "false")
    }
}

/// The map below a key, made where there is none.
pub(super) fn map_at<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let members = object.as_object_mut().expect("it was made one");
    let member = members.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !member.is_object() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut().expect("it was made one")
}

/// Takes in objects of other kustomizations: none may be there already.
pub(super) fn append(set: &mut Set, others: Set) -> Result<()> {
    for other in others {
        let id = other.id();
        if set.iter().any(|known| known.id().is(&id)) {
            return Err(Failure::message(format!("may not add resource with an already registered id: {id}")));
        }
        set.push(other);
    }
    Ok(())
}
