//! A write as those outside this server see it who judge it: their `AdmissionRequest`.

use api::custom::CustomObject;
use api::resource::ResourceDef;
use api::user::User;
use api::{Kind, Object, Registered, Status};
use k8s_openapi::api::core::v1::Namespace;
use registry::{Attempt, Operation, Registry, Resource};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A write, with the object as it would be and as it was.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) object: Option<&'a dyn Object>,
    pub(crate) old: Option<&'a dyn Object>,
}

impl<'a> Judged<'a> {
    pub(crate) fn is_namespace(&self) -> bool {
        let def = self.attempt.def;
        def.group == Namespace::DEF.group && def.plural == Namespace::DEF.plural
    }

    pub(crate) fn name(&self) -> &'a str {
        self.attempt.name
    }

    /// A namespace is in itself.
    pub(crate) fn namespace(&self) -> &'a str {
        if self.is_namespace() { self.attempt.name } else { self.attempt.namespace }
    }

    pub(crate) fn subresource(&self) -> &'static str {
        self.attempt.subresource.map_or("", api::Subresource::name)
    }

    /// The object as it was. What is created through a subresource, a binding or an eviction, was not before.
    pub(crate) fn old(&self) -> Option<&'a dyn Object> {
        self.old.filter(|_| matches!(self.attempt.operation, Operation::Update | Operation::Delete))
    }

    /// The version that the request was made in.
    pub(crate) fn own(&self) -> Seen {
        Seen { resource: self.attempt.def, kind: self.attempt.kind }
    }
}

/// The version in which a judge sees a write.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// What is written to: group, version and plural.
    pub(crate) resource: &'static ResourceDef,
    /// What the object is: of the resource itself, or of its subresource.
    pub(crate) kind: &'static dyn Registered,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Seen) -> bool {
        let named = |seen: &Seen| {
            let (resource, kind) = (seen.resource, seen.kind.def());
            ((resource.group, resource.version, resource.plural), (kind.group, kind.version, kind.kind))
        };
        named(self) == named(other)
    }
}

impl Seen {
    /// An object as JSON of this version, with these managed fields unless it has its own.
    pub(crate) async fn show(&self, registry: &Registry, object: &dyn Object, books: &[u8]) -> Result<Value, Status> {
        let mut shown = self.show_unmanaged(registry, object).await?;
        if object.meta().managed_fields.is_none() && !books.is_empty() {
            shown["metadata"]["managedFields"] = serde_json::from_slice(books).map_err(Status::internal)?;
        }
        Ok(shown)
    }

    async fn show_unmanaged(&self, registry: &Registry, object: &dyn Object) -> Result<Value, Status> {
        let def = self.kind.def();
        let failed = |error: serde_json::Error| {
            Status::internal(format!("unable to convert to {}, Kind={}: {error}", def.api_version(), def.kind))
        };
        let is_own = match object.as_any().downcast_ref::<CustomObject>() {
            Some(custom) => custom.api_version() == def.api_version(),
            None => !self.kind.converts(),
        };
        if is_own {
            return object.to_value().map_err(failed);
        }
        let json = object.encode().map_err(failed)?;
        let json = match converted_elsewhere(registry, def) {
            Some(resource) => resource.converted(json.into()).await?.to_vec(),
            None => self.kind.present(&json).map_err(failed)?,
        };
        serde_json::from_slice(&json).map_err(failed)
    }

    /// As `show`, of the object as it would be and as it was; null where it is not there.
    pub(crate) async fn show_both(&self, registry: &Registry, judged: &Judged<'_>) -> Result<(Value, Value), Status> {
        let books = judged.attempt.books;
        let object = match judged.object {
            Some(object) => self.show(registry, object, books.new).await?,
            None => Value::Null,
        };
        let old = match judged.old() {
            Some(old) => self.show(registry, old, books.old).await?,
            None => Value::Null,
        };
        Ok((object, old))
    }
}

/// The resource in this version, if somebody else converts its objects.
fn converted_elsewhere(registry: &Registry, def: &ResourceDef) -> Option<Arc<Resource>> {
    registry.find(def.group, def.version, def.plural).filter(|resource| resource.is_converted_elsewhere())
}

/// JSON of another version of a custom kind, in the version that the request was made in.
pub(crate) async fn in_request_version(
    registry: &Registry,
    judged: &Judged<'_>,
    json: Vec<u8>,
) -> Result<Vec<u8>, String> {
    let kind = judged.attempt.kind;
    match converted_elsewhere(registry, kind.def()) {
        Some(resource) => {
            let converted = resource.converted(json.into()).await;
            converted.map(|json| json.to_vec()).map_err(|status| status.message)
        }
        None => kind.present(&json).map_err(|error| error.to_string()),
    }
}

fn kind(def: &ResourceDef) -> Value {
    json!({"group": def.group, "version": def.version, "kind": def.kind})
}

fn resource(def: &ResourceDef) -> Value {
    json!({"group": def.group, "version": def.version, "resource": def.plural})
}

/// Empty members are left out, as upstream leaves them out.
fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    info.insert("username".to_owned(), user.name.as_str().into());
    for (name, is_empty, value) in [
        ("uid", user.uid.is_empty(), json!(user.uid)),
        ("groups", user.groups.is_empty(), json!(user.groups)),
        ("extra", user.extra.is_empty(), json!(user.extra)),
    ] {
        if !is_empty {
            info.insert(name.to_owned(), value);
        }
    }
    Value::Object(info)
}

/// The `AdmissionRequest` without its uid and its objects, which expressions have under names of their own.
pub(crate) fn request(judged: &Judged<'_>, seen: &Seen) -> Map<String, Value> {
    let attempt = judged.attempt;
    let mut request = Map::new();
    let mut insert = |name: &str, value: Value| {
        if value.as_str() != Some("") {
            request.insert(name.to_owned(), value);
        }
    };
    insert("kind", kind(seen.kind.def()));
    insert("resource", resource(seen.resource));
    insert("subResource", judged.subresource().into());
    insert("requestKind", kind(attempt.kind.def()));
    insert("requestResource", resource(attempt.def));
    insert("requestSubResource", judged.subresource().into());
    insert("name", judged.name().into());
    insert("namespace", judged.namespace().into());
    insert("operation", attempt.operation.name().into());
    insert("userInfo", user_info(attempt.user));
    insert("dryRun", attempt.dry_run.into());
    insert("options", attempt.options.map_or(Value::Null, |options| options.value(attempt.operation)));
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::object::find;
    use k8s_openapi::api::core::v1::Pod;
    use registry::{Books, Notes};

    #[test]
    fn a_request_names_both_versions_and_leaves_out_what_is_empty() {
        let user = User { name: "ann".to_owned(), groups: vec!["dev".to_owned()], ..User::default() };
        let kind = find("", "v1", "pods").unwrap();
        let attempt = Attempt {
            def: &Pod::DEF,
            kind,
            operation: Operation::Update,
            namespace: "a",
            name: "p",
            subresource: None,
            user: &user,
            dry_run: true,
            options: None,
            notes: Notes::unheard(),
            books: Books::default(),
        };
        let judged = Judged { attempt: &attempt, object: None, old: None };
        let pods = json!({"group": "", "version": "v1", "resource": "pods"});
        let pod = json!({"group": "", "version": "v1", "kind": "Pod"});
        assert_eq!(
            Value::Object(request(&judged, &judged.own())),
            json!({"kind": pod, "resource": pods, "requestKind": pod, "requestResource": pods, "name": "p",
                "namespace": "a", "operation": "UPDATE", "userInfo": {"username": "ann", "groups": ["dev"]},
                "dryRun": true, "options": null})
        );
        let namespaces = find("", "v1", "namespaces").unwrap();
        let attempt = Attempt { def: namespaces.def(), kind: namespaces, namespace: "", name: "n", ..attempt };
        assert_eq!(Judged { attempt: &attempt, object: None, old: None }.namespace(), "n");
    }
}
