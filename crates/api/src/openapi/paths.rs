//! The paths of resources and their subresources, each with what may be done there.

use super::operations::{self, Action, Operation, path_parameter};
use super::plain::Plain;
use super::schemas::Schemas;
use super::{Dialect, document_path};
use crate::resource::{ResourceDef, Scope, Subresource, Verbs};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Every path of the resources and of what is none, sorted.
pub(super) fn all<'a>(
    defs: &[&ResourceDef],
    plain: impl IntoIterator<Item = Plain<'a>>,
    dialect: Dialect,
    schemas: &mut Schemas<'_>,
) -> Map<String, Value> {
    let plain = plain.into_iter().map(|plain| (plain.path(), plain.item(dialect, schemas)));
    let mut paths: BTreeMap<String, Value> = plain.collect();
    for def in defs {
        let root = format!("/{}", document_path(def));
        paths.entry(format!("{root}/")).or_insert_with(|| discovery(def, dialect, schemas));
        Writer { def, dialect, schemas, root, tags: Tags::of(def), paths: &mut paths }.resource();
    }
    paths.into_iter().collect()
}

/// How a group version is called in operation ids and tags.
pub(super) struct Tags {
    /// `AppsV1`.
    camel: String,
    /// `apps_v1`.
    snake: String,
}

impl Tags {
    fn of(def: &ResourceDef) -> Tags {
        let group = Tags::group(if def.group.is_empty() { "core" } else { def.group });
        let snake = format!("{}_{}", Tags::lower(&group), def.version);
        Tags { camel: format!("{group}{}", capitalized(def.version)), snake }
    }

    /// `Apps`, `RbacAuthorization`.
    pub(super) fn group(group: &str) -> String {
        group.trim_end_matches(".k8s.io").split(['.', '-']).map(capitalized).collect()
    }

    /// As a tag begins: `rbacAuthorization`.
    pub(super) fn lower(camel: &str) -> String {
        let mut lower = camel.to_owned();
        lower[..1].make_ascii_lowercase();
        lower
    }
}

pub(super) fn capitalized(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

/// The list of a group version's resources.
fn discovery(def: &ResourceDef, dialect: Dialect, schemas: &mut Schemas<'_>) -> Value {
    let tags = Tags::of(def);
    let answer = schemas.meta("APIResourceList");
    let ok = match dialect {
        Dialect::V2 => json!({"description": "OK", "schema": answer}),
        Dialect::V3 => json!({"description": "OK", "content": {"application/json": {"schema": answer}}}),
    };
    json!({"get": {
        "description": "get available resources",
        "operationId": format!("get{}APIResources", tags.camel),
        "tags": [tags.snake],
        "responses": {"200": ok, "401": {"description": "Unauthorized"}},
    }})
}

const STREAMED: [Action; 2] = [Action::Connect("get"), Action::Connect("post")];
const PROXIED: [Action; 7] = [
    Action::Connect("delete"),
    Action::Connect("get"),
    Action::Connect("head"),
    Action::Connect("options"),
    Action::Connect("patch"),
    Action::Connect("post"),
    Action::Connect("put"),
];

struct Writer<'w, 's> {
    def: &'w ResourceDef,
    dialect: Dialect,
    schemas: &'w mut Schemas<'s>,
    root: String,
    tags: Tags,
    paths: &'w mut BTreeMap<String, Value>,
}

impl Writer<'_, '_> {
    fn resource(&mut self) {
        let def = self.def;
        let namespaced = def.scope == Scope::Namespaced;
        let base = if namespaced { format!("{}/namespaces/{{namespace}}", self.root) } else { self.root.clone() };
        let collection = format!("{base}/{}", def.plural);
        let subject = if namespaced { format!("Namespaced{}", def.kind) } else { def.kind.to_string() };
        let own = (def.group, def.version, def.kind);
        let body = self.schemas.resource(def);
        if def.verbs == Verbs::CreateOnly {
            self.path(&collection, &subject, own, &[Action::Create], &body);
            return;
        }
        if def.verbs == Verbs::ReadOnly {
            self.path(&collection, &subject, own, &[Action::List], &body);
            self.path(&format!("{collection}/{{name}}"), &subject, own, &[Action::Read], &body);
            return;
        }
        let actions = [Action::List, Action::Create, Action::DeleteCollection];
        self.path(&collection, &subject, own, &actions, &body);
        if namespaced {
            let everywhere = format!("{}/{}", self.root, def.plural);
            self.path(&everywhere, &format!("{}ForAllNamespaces", def.kind), own, &[Action::List], &body);
        }
        let object = format!("{collection}/{{name}}");
        let actions = [Action::Read, Action::Replace, Action::Patch, Action::Delete];
        self.path(&object, &subject, own, &actions, &body);
        for subresource in def.subresources.iter().copied() {
            self.subresource(&object, &subject, subresource);
        }
    }

    fn subresource(&mut self, object: &str, subject: &str, subresource: Subresource) {
        let def = self.def;
        let path = format!("{object}/{}", subresource.name());
        let own = def.subresource_kind(subresource).unwrap_or((def.group, def.version, def.kind));
        let actions: &[Action] = match subresource {
            Subresource::Log => &[Action::Read],
            Subresource::Binding | Subresource::Eviction | Subresource::Token => &[Action::Create],
            Subresource::Exec | Subresource::Attach | Subresource::PortForward => &STREAMED,
            Subresource::Proxy => &PROXIED,
            Subresource::Finalize => &[Action::Replace],
            Subresource::Status
            | Subresource::Scale
            | Subresource::EphemeralContainers
            | Subresource::Resize
            | Subresource::Approval => &[Action::Read, Action::Replace, Action::Patch],
        };
        let streams = matches!(actions[0], Action::Connect(_)) || subresource == Subresource::Log;
        let body = match subresource.kind() {
            _ if streams => json!({"type": "string"}),
            None => self.schemas.resource(def),
            Some(kind) => self.schemas.named(&message_of(kind)),
        };
        let subject = format!("{subject}{}", capitalized(subresource.name()));
        self.path(&path, &subject, own, actions, &body);
        self.options(&path, subresource);
        if subresource == Subresource::Proxy {
            let below = format!("{path}/{{path}}");
            self.path(&below, &format!("{subject}WithPath"), own, actions, &body);
            self.options(&below, subresource);
        }
    }

    /// What a stream is told in its query, whatever the method.
    fn options(&mut self, path: &str, subresource: Subresource) {
        let options = operations::options(subresource).iter().map(|option| operations::query(*option, self.dialect));
        if let Some(parameters) = self.paths.get_mut(path).and_then(|item| item["parameters"].as_array_mut()) {
            parameters.extend(options);
        }
    }

    fn path(&mut self, path: &str, subject: &str, kind: (&str, &str, &str), actions: &[Action], body: &Value) {
        let mut item = Map::new();
        for action in actions.iter().copied() {
            let answer = match action {
                Action::List => self.schemas.list(self.def),
                Action::Delete | Action::DeleteCollection => self.schemas.meta("Status"),
                _ => body.clone(),
            };
            let operation = Operation {
                action,
                tag_camel: &self.tags.camel,
                tag: &self.tags.snake,
                subject: subject.to_owned(),
                kind,
                body: body.clone(),
                answer,
                is_custom: self.def.message.is_empty(),
            };
            item.insert(action.method().to_owned(), operation.render(self.dialect, self.schemas));
        }
        let mut parameters = Vec::new();
        if path.contains("{name}") {
            parameters.push(path_parameter("name", &format!("name of the {}", self.def.kind), self.dialect));
        }
        if path.contains("{path}") {
            parameters.push(path_parameter("path", "path to the resource", self.dialect));
        }
        if path.contains("{namespace}") {
            parameters.push(path_parameter("namespace", "the namespace of the object", self.dialect));
        }
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into());
        }
        self.paths.insert(path.to_owned(), Value::Object(item));
    }
}

/// The message of a kind that subresources have.
fn message_of((group, version, kind): (&str, &str, &str)) -> String {
    let package = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    format!("k8s.io.api.{package}.{version}.{kind}")
}
