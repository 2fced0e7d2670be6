//! Custom resources, from their definition to their end.

use crate::cluster::Cluster;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(crate) const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn definition() -> Value {
    let schema = json!({"type": "object", "description": "A thing with a size.", "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10, "description": "How large it is."},
            "color": {"type": "string", "default": "red", "enum": ["red", "green"]},
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "replicas": {"type": "integer"},
        }},
        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}, "replicas": {"type": "integer"},
            "selector": {"type": "string"}}},
    }});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]}]}})
}

/// Reads a path until the answer suits.
pub(crate) async fn until(cluster: &Cluster, path: &str, what: &str, suits: impl Fn(u16, &Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = cluster.get(path).await;
        let (code, json) = (answer.code, answer.json());
        if suits(code, &json) {
            return json;
        }
        assert!(begun.elapsed() < DEADLINE, "{what} did not come about: {json}");
        tokio::task::yield_now().await;
    }
}

pub(crate) fn condition<'a>(definition: &'a Value, kind: &str) -> &'a Value {
    static NONE: Value = Value::Null;
    let conditions = definition["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&NONE)
}

/// Creates a definition and waits until it is served.
pub(crate) async fn establish(cluster: &Cluster, definition: Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.post(DEFINITIONS, definition).await.expect(201);
    until(cluster, &format!("{DEFINITIONS}/{name}"), "Established", |_, own| {
        condition(own, "Established")["status"] == "True"
    })
    .await
}

pub(crate) fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defined_kind_is_served_like_any_other() {
    let cluster = Cluster::start().await;
    cluster.get(WIDGETS).await.expect(404);
    let established = establish(&cluster, definition()).await;
    assert_eq!(established["status"]["acceptedNames"]["listKind"], "WidgetList");
    assert_eq!(condition(&established, "NamesAccepted")["reason"], "NoConflicts");
    let created = cluster.post(WIDGETS, widget("w", json!({"size": 3, "unknown": 1}))).await.expect(201);
    assert!(created.header("warning").contains("unknown field \\\"spec.unknown\\\""), "{}", created.header("warning"));
    let created = created.json();
    assert_eq!(created["spec"], json!({"size": 3, "color": "red"}));
    assert_eq!(created["metadata"]["generation"], 1);
    let strict = format!("{WIDGETS}?fieldValidation=Strict");
    let strict = cluster.post(&strict, widget("x", json!({"size": 3, "no": 1}))).await.expect(400);
    assert!(strict.message().ends_with("strict decoding error: unknown field \"spec.no\""), "{}", strict.message());
    let refused = cluster.post(WIDGETS, widget("x", json!({"size": 11}))).await.expect(422);
    assert_eq!(
        refused.message(),
        "Widget.example.com \"x\" is invalid: spec.size: Invalid value: 11: spec.size in body should be less than or \
         equal to 10"
    );
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = cluster.send("GET", WIDGETS, &table, "").await.expect(200).json();
    assert_eq!(table["rows"][0]["cells"][1], 3);
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|own| own["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "Size", "Age"]);
    let red = cluster.get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dred")).await.expect(200).json();
    assert_eq!(red["items"].as_array().unwrap().len(), 1);
    assert_eq!((red["kind"].as_str(), red["apiVersion"].as_str()), (Some("WidgetList"), Some("example.com/v1")));
    let green = cluster.get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dgreen")).await.expect(200).json();
    assert_eq!(green["items"], json!([]));
    let patched =
        cluster.patch("merge", &format!("{WIDGETS}/w"), json!({"spec": {"size": 4}})).await.expect(200).json();
    assert_eq!(patched["metadata"]["generation"], 2);
    cluster.patch("strategic-merge", &format!("{WIDGETS}/w"), json!({"spec": {"size": 4}})).await.expect(415);
    cluster.delete(&format!("{WIDGETS}/w")).await.expect(200);
    cluster.get(&format!("{WIDGETS}/w")).await.expect(404);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defined_kind_is_published() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let list = cluster.get("/apis/example.com/v1").await.expect(200).json();
    let names: Vec<&str> =
        list["resources"].as_array().unwrap().iter().map(|own| own["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["widgets", "widgets/scale", "widgets/status"]);
    assert_eq!(list["resources"][0]["shortNames"], json!(["wd"]));
    let aggregated = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let groups = cluster.send("GET", "/apis", &aggregated, "").await.expect(200).json();
    let own = groups["items"].as_array().unwrap().iter().find(|own| own["metadata"]["name"] == "example.com").unwrap();
    assert_eq!(own["versions"][0]["resources"][0]["categories"], json!(["all"]));
    let document = cluster.get("/openapi/v3/apis/example.com/v1").await.expect(200).json();
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["properties"]["spec"]["properties"]["size"]["description"], "How large it is.");
    let second = cluster.get("/openapi/v2").await.expect(200).json();
    assert!(second["definitions"]["com.example.v1.Widget"]["properties"]["spec"].is_object());
    let index = cluster.get("/openapi/v3").await.expect(200).json();
    let hash = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].clone();
    let mut changed = cluster.get(&format!("{DEFINITIONS}/widgets.example.com")).await.expect(200).json();
    let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    changed.pointer_mut(properties).unwrap()["extra"] = json!({"type": "string"});
    cluster.put(&format!("{DEFINITIONS}/widgets.example.com"), changed).await.expect(200);
    until(&cluster, "/openapi/v3", "another hash", |_, index| {
        index["paths"]["apis/example.com/v1"]["serverRelativeURL"] != hash
    })
    .await;
    cluster.post(WIDGETS, widget("w", json!({"size": 3, "extra": "e"}))).await.expect(201);
    let kept = cluster.get(&format!("{WIDGETS}/w")).await.expect(200).json();
    assert_eq!(kept["spec"]["extra"], "e");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_scale_are_subresources() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let mut body = widget("w", json!({"size": 3, "replicas": 2}));
    body["status"] = json!({"ready": true});
    let created = cluster.post(WIDGETS, body).await.expect(201).json();
    assert_eq!(created.get("status"), None);
    let status = json!({"status": {"ready": true, "replicas": 1, "selector": "a=b"}, "spec": {"size": 9}});
    let patched = cluster.patch("merge", &format!("{WIDGETS}/w/status"), status).await.expect(200).json();
    assert_eq!((&patched["spec"]["size"], &patched["status"]["ready"]), (&json!(3), &json!(true)));
    assert_eq!(patched["metadata"]["generation"], 1);
    let scale = cluster.get(&format!("{WIDGETS}/w/scale")).await.expect(200).json();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]), (&json!(2), &json!({"replicas": 1, "selector": "a=b"})));
    cluster.patch("merge", &format!("{WIDGETS}/w/scale"), json!({"spec": {"replicas": 5}})).await.expect(200);
    let read = cluster.get(&format!("{WIDGETS}/w")).await.expect(200).json();
    assert_eq!((&read["spec"]["replicas"], &read["metadata"]["generation"]), (&json!(5), &json!(2)));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_belong_to_the_first_until_it_goes() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let mut other = definition();
    other["metadata"]["name"] = json!("gadgets.example.com");
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget", "shortNames": ["wd"]});
    cluster.post(DEFINITIONS, other).await.expect(201);
    let path = format!("{DEFINITIONS}/gadgets.example.com");
    let refused = until(&cluster, &path, "a conflict", |_, own| condition(own, "NamesAccepted")["status"] == "False");
    let refused = refused.await;
    let accepted = condition(&refused, "NamesAccepted");
    assert_eq!(
        (&accepted["reason"], &accepted["message"]),
        (&json!("ShortNamesConflict"), &json!("\"wd\" is already in use"))
    );
    assert_eq!(condition(&refused, "Established")["reason"], "NotAccepted");
    cluster.get("/apis/example.com/v1/gadgets").await.expect(404);
    cluster.delete(&format!("{DEFINITIONS}/widgets.example.com")).await.expect(200);
    until(&cluster, &path, "Established", |_, own| condition(own, "Established")["status"] == "True").await;
    cluster.get("/apis/example.com/v1/gadgets").await.expect(200);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_goes_takes_its_objects_with_it() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    cluster.post(WIDGETS, widget("plain", json!({"size": 3}))).await.expect(201);
    let mut held = widget("held", json!({"size": 3}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.post(WIDGETS, held).await.expect(201);
    let path = format!("{DEFINITIONS}/widgets.example.com");
    let ending = cluster.delete(&path).await.expect(200).json();
    assert_eq!(ending["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    assert_eq!(condition(&ending, "Terminating")["status"], "True");
    until(&cluster, &format!("{WIDGETS}/plain"), "the end of an object", |code, _| code == 404).await;
    cluster.get(&path).await.expect(200);
    let refused = cluster.post(WIDGETS, widget("late", json!({"size": 3}))).await.expect(405);
    assert_eq!(refused.message(), "create not allowed while custom resource definition is terminating");
    cluster.patch("merge", &format!("{WIDGETS}/held"), json!({"metadata": {"finalizers": null}})).await.expect(200);
    until(&cluster, &path, "the end of the definition", |code, _| code == 404).await;
    until(&cluster, WIDGETS, "the end of the kind", |code, _| code == 404).await;
    let groups = cluster.get("/apis").await.expect(200).json();
    assert!(groups["groups"].as_array().unwrap().iter().all(|group| group["name"] != "example.com"));
    establish(&cluster, definition()).await;
    let empty = cluster.get(WIDGETS).await.expect(200).json();
    assert_eq!(empty["items"], json!([]));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_merges_by_the_definitions_schema() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let path = format!("{WIDGETS}/w");
    cluster.apply("one", "", &path, widget("w", json!({"size": 3, "tags": ["a"]}))).await.expect(201);
    let merged = cluster.apply("two", "", &path, widget("w", json!({"tags": ["b"]}))).await.expect(200).json();
    assert_eq!(merged["spec"]["tags"], json!(["a", "b"]));
    let conflict = cluster.apply("two", "", &path, widget("w", json!({"size": 4}))).await.expect(409);
    assert!(conflict.message().contains("conflict with \"one\": .spec.size"), "{}", conflict.message());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_in_several_versions() {
    let cluster = Cluster::start().await;
    let mut versions = definition();
    let mut second = versions["spec"]["versions"][0].clone();
    second["name"] = json!("v1beta1");
    second["storage"] = json!(false);
    versions["spec"]["versions"].as_array_mut().unwrap().push(second);
    establish(&cluster, versions).await;
    let beta = WIDGETS.replace("/v1/", "/v1beta1/");
    cluster.post(WIDGETS, widget("w", json!({"size": 3}))).await.expect(201);
    let read = cluster.get(&format!("{beta}/w")).await.expect(200).json();
    assert_eq!((&read["apiVersion"], &read["spec"]["size"]), (&json!("example.com/v1beta1"), &json!(3)));
    let listed = cluster.get(&beta).await.expect(200).json();
    assert_eq!(
        (&listed["apiVersion"], &listed["items"][0]["apiVersion"]),
        (&json!("example.com/v1beta1"), &json!("example.com/v1beta1"))
    );
    cluster.patch("merge", &format!("{beta}/w"), json!({"spec": {"size": 4}})).await.expect(200);
    let path = format!("{DEFINITIONS}/widgets.example.com");
    let mut changed = cluster.get(&path).await.expect(200).json();
    changed["spec"]["versions"][0]["storage"] = json!(false);
    changed["spec"]["versions"][1]["storage"] = json!(true);
    let changed = cluster.put(&path, changed).await.expect(200).json();
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v1beta1"]));
    let read = until(&cluster, &format!("{beta}/w"), "the object", |code, _| code == 200).await;
    assert_eq!((&read["apiVersion"], &read["spec"]["size"]), (&json!("example.com/v1beta1"), &json!(4)));
    let read = cluster.get(&format!("{WIDGETS}/w")).await.expect(200).json();
    assert_eq!(read["apiVersion"], "example.com/v1");
    let group = cluster.get("/apis/example.com").await.expect(200).json();
    assert_eq!(group["preferredVersion"]["version"], "v1");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deprecated_version_warns_whoever_asks_for_it() {
    let cluster = Cluster::start().await;
    let mut versions = definition();
    for (name, warning) in [("v1beta1", None), ("v1alpha1", Some("use v1"))] {
        let mut old = versions["spec"]["versions"][0].clone();
        (old["name"], old["storage"], old["deprecated"]) = (json!(name), json!(false), json!(true));
        old["deprecationWarning"] = json!(warning);
        versions["spec"]["versions"].as_array_mut().unwrap().push(old);
    }
    establish(&cluster, versions).await;
    for (version, warning) in [
        ("v1", ""),
        ("v1beta1", "299 - \"example.com/v1beta1 Widget is deprecated\""),
        ("v1alpha1", "299 - \"use v1\""),
    ] {
        let path = WIDGETS.replace("/v1/", &format!("/{version}/"));
        assert_eq!(cluster.get(&path).await.expect(200).header("warning"), warning);
        assert_eq!(cluster.get(&format!("{path}/none")).await.expect(404).header("warning"), warning);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_schema_each_show_what_theirs_names() {
    let cluster = Cluster::start().await;
    let mut versions = definition();
    let mut second = versions["spec"]["versions"][0].clone();
    (second["name"], second["storage"]) = (json!("v2"), json!(false));
    let properties = second.pointer_mut("/schema/openAPIV3Schema/properties/spec/properties").unwrap();
    properties.as_object_mut().unwrap().shift_remove("tags");
    properties["note"] = json!({"type": "string"});
    versions["spec"]["versions"].as_array_mut().unwrap().push(second);
    establish(&cluster, versions).await;
    let path = WIDGETS.replace("/v1/", "/v2/");
    cluster.post(WIDGETS, widget("w", json!({"size": 3, "tags": ["a"]}))).await.expect(201);
    let read = cluster.get(&format!("{path}/w")).await.expect(200).json();
    assert_eq!(read["spec"], json!({"size": 3, "color": "red"}));
    let mut body = widget("x", json!({"size": 3, "note": "n"}));
    body["apiVersion"] = json!("example.com/v2");
    let created = cluster.post(&path, body).await.expect(201).json();
    assert_eq!(created["spec"].get("note"), None, "the stored version has no place for it");
    let conflict = cluster
        .apply(
            "one",
            "",
            &format!("{path}/w"),
            json!({"apiVersion": "example.com/v2",
        "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 4}}),
        )
        .await;
    let manager = conflict.expect(409).message();
    assert!(manager.contains("using example.com/v1: .spec.size"), "{manager}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_schema_comes_to_say_shows_in_what_is_stored() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    cluster.post(WIDGETS, widget("w", json!({"size": 3, "tags": ["a"]}))).await.expect(201);
    let path = format!("{DEFINITIONS}/widgets.example.com");
    let mut changed = cluster.get(&path).await.expect(200).json();
    let properties = changed.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
    properties.as_object_mut().unwrap().shift_remove("tags");
    properties["weight"] = json!({"type": "integer", "default": 7});
    cluster.put(&path, changed.clone()).await.expect(200);
    let wanted = json!({"size": 3, "color": "red", "weight": 7});
    let read = until(&cluster, &format!("{WIDGETS}/w"), "the default", |_, own| own["spec"] == wanted).await;
    let listed = cluster.get(WIDGETS).await.expect(200).json();
    assert_eq!(listed["items"][0]["spec"], wanted);
    assert_eq!(read["metadata"]["generation"], 1);
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["weight"] =
        json!({"type": "integer", "default": 11, "maximum": 10});
    changed["metadata"].as_object_mut().unwrap().shift_remove("resourceVersion");
    changed["metadata"]["resourceVersion"] = cluster.get(&path).await.json()["metadata"]["resourceVersion"].clone();
    let refused = cluster.put(&path, changed).await.expect(422).message();
    let says = "spec.validation.openAPIV3Schema.properties[spec].properties[weight].default: Invalid value: 11:  in \
                body should be less than or equal to 10";
    assert!(refused.ends_with(says), "{refused}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_schema_are_asked() {
    let cluster = Cluster::start().await;
    let mut ruled = definition();
    let spec = ruled.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    spec["x-kubernetes-validations"] = json!([
        {"rule": "self.size != 7", "message": "seven is taken"},
        {"rule": "self.size >= oldSelf.size", "messageExpression": "'was ' + string(oldSelf.size)", "fieldPath": ".size"}]);
    let mut wrong = ruled.clone();
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        json!([{"rule": "self.no"}]);
    let refused = cluster.post(DEFINITIONS, wrong).await.expect(422);
    assert!(
        refused.message().contains("compilation failed: ERROR: <input>:1:5: undefined field 'no'"),
        "{}",
        refused.message()
    );
    establish(&cluster, ruled).await;
    let refused = cluster.post(WIDGETS, widget("w", json!({"size": 7}))).await.expect(422);
    assert_eq!(
        refused.message(),
        "Widget.example.com \"w\" is invalid: spec: Invalid value: \"object\": seven is taken"
    );
    cluster.post(WIDGETS, widget("w", json!({"size": 5}))).await.expect(201);
    let refused = cluster.patch("merge", &format!("{WIDGETS}/w"), json!({"spec": {"size": 4}})).await.expect(422);
    assert!(refused.message().ends_with("spec.size: Invalid value: \"object\": was 5"), "{}", refused.message());
    cluster.patch("merge", &format!("{WIDGETS}/w"), json!({"spec": {"size": 6}})).await.expect(200);
    cluster.shutdown().await;
}

async fn finds_explains_and_applies(program: &str) {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let manifest = widget("w", json!({"size": 3})).to_string();
    let Some((ok, text)) = cluster.run(program, &["apply", "-f", "-"], &manifest).await else { return };
    assert!(ok && text.contains("widget.example.com/w created"), "{text}");
    let wrong = widget("w", json!({"size": 3, "sise": 4})).to_string();
    for (arguments, input, says) in [
        (&["get", "wd"][..], "", &["NAME", "SIZE", "AGE", "w ", "3"][..]),
        (&["get", "all"], "", &["widget.example.com/w"]),
        (&["explain", "widgets.spec"], "", &["size\t<integer> -required-", "How large it is."]),
        (&["apply", "-f", "-"], &manifest, &["widget.example.com/w unchanged"]),
        (&["apply", "--server-side", "-f", "-"], &manifest, &["widget.example.com/w serverside-applied"]),
        (&["scale", "widget", "w", "--replicas=4"], "", &["widget.example.com/w scaled"]),
        (&["get", "widget", "w", "-o", "jsonpath={.spec.replicas}"], "", &["4"]),
        (&["apply", "-f", "-"], &wrong, &["unknown field \"spec.sise\""]),
        (&["delete", "crd", "widgets.example.com"], "", &["deleted"]),
    ] {
        let Some((_, text)) = cluster.run(program, arguments, input).await else { return };
        for part in says {
            assert!(text.contains(part), "kubectl {arguments:?} does not say {part:?}: {text}");
        }
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_explains_and_applies_a_defined_kind() {
    finds_explains_and_applies(crate::cluster::KUBECTL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_kubectl_does_so_too() {
    finds_explains_and_applies(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubectl-1.37/kubectl")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_definitions_come_and_go() {
    let cluster = Cluster::start().await;
    const COUNT: usize = 50;
    let named = |index: usize| {
        let mut own = definition();
        own["metadata"]["name"] = json!(format!("kinds{index}.example.com"));
        own["spec"]["names"] = json!({"plural": format!("kinds{index}"), "kind": format!("Kind{index}")});
        own
    };
    for index in 0..COUNT {
        cluster.post(DEFINITIONS, named(index)).await.expect(201);
    }
    until(&cluster, "/apis/example.com/v1", "all kinds", |_, list| {
        let resources = list["resources"].as_array().map_or(0, Vec::len);
        resources == 3 * COUNT
    })
    .await;
    let document = cluster.get("/openapi/v3/apis/example.com/v1").await.expect(200).json();
    assert!(document["components"]["schemas"][format!("com.example.v1.Kind{}", COUNT - 1)].is_object());
    cluster.delete(DEFINITIONS).await.expect(200);
    until(&cluster, DEFINITIONS, "the end of all", |_, list| list["items"] == json!([])).await;
    until(&cluster, "/apis/example.com/v1", "the end of the group", |code, _| code == 404).await;
    cluster.shutdown().await;
}
