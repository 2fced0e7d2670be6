//! Field management by examples, and by properties that hold for any objects.

use super::*;
use jiff::Timestamp;
use serde_json::{Value, json};

mod properties;

pub(super) fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn author(manager: &str) -> Author<'_> {
    Author { manager, api_version: "apps/v1", subresource: "" }
}

fn deployment() -> Schema<'static> {
    Schema::of_message("k8s.io.api.apps.v1.Deployment")
}

/// An object and its books, as a server keeps them.
struct World {
    schema: Schema<'static>,
    value: Value,
    managed: Managed,
    now: i64,
}

impl World {
    fn new(message: &str) -> World {
        World { schema: Schema::of_message(message), value: json!({}), managed: Managed::default(), now: 0 }
    }

    fn update(&mut self, manager: &str, value: Value) {
        self.now += 1;
        let changes = compare(self.schema, &self.value, &value);
        self.managed.update(&author(manager), changes, time(self.now));
        self.value = value;
    }

    fn apply(&mut self, manager: &str, intent: Value, force: bool) -> Result<(), String> {
        self.now += 1;
        let (author, nothing) = (author(manager), Set::default());
        let intent = Intent { value: &intent, author, force, ignored: &nothing, allowed: &nothing };
        let applied = self.managed.apply(self.schema, &self.value, &intent, time(self.now));
        let applied = applied.map_err(|conflicts| conflicts.to_string())?;
        (self.value, self.managed) = (applied.value, applied.managed);
        Ok(())
    }

    /// Who manages what, one line each.
    fn books(&self) -> Vec<String> {
        let line = |entry: &Entry| format!("{} {:?} {}", entry.manager, entry.operation, entry.set.encode());
        self.managed.entries.iter().map(line).collect()
    }
}

#[test]
fn sets_are_written_as_upstream_writes_them() {
    for text in [
        r#"{}"#,
        r#"{"f:data":{".":{},"f:key":{}},"f:metadata":{"f:labels":{"f:a/b":{}}}}"#,
        r#"{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}"#,
        r#"{"f:metadata":{"f:finalizers":{"v:\"a\\\"b\"":{}}},"i:3":{}}"#,
    ] {
        assert_eq!(Set::decode(text).unwrap().encode(), text);
    }
    // Sorted, whatever came first; what is not understood is skipped.
    let text = r#"{"v:1":{},"k:{\"b\":1,\"a\":2}":{},"x:?":{},"f:b":{},"f:a":{"x:?":{}},"i:0":{}}"#;
    let sorted = r#"{"f:a":{},"f:b":{},"k:{\"a\":2,\"b\":1}":{},"v:1":{},"i:0":{}}"#;
    assert_eq!(Set::decode(text).unwrap().encode(), sorted);
    assert!(Set::decode(r#"{"f:a":3}"#).is_err());
}

#[test]
fn paths_read_as_in_messages() {
    let text = r#"{"f:spec":{"f:containers":{"k:{\"name\":\"c\",\"n\":1}":{"f:args":{"v:\"-x\"":{},"i:2":{}}}}}}"#;
    let paths: Vec<String> = Set::decode(text).unwrap().paths().iter().map(ToString::to_string).collect();
    assert_eq!(paths, [r#".spec.containers[n=1,name="c"].args[="-x"]"#, r#".spec.containers[n=1,name="c"].args[2]"#]);
}

#[test]
fn a_creator_manages_what_it_wrote() {
    let mut world = World::new("k8s.io.api.apps.v1.Deployment");
    world.update(
        "m",
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "1"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "1"}}, "template": {
                "metadata": {"labels": {"a": "1"}},
                "spec": {"securityContext": {}, "containers": [{"name": "c", "image": "i",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
                    "tolerations": [{"key": "k"}]}}}}),
    );
    assert_eq!(
        world.books(),
        [concat!(
            r#"m Update {"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"#,
            r#""f:template":{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"#,
            r#""f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"#,
            r#""f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}}}},"#,
            r#""f:securityContext":{},"f:tolerations":{}}}}}"#
        )]
    );
}

#[test]
fn an_update_takes_what_it_changes() {
    let mut world = World::new("k8s.io.api.core.v1.ConfigMap");
    world.update("one", json!({"data": {"a": "1", "b": "1"}}));
    world.update("two", json!({"data": {"a": "2", "c": "2"}}));
    assert_eq!(world.books(), [r#"one Update {"f:data":{}}"#, r#"two Update {"f:data":{"f:a":{},"f:c":{}}}"#]);
    let before = world.managed.clone();
    world.update("three", world.value.clone());
    assert_eq!(world.managed, before, "who changes nothing manages nothing");
    for index in 0..20 {
        let mut value = world.value.clone();
        value["data"][format!("k{index}")] = json!("x");
        world.update(&format!("u{index:02}"), value);
    }
    assert_eq!(world.managed.entries.len(), 10);
    let ancient = world.managed.entries.iter().find(|entry| entry.manager == "ancient-changes").unwrap();
    assert!(ancient.set.has_fields(&["data", "c"]), "{}", ancient.set.encode());
    assert!(ancient.set.has_fields(&["data", "k10"]) && !ancient.set.has_fields(&["data", "k11"]));
}

#[test]
fn an_applier_owns_its_intent_and_no_more() {
    let mut world = World::new("k8s.io.api.core.v1.ConfigMap");
    world.apply("a", json!({"data": {"x": "1", "y": "1"}, "metadata": {"labels": {"l": "1"}}}), false).unwrap();
    assert_eq!(world.books(), [r#"a Apply {"f:data":{"f:x":{},"f:y":{}},"f:metadata":{"f:labels":{"f:l":{}}}}"#]);
    world.update("u", {
        let mut value = world.value.clone();
        value["data"]["z"] = json!("u");
        value
    });
    // What is no longer said goes, what others have stays.
    world.apply("a", json!({"data": {"y": "1"}}), false).unwrap();
    assert_eq!(world.value, json!({"data": {"y": "1", "z": "u"}}));
    assert_eq!(world.books(), [r#"a Apply {"f:data":{"f:y":{}}}"#, r#"u Update {"f:data":{"f:z":{}}}"#]);
    world.apply("b", json!({"data": {"y": "1"}}), false).unwrap();
    world.apply("a", json!({"data": {"x": "1"}}), false).unwrap();
    assert_eq!(world.value["data"]["y"], "1", "another applier still says it");
}

#[test]
fn conflicts_name_the_manager_and_the_field() {
    let mut world = World::new("k8s.io.api.apps.v1.Deployment");
    world.update("kubectl-client-side-apply", json!({"spec": {"replicas": 1, "paused": true}}));
    let refused = world.apply("a", json!({"spec": {"replicas": 2}}), false).unwrap_err();
    assert_eq!(
        refused,
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas"
    );
    let refused = world.apply("a", json!({"spec": {"replicas": 2, "paused": false}}), false).unwrap_err();
    assert_eq!(
        refused,
        "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n- .spec.paused\n- \
         .spec.replicas"
    );
    world.apply("a", json!({"spec": {"replicas": 1}}), false).unwrap();
    world.apply("a", json!({"spec": {"replicas": 2}}), true).unwrap();
    assert_eq!(
        world.books(),
        [r#"a Apply {"f:spec":{"f:replicas":{}}}"#, r#"kubectl-client-side-apply Update {"f:spec":{"f:paused":{}}}"#]
    );
    let refused = world.apply("b", json!({"spec": {"replicas": 3}}), false).unwrap_err();
    assert_eq!(refused, "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
}

#[test]
fn associative_lists_merge_by_their_keys() {
    let mut world = World::new("k8s.io.api.core.v1.Service");
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    world.apply("a", ports(json!([{"port": 80, "name": "web"}])), false).unwrap();
    world.update("u", ports(json!([{"port": 80, "name": "web", "protocol": "TCP", "nodePort": 30000}])));
    // Without its protocol the item is the one with the default protocol; the other is another.
    world.apply("a", ports(json!([{"port": 81, "name": "new"}, {"port": 80, "name": "web"}])), false).unwrap();
    assert_eq!(
        world.value["spec"]["ports"],
        json!([{"port": 81, "name": "new"}, {"port": 80, "name": "web", "protocol": "TCP", "nodePort": 30000}])
    );
    world.apply("a", ports(json!([{"port": 81, "name": "new"}])), false).unwrap();
    // An item goes whole, with what others only added to it.
    assert_eq!(world.value["spec"]["ports"], json!([{"port": 81, "name": "new"}]));
    assert_eq!(
        validate(world.schema, &ports(json!([{"port": 80}, {"port": 80, "protocol": "TCP"}, {"name": "x"}]))).unwrap(),
        "errors:\n  .spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]\n  .spec.ports: element 2: \
         associative list with keys has an element that omits key field \"port\" (and doesn't have default value)"
    );
}

#[test]
fn items_stand_in_the_intents_order() {
    let schema = Schema::of_message("k8s.io.api.core.v1.PodSpec");
    let list = |names: &str| json!({"containers": names.chars().map(|name| json!({"name": name.to_string()})).collect::<Vec<_>>()});
    for (live, intent, merged) in [
        ("abc", "cb", "acb"),
        ("abc", "xb", "axbc"),
        ("ab", "ba", "ba"),
        ("", "ba", "ba"),
        ("xy", "", "xy"),
        ("axb", "ba", "xba"),
    ] {
        assert_eq!(merge(schema, list(live), &list(intent)), list(merged), "{live} {intent}");
    }
}

#[test]
fn an_intent_must_fit_the_schema() {
    for (intent, complaint) in [
        (json!({"spec": {"foo": 1}}), Some(".spec.foo: field not declared in schema")),
        (json!({"spec": {"replicas": "x"}}), Some(".spec.replicas: expected numeric (int or float), got \"x\"")),
        (
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            Some(".spec.template.spec.containers: expected list, got {}"),
        ),
        (json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": null}}), None),
    ] {
        assert_eq!(validate(deployment(), &intent).as_deref(), complaint);
    }
}

#[test]
fn managed_fields_are_read_and_written_back() {
    let text = concat!(
        r#"[{"manager":"a\"b","operation":"Apply","apiVersion":"v1","time":"2001-09-09T01:46:40Z","fieldsType":"FieldsV1","#,
        r#""fieldsV1":{"f:data":{}}},{"manager":"k","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","#,
        r#""fieldsV1":{"f:status":{}},"subresource":"status"}]"#
    );
    let managed = Managed::decode(text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(managed.encode()).unwrap(), text);
    for (bad, why) in [
        (r#"[{"manager":"a","apiVersion":"v1"}]"#, "operation must be `Apply` or `Update`"),
        (r#"[{"operation":"Apply","fieldsType":"FieldsV1"}]"#, "apiVersion must not be empty"),
        (r#"[{"operation":"Apply","apiVersion":"v1"}]"#, "fieldsType must be `FieldsV1`"),
    ] {
        assert_eq!(Managed::decode(bad.as_bytes()).unwrap_err().to_string(), why);
    }
}

#[test]
fn kubectl_takes_over_what_its_client_side_left() {
    let mut world = World::new("k8s.io.api.apps.v1.Deployment");
    let last = r#"{"apiVersion":"apps/v1","spec":{"replicas":1,"paused":true}}"#;
    let value = json!({"apiVersion": "apps/v1", "metadata": {"annotations": {LAST_APPLIED: last}}, "spec": {"replicas": 1, "paused": false}});
    world.update("m", value.clone());
    let allowed = allowed_conflicts(world.schema, &world.value, "apps/v1").unwrap();
    assert!(allowed.has_fields(&["spec", "replicas"]));
    assert!(!allowed.has_fields(&["spec", "paused"]), "somebody changed it since");
    assert_eq!(allowed_conflicts(world.schema, &world.value, "v1"), None);
}

#[test]
fn the_golden_objects_keep_their_books() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/wire/v1.36.0.tar.gz");
    let Ok(file) = std::fs::File::open(path) else {
        eprintln!("SKIPPED: {path} is absent");
        return;
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut seen = 0;
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        if entry.path().unwrap().extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let value: Value = serde_json::from_reader(entry).unwrap();
        let Some(books) = value.pointer("/metadata/managedFields").and_then(Value::as_array) else { continue };
        let (api_version, kind) = (value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap());
        for book in books {
            let set = Set::decode(&book["fieldsV1"].to_string()).unwrap();
            assert_eq!(set.encode(), book["fieldsV1"].to_string());
        }
        let Some(row) = crate::object::find_kind(api_version, kind) else { continue };
        let schema = Schema::of_message(row.def().message);
        let all = extract(schema, &value);
        assert_eq!(created_of_json(schema, value.to_string().as_bytes()).unwrap(), created(schema, &value), "{kind}");
        assert_eq!(Set::decode(&all.encode()).unwrap(), all, "{kind}");
        assert_eq!(merge(schema, value.clone(), &value), value, "{kind} over itself");
        assert!(compare(schema, &value, &value).is_empty());
        assert_eq!(
            remove(schema, value.clone(), &all.with_named_fields(schema)),
            Value::Null,
            "{kind} without all it has"
        );
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}
