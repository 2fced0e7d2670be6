//! Inputs that nest, repeat, refer or grow: each is short to say, and refused or served in bounded time and memory.

use super::assert_memory_was_bounded;
use super::requests::{check, send};
use crate::cluster::Cluster;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/m";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    open.repeat(times) + inner + &close.repeat(times)
}

fn map_with(field: &str, value: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m"}},"{field}":{value}}}"#)
}

/// A definition whose schema is this.
fn definition(schema: &str) -> String {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "deeps.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "deeps", "kind": "Deep"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": "SCHEMA"}}]}})
    .to_string()
    .replace("\"SCHEMA\"", schema)
}

/// Eight levels of lists, each of which has the one before ten times.
fn laughs() -> String {
    let levels =
        (1..9).map(|level| format!("{}: &a{level} [{}]\n", level, vec![format!("*a{}", level - 1); 10].join(",")));
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: laughs}}\n0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}",
        levels.collect::<String>()
    )
}

/// A field of protobuf that holds bytes.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    for mut rest in [number << 3 | 2, bytes.len() as u64] {
        while rest >= 0x80 {
            field.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        field.push(rest as u8);
    }
    [field.as_slice(), bytes].concat()
}

/// A definition whose schema has itself in it: `spec.versions[0].schema.openAPIV3Schema.not.not…`.
fn protobuf_nested(levels: usize) -> Vec<u8> {
    let schema = (0..levels).fold(Vec::new(), |inner, _| field(28, &inner));
    let definition = [2, 7, 4, 1].iter().rev().fold(schema, |inner, number| field(*number, &inner));
    let kind = [field(1, b"apiextensions.k8s.io/v1"), field(2, b"CustomResourceDefinition")].concat();
    [b"k8s\0".as_slice(), &field(1, &kind), &field(2, &definition)].concat()
}

fn bodies() -> Vec<(&'static str, &'static str, &'static str, &'static str, String)> {
    let deep = 100_000;
    let label = |value: &str| map_with("metadata", &format!(r#"{{"name":"x","labels":{value}}}"#));
    let fields = format!(
        r#"{{"name":"x","managedFields":[{{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{}}}]}}"#,
        nested(r#"{"f:a":"#, "{}", "}", 20_000)
    );
    let object = nested(r#"{"properties":{"a":{"type":"object","#, r#""x":1"#, "}}}", 5_000);
    let schema = nested(r#"{"type":"object","properties":{"a":"#, r#"{"type":"string"}"#, "}}", 90);
    let any = nested(r#"{"allOf":["#, r#"{"minimum":1}"#, "]}", 300);
    let pattern = r#"{"type":"object","properties":{"a":{"type":"string","pattern":"((((a{999}){999}){999}){999})"}}}"#;
    let rule = format!(
        r#"{{"type":"object","x-kubernetes-validations":[{{"rule":"{}"}}]}}"#,
        nested("(", "true", ")", 20_000)
    );
    vec![
        ("arrays", "POST", MAPS, JSON, map_with("data", &nested("[", "", "]", deep))),
        ("objects", "POST", MAPS, JSON, map_with("data", &nested(r#"{"a":"#, "1", "}", deep))),
        ("unknown nesting", "POST", MAPS, JSON, map_with("unknown", &nested("[", "", "]", deep))),
        ("never closed", "POST", MAPS, JSON, "[".repeat(1 << 20)),
        ("many members", "POST", MAPS, JSON, label(&format!("{{{}}}", vec![r#""a":"b""#; 100_000].join(",")))),
        ("a long number", "POST", MAPS, JSON, map_with("data", &"9".repeat(1 << 20))),
        ("a long exponent", "POST", MAPS, JSON, map_with("data", "1e999999999")),
        ("managed fields", "POST", MAPS, JSON, map_with("metadata", &fields)),
        ("flow style", "POST", MAPS, YAML, nested("[", "", "]", deep)),
        ("block style", "POST", MAPS, YAML, (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect()),
        ("references", "POST", MAPS, YAML, laughs()),
        ("itself", "POST", MAPS, YAML, "a: &a\n  b: *a\n".to_owned()),
        ("many documents", "POST", MAPS, YAML, "---\na: 1\n".repeat(50_000)),
        ("long keys", "POST", MAPS, YAML, format!("? {}\n: 1\n", "k".repeat(1 << 20))),
        (
            "operations",
            "PATCH",
            MAP,
            JSON_PATCH,
            format!("[{}]", vec![r#"{"op":"test","path":"/data/k","value":"1"}"#; 20_000].join(",")),
        ),
        (
            "copies",
            "PATCH",
            MAP,
            JSON_PATCH,
            format!("[{}]", vec![r#"{"op":"copy","from":"/data","path":"/data/x"}"#; 200].join(",")),
        ),
        (
            "a path",
            "PATCH",
            MAP,
            JSON_PATCH,
            format!(r#"[{{"op":"add","path":"{}","value":1}}]"#, "/a".repeat(200_000)),
        ),
        ("merged", "PATCH", MAP, MERGE, nested(r#"{"a":"#, "1", "}", deep)),
        ("merged nulls", "PATCH", MAP, MERGE, map_with("data", &nested(r#"{"a":"#, "null", "}", 110))),
        ("strategic", "PATCH", MAP, STRATEGIC, nested(r#"{"metadata":"#, "1", "}", deep)),
        (
            "directives",
            "PATCH",
            MAP,
            STRATEGIC,
            format!(r#"{{"metadata":{{"finalizers":[{}]}}}}"#, vec![r#""a""#; 100_000].join(",")),
        ),
        (
            "applied",
            "PATCH",
            "/api/v1/namespaces/default/configmaps/m?fieldManager=f",
            APPLY,
            nested(r#"{"a":"#, "1", "}", deep),
        ),
        ("applied references", "PATCH", "/api/v1/namespaces/default/configmaps/laughs?fieldManager=f", APPLY, laughs()),
        ("a schema too deep", "POST", DEFINITIONS, JSON, definition(&object)),
        (
            "a deep schema",
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All",
            JSON,
            definition(&schema),
        ),
        (
            "junctors",
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All",
            JSON,
            definition(&any),
        ),
        (
            "a pattern",
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All",
            JSON,
            definition(pattern),
        ),
        (
            "a rule",
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All",
            JSON,
            definition(&rule),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nest_and_grow() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "m"}, "data": {"k": "1"}})).await.expect(201);
    for (what, method, path, of, body) in bodies() {
        let answer = send(&cluster, method, path, of, body.into_bytes()).await.unwrap();
        eprintln!("{what}: {} {:.150}", answer.code, answer.message());
        check(&answer, || what.to_owned());
    }
    let of = "application/vnd.kubernetes.protobuf";
    let answer = send(&cluster, "POST", DEFINITIONS, of, protobuf_nested(20_000)).await.unwrap();
    check(&answer, || "protobuf".to_owned());
    cluster.get(MAP).await.expect(200);
    assert_memory_was_bounded();
    cluster.shutdown().await;
}

#[test]
fn protobuf_messages_within_themselves() {
    let rows = api::object::builtin().iter();
    let name = rows.map(|row| row.def()).find(|def| def.kind == "CustomResourceDefinition").unwrap().message;
    let decoded = api::schema::proto::decode(name, &protobuf_nested(20)).unwrap();
    assert!(decoded.to_string().contains(&"{\"not\":".repeat(20)), "{decoded}");
    assert!(api::schema::proto::decode(name, &protobuf_nested(20_000)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_repeat() {
    let cluster = Cluster::start().await;
    for (what, path) in [
        ("a selector", format!("/api/v1/pods?labelSelector={}", "a%3Db,".repeat(2_000))),
        ("a set", format!("/api/v1/pods?labelSelector=a+in+({})", "b,".repeat(5_000))),
        ("brackets", format!("/api/v1/pods?labelSelector={}", "(".repeat(10_000))),
        ("fields", format!("/api/v1/pods?fieldSelector={}", "metadata.name%3Da,".repeat(500))),
        ("parameters", format!("/api/v1/pods?{}", "a=b&".repeat(3_000))),
        ("segments", format!("/api/v1{}", "/a".repeat(5_000))),
        ("slashes", "/".repeat(10_000)),
        ("escapes", format!("/api/v1/namespaces/{}", "%25".repeat(4_000))),
        ("a continuation", format!("/api/v1/pods?limit=1&continue={}", "A".repeat(12_000))),
        ("a large limit", "/api/v1/pods?limit=9223372036854775807".to_owned()),
        ("a negative limit", "/api/v1/pods?limit=-1".to_owned()),
        ("checks", format!("/readyz?{}", "exclude=a&".repeat(2_000))),
    ] {
        let answer = send(&cluster, "GET", &path, JSON, Vec::new()).await.unwrap();
        eprintln!("{what}: {} {:.150}", answer.code, String::from_utf8_lossy(&answer.body));
        check(&answer, || what.to_owned());
    }
    assert_memory_was_bounded();
    cluster.shutdown().await;
}
