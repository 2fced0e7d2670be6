//! Tests' API: objects in memory behind the client's transport, with watches.

use api::{Kind, ResourceDef, Status};
use async_trait::async_trait;
use bytes::Bytes;
use client::{Client, EventType, RawEvent, RawEvents, Request, Transport, Verb, WatchRequest};
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast;

const EVENTS_MAX: usize = 4096;

#[derive(Clone)]
struct Event {
    prefix: String,
    kind: EventType,
    object: Bytes,
}

pub(crate) struct Memory {
    objects: Mutex<BTreeMap<String, Value>>,
    events: broadcast::Sender<Event>,
}

/// A client whose API holds `objects`, each given by its kind.
pub(crate) fn client() -> (Client, Arc<Memory>) {
    let memory = Arc::new(Memory { objects: Mutex::default(), events: broadcast::Sender::new(EVENTS_MAX) });
    (Client::new(memory.clone()), memory)
}

fn bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}

/// What the registry would refuse must not pass here.
fn validated(def: &ResourceDef, body: Value) {
    let kind = api::object::find(def.group, def.version, def.plural).unwrap();
    let mut object = kind.from_value(body).unwrap();
    object.prepare_create();
    object.defaults();
    let mut complaints: Vec<String> = object.validate().iter().map(ToString::to_string).collect();
    complaints.extend(kind.validate_name(object.name(), false));
    assert_eq!(complaints, Vec::<String>::new(), "{} {:?}", def.kind, object.name());
}

impl Memory {
    pub(crate) fn put<K: Kind>(&self, object: K) {
        let meta = object.metadata();
        let key = K::DEF.key(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap());
        self.set(&K::DEF.prefix(), key, serde_json::to_value(&object).unwrap());
    }

    pub(crate) fn remove<K: Kind>(&self, namespace: &str, name: &str) {
        let old = self.objects.lock().remove(&K::DEF.key(namespace, name)).unwrap();
        self.tell(&K::DEF.prefix(), EventType::Deleted, &old);
    }

    pub(crate) fn count(&self) -> usize {
        self.objects.lock().len()
    }

    fn tell(&self, prefix: &str, kind: EventType, object: &Value) {
        // Nobody watching is no failure.
        drop(self.events.send(Event { prefix: prefix.to_owned(), kind, object: bytes(object) }));
    }

    fn set(&self, prefix: &str, key: String, mut value: Value) -> Value {
        let meta = value["metadata"].as_object_mut().unwrap();
        meta.entry("uid").or_insert_with(|| json!(format!("uid-of-{key}")));
        self.objects.lock().insert(key, value.clone());
        self.tell(prefix, EventType::Modified, &value);
        value
    }

    fn list(&self, prefix: &str) -> Vec<Value> {
        let objects = self.objects.lock();
        objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, v)| v.clone())
            .collect()
    }
}

#[async_trait]
impl Transport for Memory {
    async fn call(&self, request: Request) -> Result<Bytes, Status> {
        let def = request.def;
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap();
        let name = match request.verb {
            Verb::Create => body()["metadata"]["name"].as_str().unwrap().to_owned(),
            _ => request.name.clone(),
        };
        let key = def.key(&request.namespace, &name);
        let present = self.objects.lock().get(&key).cloned();
        let value = match (request.verb, present) {
            (Verb::List, _) => json!({
                "apiVersion": def.api_version(),
                "kind": format!("{}List", def.kind),
                "metadata": {"resourceVersion": "1"},
                "items": self.list(&def.prefix()),
            }),
            (Verb::Create, Some(_)) => return Err(Status::already_exists(def, &name)),
            (Verb::Create, None) | (Verb::Update, Some(_)) => {
                validated(def, body());
                self.set(&def.prefix(), key, body())
            }
            (Verb::Get, Some(present)) => present,
            (Verb::Delete, Some(present)) => {
                self.objects.lock().remove(&key);
                self.tell(&def.prefix(), EventType::Deleted, &present);
                present
            }
            (_, None) => return Err(Status::not_found(def, &name)),
            _ => return Err(Status::not_implemented("that verb of the tests' API")),
        };
        Ok(bytes(&value))
    }

    async fn watch(&self, request: WatchRequest) -> Result<RawEvents, Status> {
        let prefix = request.def.prefix();
        let live = self.events.subscribe();
        let present = self.list(&prefix).into_iter().map(|value| (EventType::Added, bytes(&value)));
        let mark = json!({"kind": request.def.kind, "apiVersion": request.def.api_version(), "metadata": {
            "resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}});
        let first: Vec<_> = present.chain([(EventType::Bookmark, bytes(&mark))]).collect();
        let first = futures::stream::iter(first).map(|(kind, object)| Ok(RawEvent { kind, object }));
        let live = futures::stream::unfold((live, prefix), |(mut live, prefix)| async move {
            loop {
                let event = live.recv().await.ok()?;
                if event.prefix == prefix {
                    return Some((Ok(RawEvent { kind: event.kind, object: event.object }), (live, prefix)));
                }
            }
        });
        Ok(first.chain(live).boxed())
    }
}
