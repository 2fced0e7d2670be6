//! Objects of a custom kind, from a body to what is stored and what is refused.

use super::{Definition, Lease, Schemas};
use crate::object::{Object, Registered};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

fn definition(schema: Value, extra: Value) -> Arc<Definition> {
    let mut version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    version.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}},
    }))
    .unwrap();
    let schemas = Schemas::of(&crd.spec.versions).unwrap();
    Arc::new(Definition::of(&crd, &crd.spec.versions[0], &schemas, None).unwrap())
}

fn spec(properties: Value) -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})
}

fn object(lease: &Lease, spec: Value) -> (Box<dyn Object>, Vec<String>) {
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let body = body.to_string();
    let checked = lease.kind().check(body.as_bytes()).unwrap();
    let mut object = lease.kind().decode(&checked.json).unwrap();
    object.defaults();
    (object, checked.strict_errors)
}

fn texts(object: &dyn Object) -> Vec<String> {
    object.validate().iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_schema_does_not_name_is_pruned() {
    let schema = spec(json!({
        "known": {"type": "string"},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"closed": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    }));
    let lease = Lease::new(definition(schema, json!({}))).unwrap();
    let (object, unknown) = object(
        &lease,
        json!({"known": "k", "other": 1, "open": {"x": {"y": 1}, "closed": {"a": 1, "b": 2}},
            "list": [{"a": 1, "b": 2}], "map": {"k": {"a": 1, "b": 2}}}),
    );
    assert_eq!(
        object.to_value().unwrap()["spec"],
        json!({"known": "k", "open": {"x": {"y": 1}, "closed": {"a": 1}}, "list": [{"a": 1}], "map": {"k": {"a": 1}}})
    );
    assert_eq!(
        unknown,
        ["spec.other", "spec.open.closed.b", "spec.list[0].b", "spec.map.k.b"].map(|p| format!("unknown field {p:?}"))
    );
}

#[test]
fn defaults_fill_what_is_missing_or_may_not_be_null() {
    let schema = spec(json!({
        "replicas": {"type": "integer", "default": 1},
        "nothing": {"type": "string", "default": "x", "nullable": true},
        "items": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "d"}}}},
    }));
    let lease = Lease::new(definition(schema, json!({}))).unwrap();
    let (object, _) = object(&lease, json!({"replicas": null, "nothing": null, "items": [{}]}));
    let stored = object.to_value().unwrap();
    assert_eq!(stored["spec"], json!({"replicas": 1, "nothing": null, "items": [{"p": "d"}]}));
}

#[test]
fn complaints_are_upstreams() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["must"], "properties": {
        "must": {"type": "string"},
        "number": {"type": "integer", "minimum": 1, "maximum": 10},
        "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 3},
        "size": {"type": "string", "enum": ["S", "M"]},
        "port": {"x-kubernetes-int-or-string": true},
        "ip": {"type": "string", "format": "ipv4"},
        "set": {"type": "array", "maxItems": 2, "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
        "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    }}}});
    let lease = Lease::new(definition(schema, json!({}))).unwrap();
    for (spec, wanted) in [
        (json!({}), "spec.must: Required value"),
        (
            json!({"must": 1}),
            "spec.must: Invalid value: \"integer\": spec.must in body must be of type string: \"integer\"",
        ),
        (
            json!({"must": "", "number": "3"}),
            "spec.number: Invalid value: \"string\": spec.number in body must be of type integer: \"string\"",
        ),
        (
            json!({"must": "", "number": 0}),
            "spec.number: Invalid value: 0: spec.number in body should be greater than or equal to 1",
        ),
        (
            json!({"must": "", "number": 11}),
            "spec.number: Invalid value: 11: spec.number in body should be less than or equal to 10",
        ),
        (
            json!({"must": "", "name": "A1"}),
            "spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'",
        ),
        (
            json!({"must": "", "name": "a"}),
            "spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long",
        ),
        (json!({"must": "", "name": "aaaa"}), "spec.name: Too long: may not be more than 3 bytes"),
        (json!({"must": "", "size": "L"}), "spec.size: Unsupported value: \"L\": supported values: \"S\", \"M\""),
        (
            json!({"must": "", "port": true}),
            "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
        (json!({"must": "", "ip": "x"}), "spec.ip: Invalid value: \"x\": spec.ip in body must be of type ipv4: \"x\""),
        (json!({"must": "", "set": ["a", "a"]}), "spec.set[1]: Duplicate value: \"a\""),
        (json!({"must": "", "set": ["a", "b", "c"]}), "spec.set: Too many: 3: must have at most 2 items"),
        (json!({"must": "", "map": [{"k": "a"}, {"k": "a"}]}), "spec.map[1]: Duplicate value: {\"k\":\"a\"}"),
        (
            json!({"must": "", "one": {"a": "1", "b": "2"}}),
            "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid \
             alternatives",
        ),
    ] {
        let (object, _) = object(&lease, spec.clone());
        assert_eq!(texts(object.as_ref()), [wanted], "{spec}");
    }
    let (good, _) = object(
        &lease,
        json!({"must": "x", "number": 5, "name": "ab", "size": "S", "port": "http",
        "ip": "10.0.0.1", "set": ["a"], "map": [{"k": "a"}, {"k": "b"}], "one": {"a": "1"}}),
    );
    assert_eq!(texts(good.as_ref()), [""; 0]);
}

#[test]
fn what_stays_as_it_was_is_not_judged_again() {
    let loose = spec(json!({"a": {"type": "integer"}, "b": {"type": "integer"}}));
    let strict = spec(json!({"a": {"type": "integer", "maximum": 3}, "b": {"type": "integer", "maximum": 3}}));
    let old = object(&Lease::new(definition(loose, json!({}))).unwrap(), json!({"a": 9, "b": 1})).0;
    let lease = Lease::new(definition(strict, json!({}))).unwrap();
    let mut kept = object(&lease, json!({"a": 9, "b": 2})).0;
    kept.prepare_update(old.as_ref());
    assert_eq!(texts(kept.as_ref()), [""; 0]);
    let mut changed = object(&lease, json!({"a": 8, "b": 1})).0;
    changed.prepare_update(old.as_ref());
    assert_eq!(texts(changed.as_ref()).len(), 1);
}

#[test]
fn status_is_a_part_of_its_own_where_the_definition_says_so() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "status": {"type": "object", "properties": {"b": {"type": "integer"}}}}});
    let lease = Lease::new(definition(schema, json!({"subresources": {"status": {}}}))).unwrap();
    let make = |spec: i32, status: i32| {
        let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
            "spec": {"a": spec}, "status": {"b": status}});
        lease.kind().from_value(body).unwrap()
    };
    let old = make(1, 1);
    let mut new = make(2, 2);
    new.prepare_update(old.as_ref());
    assert_eq!(
        (&new.to_value().unwrap()["spec"]["a"], &new.to_value().unwrap()["status"]["b"]),
        (&json!(2), &json!(1))
    );
    assert!(new.spec_differs(old.as_ref()));
    let mut new = make(2, 2);
    new.prepare_status(old.as_ref());
    assert_eq!(
        (&new.to_value().unwrap()["spec"]["a"], &new.to_value().unwrap()["status"]["b"]),
        (&json!(1), &json!(2))
    );
    assert!(!new.spec_differs(old.as_ref()));
}

#[test]
fn a_row_is_made_once_and_a_kind_comes_back() {
    let columns = json!({"additionalPrinterColumns": [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}]});
    let first = Lease::new(definition(spec(json!({"size": {"type": "integer"}})), columns.clone())).unwrap();
    let second = Lease::new(definition(spec(json!({})), columns)).unwrap();
    assert!(std::ptr::eq(first.kind().def(), second.kind().def()));
    assert!(!std::ptr::eq(first.kind(), second.kind()));
    let (object, _) = object(&first, json!({"size": 3}));
    let row = serde_json::to_value(object.row(Timestamp::UNIX_EPOCH)).unwrap();
    assert_eq!(row, json!(["w", 3, null]));
    drop(second);
    assert!(first.kind().is_served());
}
