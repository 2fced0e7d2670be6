//! The v2 document in gnostic's protobuf form (`openapi.v2.Document`), which older clients insist on.
//!
//! Invariants: made from the JSON document, so that both always say the same; only what that document can hold is
//! written. Values of any type travel as YAML, of which JSON is a part.

use crate::schema::proto::Writer;
use serde_json::{Map, Value};

type Members = Map<String, Value>;

pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut writer = Writer::new();
    nested(&mut writer, 13, |writer| {
        named(writer, 1, &document["securityDefinitions"], |writer, value| nested(writer, 2, |w| api_key(w, value)));
    });
    many(&mut writer, 12, &document["security"], |writer, value| {
        named(writer, 1, value, |writer, scopes| texts(writer, 1, scopes));
    });
    nested(&mut writer, 9, |writer| named(writer, 1, &document["definitions"], schema));
    nested(&mut writer, 8, |writer| named(writer, 2, &document["paths"], path_item));
    nested(&mut writer, 2, |writer| {
        text(writer, 2, &document["info"]["version"]);
        text(writer, 1, &document["info"]["title"]);
    });
    text(&mut writer, 1, &document["swagger"]);
    writer.finish()
}

fn api_key(writer: &mut Writer, value: &Value) {
    text(writer, 4, &value["description"]);
    text(writer, 3, &value["in"]);
    text(writer, 2, &value["name"]);
    text(writer, 1, &value["type"]);
}

fn path_item(writer: &mut Writer, item: &Value) {
    many(writer, 9, &item["parameters"], parameters_item);
    let methods = [("patch", 8), ("head", 7), ("options", 6), ("delete", 5), ("post", 4), ("put", 3), ("get", 2)];
    for (method, number) in methods {
        one(writer, number, &item[method], operation);
    }
}

fn operation(writer: &mut Writer, value: &Value) {
    extensions(writer, 13, value);
    texts(writer, 10, &value["schemes"]);
    nested(writer, 9, |writer| {
        named(writer, 1, &value["responses"], |writer, response| nested(writer, 1, |w| self::response(w, response)));
    });
    many(writer, 8, &value["parameters"], parameters_item);
    texts(writer, 7, &value["consumes"]);
    texts(writer, 6, &value["produces"]);
    text(writer, 5, &value["operationId"]);
    text(writer, 3, &value["description"]);
    texts(writer, 1, &value["tags"]);
}

fn response(writer: &mut Writer, value: &Value) {
    one(writer, 2, &value["schema"], |writer, value| nested(writer, 1, |writer| schema(writer, value)));
    text(writer, 1, &value["description"]);
}

/// `ParametersItem` holds a `Parameter`, which holds a body or something else, which is a query or path parameter.
fn parameters_item(writer: &mut Writer, value: &Value) {
    nested(writer, 1, |writer| match value["in"].as_str() {
        Some("body") => nested(writer, 1, |writer| {
            one(writer, 5, &value["schema"], schema);
            flag(writer, 4, &value["required"]);
            text(writer, 3, &value["in"]);
            text(writer, 2, &value["name"]);
            text(writer, 1, &value["description"]);
        }),
        Some("path") => nested(writer, 2, |writer| {
            nested(writer, 4, |writer| {
                flag(writer, 18, &value["uniqueItems"]);
                text(writer, 5, &value["type"]);
                parameter_head(writer, value);
            });
        }),
        _ => nested(writer, 2, |writer| {
            nested(writer, 3, |writer| {
                flag(writer, 20, &value["uniqueItems"]);
                text(writer, 6, &value["type"]);
                parameter_head(writer, value);
            });
        }),
    });
}

/// What query and path parameters number alike.
fn parameter_head(writer: &mut Writer, value: &Value) {
    text(writer, 4, &value["name"]);
    text(writer, 3, &value["description"]);
    text(writer, 2, &value["in"]);
    flag(writer, 1, &value["required"]);
}

fn schema(writer: &mut Writer, value: &Value) {
    extensions(writer, 31, value);
    one(writer, 25, &value["properties"], |writer, properties| named(writer, 1, properties, schema));
    one(writer, 23, &value["items"], |writer, items| nested(writer, 1, |writer| schema(writer, items)));
    one(writer, 22, &value["type"], |writer, kind| text(writer, 1, kind));
    one(writer, 21, &value["additionalProperties"], |writer, inner| nested(writer, 1, |writer| schema(writer, inner)));
    texts(writer, 19, &value["required"]);
    one(writer, 5, &value["default"], any);
    text(writer, 4, &value["description"]);
    text(writer, 2, &value["format"]);
    text(writer, 1, &value["$ref"]);
}

fn any(writer: &mut Writer, value: &Value) {
    writer.bytes(2, format!("{value}\n").as_bytes());
}

/// Members whose names begin with `x-`.
fn extensions(writer: &mut Writer, number: u16, value: &Value) {
    let members: Members = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, _)| k.starts_with("x-"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    named(writer, number, &Value::Object(members), any);
}

/// A map as repeated pairs of name and value.
fn named(writer: &mut Writer, number: u16, map: &Value, value: impl Fn(&mut Writer, &Value)) {
    for (name, member) in map.as_object().into_iter().flatten().rev() {
        nested(writer, number, |writer| {
            nested(writer, 2, |writer| value(writer, member));
            writer.bytes(1, name.as_bytes());
        });
    }
}

fn many(writer: &mut Writer, number: u16, list: &Value, element: impl Fn(&mut Writer, &Value)) {
    for value in list.as_array().into_iter().flatten().rev() {
        nested(writer, number, |writer| element(writer, value));
    }
}

fn one(writer: &mut Writer, number: u16, value: &Value, content: impl Fn(&mut Writer, &Value)) {
    if !value.is_null() {
        nested(writer, number, |writer| content(writer, value));
    }
}

fn nested(writer: &mut Writer, number: u16, content: impl FnOnce(&mut Writer)) {
    let end = writer.mark();
    content(writer);
    writer.close(number, end);
}

fn text(writer: &mut Writer, number: u16, value: &Value) {
    if let Some(text) = value.as_str() {
        writer.bytes(number, text.as_bytes());
    }
}

fn texts(writer: &mut Writer, number: u16, list: &Value) {
    for value in list.as_array().into_iter().flatten().rev() {
        text(writer, number, value);
    }
}

fn flag(writer: &mut Writer, number: u16, value: &Value) {
    if value == &Value::Bool(true) {
        writer.varint(number, 1);
    }
}
