//! Expressions over objects, as custom resources' rules and policies use them.

use cel::limits::PER_CALL_LIMIT;
use cel::{
    Activation, CostRange, Env, EvalError, FieldSource, FieldsRef, Library, Limits, ListIdentity, ObjectType, Program,
    Schema, Type, Value,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

fn schema() -> Arc<Schema> {
    let openapi = json!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "ratio": {"type": "number"},
                    "port": {"x-kubernetes-int-or-string": true},
                    "name": {"type": "string", "maxLength": 10},
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "foo-bar": {"type": "string", "maxLength": 5},
                    "namespace": {"type": "string", "maxLength": 63},
                    "started": {"type": "string", "format": "date-time"},
                    "pause": {"type": "string", "format": "duration"},
                    "data": {"type": "string", "format": "byte"},
                    "labels": {"type": "object", "maxProperties": 4, "additionalProperties": {"type": "string"}},
                    "tags": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set",
                        "items": {"type": "string", "maxLength": 5}},
                    "ports": {"type": "array", "maxItems": 10, "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {
                            "name": {"type": "string"}, "number": {"type": "integer"}}}},
                    "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }
            }
        }
    });
    Arc::new(Schema::from_openapi(&openapi, "Widget", true).expect("an object"))
}

fn object() -> serde_json::Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"},
        "spec": {
            "replicas": 3, "ratio": 2, "port": "http", "name": "web", "foo-bar": "x", "namespace": "n",
            "started": "2020-01-01T00:00:00Z", "pause": "90s", "data": "aGk=",
            "labels": {"app": "web", "a/b": "c"}, "tags": ["a", "b"],
            "ports": [{"name": "http", "number": 80}, {"name": "https", "number": 443}],
        }
    })
}

fn env() -> Env {
    Env::kubernetes().object("self", schema()).object("oldSelf", schema())
}

fn evaluate(env: &Env, expression: &str, new: &serde_json::Value, old: &serde_json::Value) -> Result<String, String> {
    let program = env.compile(expression).map_err(|issues| issues.to_string())?;
    let schema = schema();
    let activation = Activation::new()
        .bind("self", Value::from_json(new, Some(&schema)))
        .bind("oldSelf", Value::from_json(old, Some(&schema)));
    let value = program.evaluate(&activation, Limits::default()).result.map_err(|error| error.to_string())?;
    value.to_json().map(|json| json.to_string()).map_err(|error| error.to_string())
}

#[test]
fn fields_have_the_types_of_their_schema() {
    for (expression, expected) in [
        ("self.spec.replicas + 1", "4"),
        ("self.spec.ratio / 4.0", "0.5"),
        ("self.spec.ratio", "2.0"),
        ("type(self.spec.port) == string && self.spec.port == 'http'", "true"),
        ("self.spec.foo__dash__bar", "\"x\""),
        ("self.spec.__namespace__", "\"n\""),
        ("has(self.spec.foo__dash__bar) && !has(self.spec.color)", "true"),
        ("self.spec.started.getFullYear()", "2020"),
        ("self.spec.started + self.spec.pause == timestamp('2020-01-01T00:01:30Z')", "true"),
        ("size(self.spec.data)", "2"),
        ("string(self.spec.data)", "\"hi\""),
        ("self.spec.labels['a/b']", "\"c\""),
        ("self.spec.labels.all(k, size(k) < 10)", "true"),
        ("self.spec.ports.filter(p, p.number > 100).map(p, p.name)", "[\"https\"]"),
        ("self.spec.ports[0]", "{\"name\":\"http\",\"number\":80}"),
        ("self.spec.?color.orValue('none')", "\"none\""),
        ("self.metadata.name", "\"a\""),
        ("self == oldSelf", "true"),
        ("self.spec.tags == ['b', 'a']", "true"),
        ("self.spec.tags + ['b', 'c']", "[\"a\",\"b\",\"c\"]"),
        ("self.spec.ports + self.spec.ports == self.spec.ports", "true"),
    ] {
        let object = object();
        assert_eq!(evaluate(&env(), expression, &object, &object).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn items_of_sets_and_maps_have_no_order() {
    let (new, mut old) = (object(), object());
    old["spec"]["tags"] = json!(["b", "a"]);
    old["spec"]["ports"].as_array_mut().unwrap().reverse();
    assert_eq!(evaluate(&env(), "self == oldSelf", &new, &old).as_deref(), Ok("true"));
    old["spec"]["ports"][0]["number"] = json!(1);
    assert_eq!(evaluate(&env(), "self == oldSelf", &new, &old).as_deref(), Ok("false"));
    assert_eq!(evaluate(&env(), "self.spec.replicas == oldSelf.spec.replicas", &new, &old).as_deref(), Ok("true"));
}

#[test]
fn mistakes_are_told_where_they_are() {
    for (expression, expected) in [
        ("self.spec.nothing", "ERROR: <input>:1:10: undefined field 'nothing'\n | self.spec.nothing\n | .........^"),
        (
            "self.spec.anything.x",
            "ERROR: <input>:1:19: undefined field 'x'\n | self.spec.anything.x\n | ..................^",
        ),
        (
            "self.spec.replicas ==\n  self.spec.name",
            "ERROR: <input>:1:20: found no matching overload for '_==_' applied to '(int, string)'\n \
             | self.spec.replicas ==\n | ...................^",
        ),
        (
            "[1, 'a'].size() > 0",
            "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a'].size() > 0\n | ....^",
        ),
        (
            "self.spec.name.matches('[')",
            "ERROR: <input>:1:24: invalid matches argument\n | self.spec.name.matches('[')\n | .......................^",
        ),
        (
            "duration('x') == self.spec.pause",
            "ERROR: <input>:1:10: invalid duration argument\n | duration('x') == self.spec.pause\n | .........^",
        ),
    ] {
        assert_eq!(env().compile(expression).unwrap_err().to_string(), expected, "{expression}");
    }
}

#[test]
fn missing_fields_are_errors_when_they_are_used() {
    let empty = json!({"spec": {}});
    for (expression, expected) in [
        ("self.spec.replicas > 0", Err("no such key: replicas")),
        ("!has(self.spec.replicas) || self.spec.replicas > 0", Ok("true")),
        ("self.spec.foo__dash__bar == ''", Err("no such key: foo__dash__bar")),
        ("has(self.spec.ports) && self.spec.ports.size() > 0", Ok("false")),
    ] {
        let found = evaluate(&env(), expression, &empty, &empty);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{expression}");
    }
}

#[test]
fn estimates_follow_the_sizes_of_schemas() {
    for (expression, min, max) in [
        ("self.spec.replicas > 0", 4, 4),
        ("has(self.spec.replicas)", 2, 2),
        ("self.spec.name.startsWith('a')", 4, 4),
        ("self.spec.name.contains('abcdefghijk')", 3, 11),
        ("self.spec.name == 'a'", 4, 4),
        ("self.spec.color + 'x' == ''", 4, 4),
        ("self.spec.tags.all(t, t.size() > 0)", 4, 34),
        ("self.spec.ports.all(p, p.number > 0)", 4, 64),
        ("self.spec.ports.exists(p, self.spec.ports.exists(q, p.name == q.name))", 4, u64::MAX),
    ] {
        let estimate = env().compile(expression).unwrap().cost_estimate();
        if max == u64::MAX {
            assert!(estimate.max > 10_000_000, "{expression}: {estimate:?}");
        } else {
            assert_eq!(estimate, CostRange { min, max }, "{expression}");
        }
    }
}

#[test]
fn what_is_unbounded_is_bounded_by_the_request() {
    let items = json!({"type": "array", "items": {"type": "string"}});
    let schema = Arc::new(Schema::from_openapi(&items, "list", false).unwrap());
    assert_eq!(schema.size_max(), (3 * 1024 * 1024 - 2) / 3);
    let env = Env::kubernetes().object("self", schema);
    let estimate = env.compile("self.all(x, self.all(y, x == y))").unwrap().cost_estimate();
    assert!(estimate.max > cel::limits::ESTIMATE_LIMIT, "{estimate:?}");
}

#[test]
fn evaluation_ends_at_its_cost_limit() {
    let program = Env::standard().compile("[1, 2, 3, 4].all(a, [1, 2, 3, 4].all(b, a + b > 0)) || true").unwrap();
    let whole = program.evaluate(&Activation::new(), Limits::default());
    assert!(whole.result.is_ok() && whole.cost > 50);
    for cost in [0, 10, whole.cost - 1] {
        let limits = Limits { cost, ..Limits::default() };
        let outcome = program.evaluate(&Activation::new(), limits);
        assert_eq!(outcome.result.unwrap_err(), EvalError::CostLimitExceeded, "{cost}");
        assert!(outcome.cost > cost);
    }
    let exact = Limits { cost: whole.cost, ..Limits::default() };
    assert!(program.evaluate(&Activation::new(), exact).result.is_ok());
}

#[test]
fn loops_stop_when_they_are_told_to() {
    let items = json!((0..1000).collect::<Vec<_>>());
    let program = Env::standard().variable("x", Type::Dyn).compile("x.all(i, i >= 0)").unwrap();
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) == 2;
    let activation = Activation::new().bind("x", Value::from_json(&items, None));
    let outcome = program.evaluate(&activation, Limits { cost: PER_CALL_LIMIT, interrupt: Some(&stop) });
    assert_eq!(outcome.result.unwrap_err(), EvalError::Interrupted);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

/// Fields that are computed once.
struct Variables {
    program: Program,
    computed: OnceLock<i64>,
    asked: AtomicUsize,
}

impl FieldSource for Variables {
    fn field<'a>(&'a self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        (name == "total").then(|| {
            let total = self.computed.get_or_init(|| {
                self.asked.fetch_add(1, Ordering::Relaxed);
                match self.program.evaluate(&Activation::new(), Limits::default()).result {
                    Ok(Value::Int(total)) => total,
                    other => panic!("{other:?}"),
                }
            });
            Ok(Value::Int(*total))
        })
    }
}

#[test]
fn variables_are_computed_when_they_are_asked_for() {
    let fields = BTreeMap::from([(Arc::from("total"), Arc::new(Schema::int()))]);
    let env = Env::standard().variable("variables", Type::Object(ObjectType::new("variables", fields)));
    let source = Variables {
        program: Env::standard().library(Library::Lists).compile("[1, 2, 3].sum()").unwrap(),
        computed: OnceLock::new(),
        asked: AtomicUsize::new(0),
    };
    let activation = Activation::new().bind("variables", Value::Fields(FieldsRef(&source)));
    let unused = env.compile("true || variables.total > 0").unwrap();
    assert_eq!(unused.evaluate(&activation, Limits::default()).result.unwrap().as_bool(), Some(true));
    assert_eq!(source.asked.load(Ordering::Relaxed), 0);
    let used = env.compile("variables.total + variables.total == 12").unwrap();
    assert_eq!(used.evaluate(&activation, Limits::default()).result.unwrap().as_bool(), Some(true));
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    assert!(env.compile("variables.other").is_err());
}

#[test]
fn policies_make_objects_and_patches() {
    let text = || Arc::new(Schema::string(None));
    let patch = BTreeMap::from([
        (Arc::from("op"), text()),
        (Arc::from("path"), text()),
        (Arc::from("from"), text()),
        (Arc::from("value"), Arc::new(Schema::any())),
    ]);
    let env = Env::kubernetes()
        .library(Library::JsonPatch)
        .variable("object", Type::Dyn)
        .open_structures("Object")
        .structure(ObjectType::new("JSONPatch", patch));
    let object = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}});
    for (expression, expected) in [
        (
            "Object{spec: Object.spec{replicas: object.spec.replicas + 1, __namespace__: 'x'}}",
            json!({"spec": {"replicas": 2, "namespace": "x"}}),
        ),
        (
            "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x/y'), value: {'k': 1}}]",
            json!([{"op": "add", "path": "/metadata/labels/x~1y", "value": {"k": 1}}]),
        ),
        ("object.metadata.labels", json!({"a": "b"})),
        (
            "has(object.spec.paused) ? [] : [JSONPatch{op: 'remove', path: '/x'}]",
            json!([{"op": "remove", "path": "/x"}]),
        ),
    ] {
        let program = env.compile(expression).unwrap_or_else(|issues| panic!("{issues}"));
        let activation = Activation::new().bind("object", Value::from_json(&object, None));
        let value = program.evaluate(&activation, Limits::default()).result.unwrap();
        assert_eq!(value.to_json().unwrap(), expected, "{expression}");
    }
    for (expression, expected) in [
        ("JSONPatch{op: 1}", "expected type of field 'op' is 'string' but provided type is 'int'"),
        ("JSONPatch{operation: 'add'}", "undefined field 'operation'"),
        ("Objects{}", "undeclared reference to 'Objects' (in container '')"),
    ] {
        assert_eq!(env.compile(expression).unwrap_err().0[0].message, expected, "{expression}");
    }
}

#[test]
fn programs_are_shared_between_threads() {
    let program = env().compile("self.spec.replicas > 2").unwrap();
    assert!(program.uses("self") && !program.uses("oldSelf"));
    assert_eq!(*program.output_type(), Type::Bool);
    let (object, schema) = (object(), schema());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let activation = Activation::new().bind("self", Value::from_json(&object, Some(&schema)));
                assert_eq!(program.evaluate(&activation, Limits::default()).result.unwrap().as_bool(), Some(true));
            });
        }
    });
}

#[test]
fn schemas_can_be_made_by_hand() {
    let items = Arc::new(Schema::object("Port", BTreeMap::from([(Arc::from("n"), Arc::new(Schema::int()))])));
    let schema = Arc::new(Schema::list(items, Some(3), ListIdentity::Atomic));
    let env = Env::standard().object("ports", schema.clone());
    let program = env.compile("ports.map(p, p.n)").unwrap();
    assert_eq!(program.output_type().to_string(), "list(int)");
    let json = json!([{"n": 1}, {"n": 2}]);
    let activation = Activation::new().bind("ports", Value::from_json(&json, Some(&schema)));
    assert_eq!(program.evaluate(&activation, Limits::default()).result.unwrap().to_json().unwrap(), json!([1, 2]));
}

#[test]
fn objects_are_named_after_their_places() {
    let env = Env::kubernetes().open_structures("Object");
    for (expression, wrong) in [
        ("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'a'}]}}", 0),
        ("Object{spec: Object.metadata{name: 'a'}}", 1),
        ("Object{spec: Object.spec{containers: [Object.spec{}], labels: {'a': Object{}}}}", 2),
    ] {
        let program = env.compile(expression).unwrap();
        let Ok(Value::Struct(made)) = program.evaluate(&Activation::new(), Limits::default()).result else {
            panic!("{expression} makes no object");
        };
        assert_eq!(made.misnamed().len(), wrong, "{expression}: {:?}", made.misnamed());
    }
}
