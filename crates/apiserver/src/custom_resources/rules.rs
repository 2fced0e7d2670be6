//! `x-kubernetes-validations`: the rules of a schema, compiled once and asked of each object.
//!
//! Invariants: rules are asked from the root down, and only where the value is there; what an update leaves as it was
//! is asked transition rules only; one object's rules cost at most `RUNTIME_BUDGET` together.

use api::custom::Rules;
use api::{FieldError, FieldPath};
use cel::limits::{ESTIMATE_LIMIT, ESTIMATE_TOTAL_LIMIT, PER_CALL_LIMIT, RUNTIME_BUDGET};
use cel::{Activation, Env, Limits, Program, Schema, Type, Value};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

const SELF: &str = "self";
const OLD_SELF: &str = "oldSelf";
/// A message that an expression makes.
const MESSAGE_BYTES_MAX: usize = 5120;

/// The rules of a schema; `None` without any. Rules that do not compile were refused when the definition was written.
pub(super) fn compile(schema: &JSONSchemaProps) -> Option<Arc<dyn Rules>> {
    let mut compiler = Compiler::default();
    let root =
        compiler.node(schema, Place { path: FieldPath::new(""), name: "object".to_owned(), times: 1, root: true });
    if !compiler.errors.is_empty() {
        tracing::warn!(errors = ?compiler.errors, "rules of a stored definition do not compile and are not asked");
    }
    root.map(|root| Arc::new(RuleSet { root }) as Arc<dyn Rules>)
}

/// What is wrong with the rules of a schema.
pub(super) fn errors(schema: &JSONSchemaProps, path: &FieldPath) -> Vec<FieldError> {
    let mut compiler = Compiler::default();
    compiler.node(schema, Place { path: path.clone(), name: "object".to_owned(), times: 1, root: true });
    if compiler.cost > ESTIMATE_TOTAL_LIMIT {
        let costs = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        compiler.errors.push(FieldError::forbidden(path.clone(), too_dear(costs, compiler.cost, ESTIMATE_TOTAL_LIMIT)));
    }
    compiler.errors
}

fn too_dear(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        _ if factor > 100.0 => "more than 100x".to_owned(),
        _ if factor < 1.5 => format!("{factor:.6}x"),
        _ => format!("{factor:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// Where a schema stands.
struct Place {
    path: FieldPath,
    /// What messages call its type.
    name: String,
    /// In how many places of one object it may apply.
    times: u64,
    root: bool,
}

#[derive(Debug)]
struct RuleSet {
    root: Node,
}

/// Rules at one place of a schema, and below it.
#[derive(Debug)]
struct Node {
    kind: String,
    schema: Option<Arc<Schema>>,
    rules: Vec<Rule>,
    properties: BTreeMap<String, Node>,
    members: Option<Box<Node>>,
    items: Option<Box<Node>>,
    /// By which items of a list are told apart.
    keys: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    source: ValidationRule,
    program: Program,
    message: Option<Program>,
    /// Compares with what was before.
    is_transition: bool,
    /// `oldSelf` is an optional, so that the rule is asked of new values too.
    is_optional: bool,
}

#[derive(Default)]
struct Compiler {
    errors: Vec<FieldError>,
    cost: u64,
}

impl Compiler {
    fn node(&mut self, source: &JSONSchemaProps, place: Place) -> Option<Node> {
        let wanted = source.x_kubernetes_validations.as_deref().unwrap_or_default();
        let schema = match wanted.is_empty() {
            true => None,
            false => self.schema(source, &place),
        };
        let rules = match &schema {
            Some(schema) => {
                let each = wanted.iter().enumerate();
                each.filter_map(|(index, rule)| self.rule(rule, schema, &place, index)).collect()
            }
            None => Vec::new(),
        };
        let times = |most: Option<i64>, schema: &Option<Arc<Schema>>| {
            let declared = most.and_then(|most| u64::try_from(most).ok());
            let size = declared.or_else(|| schema.as_ref().map(|schema| schema.size_max()));
            place.times.saturating_mul(size.unwrap_or(UNBOUNDED))
        };
        let mut properties = BTreeMap::new();
        for (name, property) in source.properties.iter().flatten() {
            let below = place.below(place.path.child("properties").key(name), name, place.times);
            properties.extend(self.node(property, below).map(|node| (name.clone(), node)));
        }
        let members = match &source.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => {
                let times = times(source.max_properties, &schema);
                self.node(values, place.below(place.path.child("additionalProperties"), "@values", times))
            }
            _ => None,
        };
        let items = match &source.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => {
                let times = times(source.max_items, &schema);
                self.node(items, place.below(place.path.child("items"), "@items", times))
            }
            _ => None,
        };
        if rules.is_empty() && properties.is_empty() && members.is_none() && items.is_none() {
            return None;
        }
        let is_map = source.x_kubernetes_list_type.as_deref() == Some("map");
        Some(Node {
            kind: source.type_.clone().unwrap_or_default(),
            schema,
            rules,
            properties,
            members: members.map(Box::new),
            items: items.map(Box::new),
            keys: source.x_kubernetes_list_map_keys.clone().filter(|_| is_map).unwrap_or_default(),
        })
    }

    fn schema(&mut self, source: &JSONSchemaProps, place: &Place) -> Option<Arc<Schema>> {
        let json = serde_json::to_value(source).ok()?;
        let is_object = place.root || source.x_kubernetes_embedded_resource.unwrap_or_default();
        let found = Schema::from_openapi(&json, &place.name, is_object);
        if found.is_none() {
            let detail = "rules are not allowed where the type is unknown";
            self.errors.push(FieldError::forbidden(place.path.child("x-kubernetes-validations"), detail));
        }
        found.map(Arc::new)
    }

    fn rule(&mut self, source: &ValidationRule, schema: &Arc<Schema>, place: &Place, index: usize) -> Option<Rule> {
        let path = place.path.child("x-kubernetes-validations").index(index);
        let is_optional = source.optional_old_self.unwrap_or_default();
        let env = Env::kubernetes().object(SELF, schema.clone());
        let env = match is_optional {
            true => env.variable(OLD_SELF, Type::optional(Type::Dyn)),
            false => env.object(OLD_SELF, schema.clone()),
        };
        let program = self.expression(&env, &source.rule, &path.child("rule"), &Type::Bool, place.times)?;
        let text = source.message_expression.as_deref().unwrap_or_default();
        let message = match text.trim().is_empty() {
            true => None,
            false => self.expression(&env, text, &path.child("messageExpression"), &Type::String, place.times),
        };
        let is_transition = program.uses(OLD_SELF);
        if is_optional && !is_transition {
            let detail = "may not be set if oldSelf is not used in rule";
            self.errors.push(FieldError::invalid(path.child("optionalOldSelf"), &true, detail));
        }
        Some(Rule { source: source.clone(), program, message, is_transition, is_optional })
    }

    fn expression(&mut self, env: &Env, source: &str, path: &FieldPath, wanted: &Type, times: u64) -> Option<Program> {
        let program = match env.compile(source) {
            Ok(program) => program,
            Err(issues) => {
                self.errors.push(FieldError::invalid(path.clone(), source, format!("compilation failed: {issues}")));
                return None;
            }
        };
        if program.output_type() != wanted && *program.output_type() != Type::Dyn {
            let words = if *wanted == Type::Bool {
                "cel expression must evaluate to a bool"
            } else {
                "messageExpression must evaluate to a string"
            };
            self.errors.push(FieldError::invalid(path.clone(), source, words));
            return None;
        }
        if *wanted == Type::Bool {
            self.count(&program, path, times);
        }
        Some(program)
    }
}

impl Compiler {
    /// Messages are not counted: of a number made a text the estimate knows no bound, and upstream's own examples make
    /// one. When they run they are held to the budget as rules are.
    fn count(&mut self, program: &Program, path: &FieldPath, times: u64) {
        let cost = program.cost_estimate().max.saturating_mul(times);
        self.cost = self.cost.saturating_add(cost);
        if cost > ESTIMATE_LIMIT {
            let why = too_dear("estimated rule cost", cost, ESTIMATE_LIMIT);
            self.errors.push(FieldError::forbidden(path.clone(), why));
        }
    }
}

/// Items of a list of which the schema does not say how long it may be, as the largest request bounds it.
const UNBOUNDED: u64 = 3 * 1024 * 1024 / 2;

impl Place {
    fn below(&self, path: FieldPath, name: &str, times: u64) -> Place {
        Place { path, name: format!("{}.{name}", self.name), times, root: false }
    }
}

/// One object's questions.
struct Asking {
    errors: Vec<FieldError>,
    budget: u64,
    is_over: bool,
}

impl Rules for RuleSet {
    fn check(&self, object: &Json, old: Option<&Json>) -> Vec<FieldError> {
        let mut asking = Asking { errors: Vec::new(), budget: RUNTIME_BUDGET, is_over: false };
        asking.node(&self.root, "", object, old);
        asking.errors
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Asking {
    fn node(&mut self, node: &Node, path: &str, value: &Json, old: Option<&Json>) {
        if value.is_null() || self.is_over {
            return;
        }
        for rule in &node.rules {
            self.rule(rule, node, path, value, old);
            if self.is_over {
                return;
            }
        }
        match value {
            Json::Object(map) => {
                for (name, member) in map {
                    if let Some(known) = node.properties.get(name).or(node.members.as_deref()) {
                        let path = match node.properties.contains_key(name) {
                            true => below(path, name),
                            false => format!("{path}[{name}]"),
                        };
                        self.node(known, &path, member, old.and_then(|old| old.get(name)));
                    }
                }
            }
            Json::Array(list) => {
                let Some(items) = &node.items else { return };
                for (index, item) in list.iter().enumerate() {
                    self.node(items, &format!("{path}[{index}]"), item, twin(&node.keys, item, old));
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, rule: &Rule, node: &Node, path: &str, value: &Json, old: Option<&Json>) {
        let asks_old = rule.is_transition;
        if (asks_old && !rule.is_optional && old.is_none()) || (!asks_old && old == Some(value)) {
            return;
        }
        let schema = node.schema.as_deref();
        let mut activation = Activation::new().bind(SELF, Value::from_json(value, schema));
        activation = match (rule.is_optional, old) {
            (true, old) => {
                let old = old.map(|old| Arc::new(Value::from_json(old, schema)));
                activation.bind(OLD_SELF, Value::Optional(old))
            }
            (false, Some(old)) => activation.bind(OLD_SELF, Value::from_json(old, schema)),
            (false, None) => activation,
        };
        let limits = Limits { cost: PER_CALL_LIMIT.min(self.budget), interrupt: None };
        let outcome = rule.program.evaluate(&activation, limits);
        self.spend(outcome.cost, path, node);
        if self.is_over {
            return;
        }
        match outcome.result {
            Ok(value) if value.as_bool() == Some(true) => {}
            Ok(_) => {
                let message = self.message(rule, &activation);
                let at = match rule.source.field_path.as_deref() {
                    Some(own) if !own.is_empty() => below(path, own.trim_start_matches('.')),
                    _ => path.to_owned(),
                };
                self.errors.push(of_reason(&at, &node.kind, message, rule.source.reason.as_deref()));
            }
            Err(error) => self.failed(rule, node, path, &error),
        }
    }

    fn spend(&mut self, cost: u64, path: &str, node: &Node) {
        if cost <= self.budget {
            self.budget -= cost;
            return;
        }
        self.is_over = true;
        let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
        self.errors.push(FieldError::invalid(at(path), &node.kind, detail));
    }

    fn failed(&mut self, rule: &Rule, node: &Node, path: &str, error: &cel::EvalError) {
        let own = rule.source.message.as_deref().filter(|message| !message.is_empty());
        let about = own.unwrap_or(&rule.source.rule).trim();
        let detail = match error {
            cel::EvalError::NoSuchOverload | cel::EvalError::NoSuchOverloadOf(_) => format!(
                "'{error}': call arguments did not match a supported operator, function or macro signature for rule: \
                 {about}"
            ),
            cel::EvalError::CostLimitExceeded => {
                self.is_over = true;
                format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {about}"
                )
            }
            _ => format!("{error} evaluating rule: {about}"),
        };
        self.errors.push(FieldError::invalid(at(path), &node.kind, detail));
    }

    /// What the rule says of a value that breaks it: the expression's text if that is one, or its message.
    fn message(&mut self, rule: &Rule, activation: &Activation<'_>) -> String {
        let fixed = || match rule.source.message.as_deref() {
            Some(message) if !message.is_empty() => message.trim().to_owned(),
            _ => format!("failed rule: {}", rule.source.rule.trim()),
        };
        let Some(program) = &rule.message else { return fixed() };
        let limits = Limits { cost: PER_CALL_LIMIT.min(self.budget), interrupt: None };
        let outcome = program.evaluate(activation, limits);
        self.budget = self.budget.saturating_sub(outcome.cost);
        let made = outcome.result.ok().and_then(|value| value.as_str().map(|text| text.trim().to_owned()));
        let is_good = |text: &String| !text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_BYTES_MAX;
        made.filter(is_good).unwrap_or_else(fixed)
    }
}

/// The old item with the same keys.
fn twin<'v>(keys: &[String], item: &Json, old: Option<&'v Json>) -> Option<&'v Json> {
    let list = old?.as_array()?;
    if keys.is_empty() {
        return None;
    }
    list.iter().find(|other| keys.iter().all(|key| item.get(key) == other.get(key)))
}

fn at(path: &str) -> FieldPath {
    FieldPath::new(if path.is_empty() { "<nil>" } else { path })
}

fn of_reason(path: &str, kind: &str, message: String, reason: Option<&str>) -> FieldError {
    match reason {
        Some("FieldValueForbidden") => FieldError::forbidden(at(path), message),
        Some("FieldValueRequired") => FieldError::required(at(path), &message),
        Some("FieldValueDuplicate") => FieldError { detail: String::new(), ..FieldError::duplicate(at(path), kind) },
        _ => FieldError::invalid(at(path), kind, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(rule: Json, new: Json, old: Option<Json>) -> Vec<String> {
        let schema: JSONSchemaProps = serde_json::from_value(json!({"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-validations": [rule],
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "name": {"type": "string", "maxLength": 9}}}}}))
        .unwrap();
        assert_eq!(errors(&schema, &FieldPath::new("schema")), []);
        let rules = compile(&schema).unwrap();
        let whole = |spec: Json| json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec});
        let found = rules.check(&whole(new), old.map(whole).as_ref());
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_asked_of_objects() {
        let less = json!({"rule": "self.a <= self.b", "message": "a must not be more than b"});
        assert_eq!(check(less.clone(), json!({"a": 1, "b": 2}), None), [""; 0]);
        let broken = ["spec: Invalid value: \"object\": a must not be more than b"];
        assert_eq!(check(less.clone(), json!({"a": 3, "b": 2}), None), broken);
        assert_eq!(check(less.clone(), json!({"a": 3, "b": 2}), Some(json!({"a": 3, "b": 2}))), [""; 0]);
        assert_eq!(check(less, json!({"a": 3, "b": 2}), Some(json!({"a": 1, "b": 2}))), broken);
        let plain = json!({"rule": "self.a > 1"});
        assert_eq!(
            check(plain.clone(), json!({"a": 1}), None),
            ["spec: Invalid value: \"object\": failed rule: self.a > 1"]
        );
        assert_eq!(
            check(plain, json!({}), None),
            ["spec: Invalid value: \"object\": no such key: a evaluating rule: self.a > 1"]
        );
        let made = json!({"rule": "self.a > 1", "messageExpression": "'a is ' + string(self.a)", "fieldPath": ".a",
            "reason": "FieldValueForbidden"});
        assert_eq!(check(made, json!({"a": 1}), None), ["spec.a: Forbidden: a is 1"]);
    }

    #[test]
    fn transition_rules_compare_with_what_was() {
        let grows = json!({"rule": "self.a >= oldSelf.a", "message": "a must not shrink"});
        assert_eq!(check(grows.clone(), json!({"a": 1}), None), [""; 0]);
        assert_eq!(check(grows.clone(), json!({"a": 2}), Some(json!({"a": 1}))), [""; 0]);
        let broken = ["spec: Invalid value: \"object\": a must not shrink"];
        assert_eq!(check(grows, json!({"a": 1}), Some(json!({"a": 2}))), broken);
        let first =
            json!({"rule": "oldSelf.hasValue() || self.a == 1", "optionalOldSelf": true, "message": "starts at 1"});
        assert_eq!(check(first.clone(), json!({"a": 2}), None), ["spec: Invalid value: \"object\": starts at 1"]);
        assert_eq!(check(first, json!({"a": 2}), Some(json!({"a": 1}))), [""; 0]);
    }

    #[test]
    fn rules_that_are_wrong_or_too_dear_are_refused() {
        let schema = |schema: Json| -> Vec<String> {
            let schema: JSONSchemaProps = serde_json::from_value(schema).unwrap();
            errors(&schema, &FieldPath::new("s")).iter().map(ToString::to_string).collect()
        };
        let wrong = schema(json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.nothing == 1"}],
            "properties": {"a": {"type": "integer"}}}));
        assert!(
            wrong[0].starts_with(
                "s.x-kubernetes-validations[0].rule: Invalid value: \"self.nothing == 1\": compilation failed: "
            ),
            "{wrong:?}"
        );
        let dear =
            schema(json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "string"},
            "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x == y))"}]}}}));
        assert!(dear[0].contains("estimated rule cost exceeds budget by factor of more than 100x"), "{dear:?}");
    }
}
