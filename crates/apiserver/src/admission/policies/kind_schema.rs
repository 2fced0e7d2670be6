//! What expressions know of a kind's objects: the table of messages, or a custom kind's own schema.
//!
//! Invariant: what expressions cannot be told exactly (quantities, any JSON, messages within themselves) is anything:
//! a check that warns of what is right is worse than none.

use api::schema::{self as table, Codec, Field, ListType, Message, Shape, Type};
use registry::Resource;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const METADATA: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema of a resource's objects; `None` where there is none to tell.
pub(super) fn schema(resource: &Resource) -> Option<Arc<cel::Schema>> {
    let def = resource.def;
    let mut json = match resource.kind.open_schema() {
        Some(open) => open.as_ref().clone(),
        None => message(table::message(def.message)?, &mut Vec::new()),
    };
    let properties = json.as_object_mut()?.entry("properties").or_insert_with(|| json!({})).as_object_mut()?;
    for name in ["apiVersion", "kind"] {
        properties.insert(name.to_owned(), json!({"type": "string"}));
    }
    properties.insert("metadata".to_owned(), message(table::message(METADATA)?, &mut Vec::new()));
    cel::Schema::from_openapi(&json, def.kind, false).map(Arc::new)
}

fn anything() -> Value {
    json!({"x-kubernetes-int-or-string": true})
}

/// A message with all that it is made of; `around` are those it is part of.
fn message(own: &'static Message, around: &mut Vec<&'static str>) -> Value {
    match own.codec {
        Codec::Object if around.contains(&own.name) => anything(),
        Codec::Object => {
            around.push(own.name);
            let fields = own.fields.iter().filter(|field| !field.inline);
            let properties: Map<String, Value> =
                fields.map(|field| (field.name.to_owned(), property(field, around))).collect();
            around.pop();
            json!({"type": "object", "properties": properties})
        }
        Codec::Time | Codec::MicroTime => json!({"type": "string", "format": "date-time"}),
        Codec::Items => json!({"type": "array", "items": {"type": "string"}}),
        Codec::Duration => json!({"type": "string"}),
        Codec::Quantity | Codec::IntOrString | Codec::Raw => anything(),
    }
}

fn property(field: &Field, around: &mut Vec<&'static str>) -> Value {
    let element = match field.kind {
        Type::String => json!({"type": "string"}),
        Type::Int32 | Type::Int64 => json!({"type": "integer"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Double => json!({"type": "number"}),
        Type::Message(id) => message(id.get(), around),
    };
    match field.shape {
        Shape::One => element,
        Shape::Map => json!({"type": "object", "additionalProperties": element}),
        Shape::List => {
            let mut list = json!({"type": "array", "items": element});
            match field.list_type {
                ListType::Set => list["x-kubernetes-list-type"] = "set".into(),
                ListType::Map(keys) => {
                    list["x-kubernetes-list-type"] = "map".into();
                    list["x-kubernetes-list-map-keys"] = keys.split(',').collect::<Vec<&str>>().into();
                }
                ListType::Atomic | ListType::Unset => {}
            }
            list
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Kind as _;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn expressions_know_the_fields_of_a_kind() {
        let pod = message(table::message(Pod::DEF.message).unwrap(), &mut Vec::new());
        let schema = Arc::new(cel::Schema::from_openapi(&pod, "Pod", false).unwrap());
        let env = cel::Env::kubernetes().object("object", schema);
        for (source, expected) in [
            ("object.spec.containers.all(c, c.image.startsWith('a'))", ""),
            ("object.metadata.labels['a'] == 'b'", ""),
            ("object.spec.containers[0].resources.limits['cpu'] == '1'", ""),
            ("object.metadata.creationTimestamp.getFullYear() > 2000", ""),
            ("object.spec.replicas == 1", "undefined field 'replicas'"),
            ("object.spec.hostNetwork == 'x'", "found no matching overload for '_==_' applied to '(bool, string)'"),
        ] {
            let found = env.compile(source).err().map(|issues| issues.0[0].message.clone()).unwrap_or_default();
            assert_eq!(found, expected, "{source}");
        }
    }
}
