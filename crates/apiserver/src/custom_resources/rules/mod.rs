//! `x-kubernetes-validations`: the rules of a schema, compiled once and asked of each object (`asking`), and of the
//! schema's own defaults (`defaults`).
//!
//! Invariants: rules are asked from the root down, and only where the value is there; what an update leaves as it was
//! is asked transition rules only; one object's rules cost at most `RUNTIME_BUDGET` together.

mod asking;
mod defaults;

use api::custom::Rules;
use api::{FieldError, FieldPath};
use cel::limits::{ESTIMATE_LIMIT, ESTIMATE_TOTAL_LIMIT};
use cel::{Env, Program, Schema, Type};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const SELF: &str = "self";
const OLD_SELF: &str = "oldSelf";

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

/// What is wrong with the rules of a schema, and with its defaults.
pub(super) fn errors(schema: &JSONSchemaProps, path: &FieldPath) -> Vec<FieldError> {
    let mut compiler = Compiler::default();
    compiler.node(schema, Place { path: path.clone(), name: "object".to_owned(), times: 1, root: true });
    if compiler.cost > ESTIMATE_TOTAL_LIMIT {
        let costs = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        compiler.errors.push(FieldError::forbidden(path.clone(), too_dear(costs, compiler.cost, ESTIMATE_TOTAL_LIMIT)));
    }
    if compiler.errors.is_empty() {
        compiler.errors = defaults::errors(schema, path);
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
        let cost = program.cost_estimate().max;
        match *wanted == Type::Bool {
            true => self.count("estimated rule cost", cost.saturating_mul(times), path),
            // Of all that break a rule, upstream counts the message of one.
            false => self.count("estimated messageExpression cost", cost, path),
        }
        Some(program)
    }
}

impl Compiler {
    fn count(&mut self, what: &str, cost: u64, path: &FieldPath) {
        self.cost = self.cost.saturating_add(cost);
        if cost > ESTIMATE_LIMIT {
            self.errors.push(FieldError::forbidden(path.clone(), too_dear(what, cost, ESTIMATE_LIMIT)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

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
        let loud = schema(json!({"type": "object", "x-kubernetes-validations": [
            {"rule": "true", "messageExpression": "'' + self.list.map(x, x + x).join(',')"}],
            "properties": {"list": {"type": "array", "items": {"type": "string"}}}}));
        assert!(
            loud[0].starts_with(
                "s.x-kubernetes-validations[0].messageExpression: Forbidden: estimated messageExpression cost exceeds \
                 budget by factor of more than 100x"
            ),
            "{loud:?}"
        );
        let dear =
            schema(json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "string"},
            "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x == y))"}]}}}));
        assert!(dear[0].contains("estimated rule cost exceeds budget by factor of more than 100x"), "{dear:?}");
    }

    #[test]
    fn defaults_must_be_valid() {
        let check = |property: Json| -> Vec<String> {
            let schema = json!({"type": "object", "properties": {"a": property}});
            let schema: JSONSchemaProps = serde_json::from_value(schema).unwrap();
            errors(&schema, &FieldPath::new("s")).iter().map(ToString::to_string).collect()
        };
        let size = || json!({"type": "integer", "maximum": 3});
        assert_eq!(check(json!({"type": "integer", "default": 2})), [""; 0]);
        for (property, wanted) in [
            (
                json!({"type": "integer", "default": "x"}),
                "s.properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "object", "default": {"size": 4}, "properties": {"size": size()}}),
                "s.properties[a].default.size: Invalid value: 4: size in body should be less than or equal to 3",
            ),
            (
                json!({"type": "object", "default": {"sise": 1}, "properties": {"size": size()}}),
                "s.properties[a].default: Invalid value: {\"sise\":1}: must be pruned",
            ),
            (
                json!({"type": "integer", "default": 2, "x-kubernetes-validations": [
                    {"rule": "self > 2", "message": "too small"}]}),
                "s.properties[a].default: Invalid value: \"integer\": too small",
            ),
            (
                json!({"type": "array", "default": [{"size": 1}], "items": {"type": "object",
                    "properties": {"size": size()},
                    "x-kubernetes-validations": [{"rule": "self.size == 2", "message": "not two"}]}}),
                "s.properties[a].default[0]: Invalid value: \"object\": not two",
            ),
        ] {
            assert_eq!(check(property), [wanted]);
        }
    }
}
