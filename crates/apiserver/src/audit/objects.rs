//! Bodies of requests and answers as events have them: JSON on one line.
//!
//! A body of any kind is a value tree here where it must be written anew: to lose its managed fields, its line breaks,
//! or because it was no JSON.

use super::event::ObjectReference;
use crate::call::{Call, yaml_to_json};
use crate::render::protobuf;
use api::schema::proto;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// JSON on one line; copies share it.
#[derive(Clone, Debug)]
pub(super) struct Object(Arc<RawValue>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl From<Box<RawValue>> for Object {
    fn from(json: Box<RawValue>) -> Object {
        Object(Arc::from(json))
    }
}

/// JSON of a body; `message` is what it is of, should it be protobuf. `None` for what is no object.
pub(super) fn json(content_type: &str, message: &str, body: &Bytes) -> Option<Bytes> {
    if body.is_empty() {
        return None;
    }
    let kind = content_type.split(';').next().unwrap_or_default();
    let json = match kind {
        protobuf::MEDIA_TYPE => protobuf::to_json(&message_of(message, body), body).map(Bytes::from),
        kind if kind.ends_with("yaml") => yaml_to_json(body),
        kind if kind.is_empty() || kind.ends_with("json") => Ok(body.clone()),
        _ => return None,
    };
    json.inspect_err(|status| tracing::debug!(why = status.message, "a body is not told of in the audit log")).ok()
}

/// What an answer's envelope says that it has: the kind itself, a list of it, or a Status.
fn message_of(message: &str, body: &[u8]) -> String {
    match proto::type_meta(body) {
        Ok((_, kind)) if kind == "Status" => protobuf::STATUS.to_owned(),
        Ok((_, kind)) if kind.ends_with("List") && !message.ends_with("List") => format!("{message}List"),
        _ => message.to_owned(),
    }
}

/// The message of a request's body.
pub(super) fn request_message<'a>(call: &'a Call<'_>) -> &'a str {
    match call.info.verb {
        "delete" | "deletecollection" => "k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions",
        _ => call.def().message,
    }
}

/// On one line, without managed fields where they are not wanted. `None` for what is no JSON.
pub(super) fn line(json: &[u8], omit_managed_fields: bool) -> Option<Object> {
    if !omit_managed_fields && !json.contains(&b'\n') {
        return serde_json::from_slice::<Box<RawValue>>(json).ok().map(Object::from);
    }
    let mut value: Value = serde_json::from_slice(json).ok()?;
    if omit_managed_fields {
        forget_managers(&mut value);
    }
    serde_json::value::to_raw_value(&value).ok().map(Object::from)
}

/// Of an object, of a list's items, and of a table's rows.
fn forget_managers(value: &mut Value) {
    forget_own(value);
    for (list, part) in [("items", ""), ("rows", "/object")] {
        let elements = value.get_mut(list).and_then(Value::as_array_mut);
        for element in elements.into_iter().flatten() {
            if let Some(object) = element.pointer_mut(part) {
                forget_own(object);
            }
        }
    }
}

fn forget_own(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    metadata: HeadMetadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HeadMetadata {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
}

/// What the path did not say of the object.
pub(super) fn complete(reference: &mut ObjectReference, json: &[u8]) {
    let Ok(Head { metadata }) = serde_json::from_slice(json) else { return };
    for (field, value) in [
        (&mut reference.name, metadata.name),
        (&mut reference.namespace, metadata.namespace),
        (&mut reference.uid, metadata.uid),
        (&mut reference.resource_version, metadata.resource_version),
    ] {
        if field.is_empty() {
            *field = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_stand_on_one_line_without_what_is_not_wanted() {
        let check = |json: &str, omit: bool| line(json.as_bytes(), omit).map(|object| object.0.get().to_owned());
        assert_eq!(check(r#" {"b": 1, "a":2} "#, false).unwrap(), r#"{"b": 1, "a":2}"#, "as it was sent");
        assert_eq!(
            check("{\n \"b\": 12345678901234567890,\n \"a\": 0.5}", false).unwrap(),
            r#"{"b":12345678901234567890,"a":0.5}"#
        );
        assert_eq!(check("no", false), None);
        let own = r#"{"metadata":{"name":"a","managedFields":[{}],"uid":"u"}}"#;
        let bare = r#"{"metadata":{"name":"a","uid":"u"}}"#;
        assert_eq!(check(own, true).unwrap(), bare);
        let list = |item: &str| format!(r#"{{"metadata":{{}},"items":[{item},{item}],"rows":[{{"object":{item}}}]}}"#);
        assert_eq!(check(&list(own), true).unwrap(), list(bare));
    }

    #[test]
    fn what_the_path_does_not_say_the_object_says() {
        let mut reference = ObjectReference { namespace: "b".to_owned(), ..ObjectReference::default() };
        complete(&mut reference, br#"{"spec":{},"metadata":{"name":"a","namespace":"other","resourceVersion":"7"}}"#);
        let ObjectReference { name, namespace, uid, resource_version, .. } = reference;
        assert_eq!([name, namespace, uid, resource_version], ["a", "b", "", "7"]);
    }
}
