//! The in-memory server's objects, and what each verb does to them.

use super::matcher::Matcher;
use crate::transport::{PatchType, Request, Verb};
use api::resource::ResourceDef;
use api::{Status, Subresource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Group resource, namespace, name.
pub(super) type Path = (String, String, String);

/// One committed write.
#[derive(Clone)]
pub(super) struct Commit {
    pub(super) revision: u64,
    pub(super) at: Instant,
    pub(super) path: Path,
    pub(super) old: Option<Arc<Value>>,
    pub(super) new: Option<Arc<Value>>,
    /// The new state, or the last one of what was deleted.
    pub(super) last: Arc<Value>,
}

#[derive(Default)]
pub(super) struct State {
    revision: u64,
    named: u64,
    objects: BTreeMap<Path, Arc<Value>>,
    log: Vec<Commit>,
}

impl State {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn log(&self) -> &[Commit] {
        &self.log
    }

    pub(super) fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        let first = (resource.to_owned(), String::new(), String::new());
        self.objects
            .range(first..)
            .take_while(|(path, _)| path.0 == resource)
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub(super) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned())).cloned()
    }

    pub(super) fn answer(&mut self, request: &Request, now: Timestamp) -> Result<Value, Status> {
        match (request.verb, request.subresource) {
            (Verb::Get, None) => self.found(request).map(|object| (*object).clone()),
            (Verb::Get, Some(Subresource::Scale)) => self.found(request).map(|object| scale(&object)),
            (Verb::Update, Some(Subresource::Scale)) => {
                let mut new = (*self.found(request)?).clone();
                new["spec"]["replicas"] = body(request)?["spec"]["replicas"].clone();
                let object = Request { subresource: None, ..request.clone() };
                self.update(&object, new).map(|object| scale(&object))
            }
            (Verb::List, None) => self.list(request),
            (Verb::Create, None) => self.create(request, now),
            (Verb::Create, Some(Subresource::Binding)) => self.bind(request, now),
            (Verb::Create, Some(Subresource::Eviction)) => {
                self.delete(request, &meta::DeleteOptions::default(), now).map(|()| success())
            }
            (Verb::Update, _) => {
                let new = body(request)?;
                self.update(request, new)
            }
            (Verb::Patch(PatchType::Merge), _) => {
                let mut new = (*self.found(request)?).clone();
                merge(&mut new, &body(request)?);
                self.update(request, new)
            }
            (Verb::Patch(PatchType::Strategic), _) => {
                let mut new = (*self.found(request)?).clone();
                let mut patch = body(request)?;
                merge_conditions(&new, &mut patch);
                merge(&mut new, &patch);
                self.update(request, new)
            }
            (Verb::Delete, None) => self.delete(request, &options(request)?, now).map(|()| success()),
            (Verb::DeleteCollection, None) => self.delete_collection(request, now),
            (verb, subresource) => {
                Err(Status::not_implemented(format!("{verb:?} {subresource:?} in the in-memory server")))
            }
        }
    }

    fn found(&self, request: &Request) -> Result<Arc<Value>, Status> {
        let found = self.get(&request.def.group_resource(), &request.namespace, &request.name);
        found.ok_or_else(|| Status::not_found(request.def, &request.name))
    }

    fn list(&self, request: &Request) -> Result<Value, Status> {
        let query = |name| request.query.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value.as_str());
        let matcher = Matcher::new(&request.namespace, query("labelSelector"), query("fieldSelector"))?;
        let items: Vec<Value> = self
            .all(&request.def.group_resource())
            .iter()
            .filter(|object| matcher.holds(text(object, "/metadata/namespace"), object))
            .map(|object| (**object).clone())
            .collect();
        Ok(json!({
            "apiVersion": request.def.api_version(), "kind": format!("{}List", request.def.kind),
            "metadata": {"resourceVersion": self.revision.to_string()}, "items": items,
        }))
    }

    fn create(&mut self, request: &Request, now: Timestamp) -> Result<Value, Status> {
        let def = request.def;
        self.refuse_in_terminating(def, &request.namespace)?;
        let mut object = body(request)?;
        let mut name = text(&object, "/metadata/name").to_owned();
        if name.is_empty() {
            self.named += 1;
            name = format!("{}{:05}", text(&object, "/metadata/generateName"), self.named);
        }
        let path = (def.group_resource(), request.namespace.clone(), name.clone());
        if self.objects.contains_key(&path) {
            return Err(Status::already_exists(def, &name));
        }
        object["apiVersion"] = def.api_version().into();
        object["kind"] = def.kind.into();
        let meta = metadata(&mut object);
        meta.insert("name".into(), name.into());
        if def.namespaced() {
            meta.insert("namespace".into(), request.namespace.clone().into());
        }
        meta.insert("uid".into(), format!("uid-{}", self.revision + 1).into());
        meta.insert("creationTimestamp".into(), seconds(now).into());
        meta.insert("generation".into(), 1.into());
        if def.kind == "Namespace" {
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        Ok(self.commit(path, Some(object)))
    }

    /// As the NamespaceLifecycle admission does.
    fn refuse_in_terminating(&self, def: &ResourceDef, namespace: &str) -> Result<(), Status> {
        let found = if def.namespaced() { self.get("namespaces", "", namespace) } else { None };
        if !found.is_some_and(|object| deleting(&object)) {
            return Ok(());
        }
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut status = Status::forbidden(def, "", &why);
        if let Some(details) = &mut status.details {
            details.causes =
                Some(vec![meta::StatusCause { reason: Some("NamespaceTerminating".to_owned()), ..Default::default() }]);
        }
        Err(status)
    }

    fn update(&mut self, request: &Request, mut new: Value) -> Result<Value, Status> {
        let def = request.def;
        let old = self.found(request)?;
        let (given, stored) = (text(&new, "/metadata/resourceVersion"), text(&old, "/metadata/resourceVersion"));
        let uid = text(&new, "/metadata/uid");
        if (!given.is_empty() && given != stored) || (!uid.is_empty() && uid != text(&old, "/metadata/uid")) {
            return Err(Status::modified(def, &request.name));
        }
        match request.subresource {
            Some(Subresource::Status) => keep(&mut new, &old, &["spec", "metadata"]),
            Some(Subresource::Approval) => {
                let conditions = new.pointer("/status/conditions").cloned();
                new = (*old).clone();
                new["status"]["conditions"] = conditions.unwrap_or(Value::Null);
            }
            Some(Subresource::Finalize) => keep(&mut new, &old, &["status", "metadata"]),
            _ if def.has(Subresource::Status) => keep(&mut new, &old, &["status"]),
            _ => {}
        }
        restore_identity(&mut new, &old);
        if new.get("spec") != old.get("spec") {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
            metadata(&mut new).insert("generation".into(), (generation + 1).into());
        }
        if new == *old {
            return Ok(new);
        }
        let path = (def.group_resource(), request.namespace.clone(), request.name.clone());
        let ended = deleting(&new) && finalizers(&new).is_empty() && grace_left(&new) == 0 && !held_by_spec(&new);
        if ended {
            self.commit(path, None);
            return Ok(new);
        }
        Ok(self.commit(path, Some(new)))
    }

    fn bind(&mut self, request: &Request, now: Timestamp) -> Result<Value, Status> {
        let mut pod = (*self.found(request)?).clone();
        if !text(&pod, "/spec/nodeName").is_empty() || deleting(&pod) {
            let why = format!("pod {} is already assigned to node or being deleted", request.name);
            return Err(Status::conflict(request.def, &request.name, &why));
        }
        let target = body(request)?;
        pod["spec"]["nodeName"] = text(&target, "/target/name").into();
        let condition = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": seconds(now)});
        set_condition(&mut pod, condition);
        self.commit((request.def.group_resource(), request.namespace.clone(), request.name.clone()), Some(pod));
        Ok(success())
    }

    fn delete(&mut self, request: &Request, options: &meta::DeleteOptions, now: Timestamp) -> Result<(), Status> {
        let old = self.found(request)?;
        if let Some(preconditions) = &options.preconditions {
            let differs =
                |want: &Option<String>, pointer| want.as_deref().is_some_and(|want| want != text(&old, pointer));
            if differs(&preconditions.uid, "/metadata/uid")
                || differs(&preconditions.resource_version, "/metadata/resourceVersion")
            {
                return Err(Status::conflict(request.def, &request.name, "Precondition failed"));
            }
        }
        let path = (request.def.group_resource(), request.namespace.clone(), request.name.clone());
        let mut new = (*old).clone();
        let added = match options.propagation_policy.as_deref() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        if let Some(added) = added.filter(|added| !finalizers(&new).contains(&(*added).to_owned())) {
            let mut all = finalizers(&new);
            all.push(added.to_owned());
            metadata(&mut new).insert("finalizers".into(), all.into());
        }
        let grace = grace(request.def, &old, options.grace_period_seconds);
        if finalizers(&new).is_empty() && grace == 0 && !held_by_spec(&new) {
            self.commit(path, None);
            return Ok(());
        }
        let meta = metadata(&mut new);
        meta.entry("deletionTimestamp").or_insert_with(|| seconds(now).into());
        meta.insert("deletionGracePeriodSeconds".into(), grace.into());
        if request.def.kind == "Namespace" {
            new["status"]["phase"] = "Terminating".into();
        }
        if new != *old {
            self.commit(path, Some(new));
        }
        Ok(())
    }

    fn delete_collection(&mut self, request: &Request, now: Timestamp) -> Result<Value, Status> {
        let listed = self.list(request)?;
        let options = options(request)?;
        for item in listed["items"].as_array().into_iter().flatten() {
            let (namespace, name) = (text(item, "/metadata/namespace"), text(item, "/metadata/name"));
            self.delete(&Request::new(Verb::Delete, request.def, namespace, name), &options, now)?;
        }
        Ok(success())
    }

    fn commit(&mut self, path: Path, new: Option<Value>) -> Value {
        self.revision += 1;
        let old = self.objects.get(&path).cloned();
        let mut last = new.clone().or_else(|| old.as_deref().cloned()).unwrap_or_default();
        metadata(&mut last).insert("resourceVersion".into(), self.revision.to_string().into());
        let last = Arc::new(last);
        let new = new.is_some().then(|| last.clone());
        match &new {
            Some(new) => self.objects.insert(path.clone(), new.clone()),
            None => self.objects.remove(&path),
        };
        self.log.push(Commit { revision: self.revision, at: Instant::now(), path, old, new, last: last.clone() });
        (*last).clone()
    }
}

fn body(request: &Request) -> Result<Value, Status> {
    serde_json::from_slice(&request.body).map_err(|error| Status::bad_request(format!("decoding the body: {error}")))
}

/// Of an object whose selector is one of labels.
fn scale(object: &Value) -> Value {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let terms =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let meta = &object["metadata"];
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "spec": {"replicas": object.pointer("/spec/replicas")},
        "status": {"replicas": object.pointer("/status/replicas").cloned().unwrap_or(0.into()),
            "selector": terms.collect::<Vec<_>>().join(",")},
    })
}

fn options(request: &Request) -> Result<meta::DeleteOptions, Status> {
    if request.body.is_empty() {
        return Ok(meta::DeleteOptions::default());
    }
    serde_json::from_slice(&request.body).map_err(|error| Status::bad_request(format!("decoding the options: {error}")))
}

fn success() -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"})
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object.get("metadata").is_some_and(Value::is_object) {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("made an object above")
}

fn finalizers(object: &Value) -> Vec<String> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// A namespace stays while its spec has finalizers.
fn held_by_spec(object: &Value) -> bool {
    text(object, "/kind") == "Namespace" && object.pointer("/spec/finalizers").is_some_and(|list| list != &json!([]))
}

/// A node's pod is given its time; all else goes at once.
fn grace(def: &ResourceDef, object: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if def.kind != "Pod" || text(object, "/spec/nodeName").is_empty() || ended {
        return 0;
    }
    let own = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    asked.or(own).unwrap_or(30)
}

fn grace_left(object: &Value) -> i64 {
    object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default()
}

fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn keep(new: &mut Value, old: &Value, fields: &[&str]) {
    for field in fields {
        match old.get(*field) {
            Some(value) => new[*field] = value.clone(),
            None => {
                new.as_object_mut().and_then(|object| object.remove(*field));
            }
        }
    }
}

/// What no update can change.
fn restore_identity(new: &mut Value, old: &Value) {
    new["apiVersion"] = old["apiVersion"].clone();
    new["kind"] = old["kind"].clone();
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match old["metadata"].get(field) {
            Some(value) => metadata(new).insert(field.into(), value.clone()),
            None => metadata(new).remove(field),
        };
    }
}

fn set_condition(object: &mut Value, condition: Value) {
    if !object.get("status").is_some_and(Value::is_object) {
        object["status"] = json!({});
    }
    let list = object["status"].as_object_mut().expect("made an object above").entry("conditions").or_insert(json!([]));
    if let Some(list) = list.as_array_mut() {
        list.retain(|old| old["type"] != condition["type"]);
        list.push(condition);
    }
}

/// The one list that strategic patches of these tests have: conditions, merged by type.
fn merge_conditions(old: &Value, patch: &mut Value) {
    let Some(given) = patch.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    let old = old.pointer("/status/conditions").and_then(Value::as_array);
    let kept: Vec<Value> =
        old.into_iter().flatten().filter(|old| given.iter().all(|new| new["type"] != old["type"])).cloned().collect();
    given.splice(0..0, kept);
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().expect("made an object above");
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
