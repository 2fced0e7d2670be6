//! Asking the rules of one object, from the root down.

use super::{Node, OLD_SELF, Rule, RuleSet, SELF};
use api::custom::Rules;
use api::{FieldError, FieldPath};
use cel::limits::{PER_CALL_LIMIT, RUNTIME_BUDGET};
use cel::{Activation, Limits, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// A message that an expression makes.
const MESSAGE_BYTES_MAX: usize = 5120;

/// One object's questions.
struct Asking {
    errors: Vec<FieldError>,
    budget: u64,
    is_over: bool,
}

impl RuleSet {
    /// What the rules say of a value that the schema's root is about; `path` is where it stands.
    pub(super) fn check_at(&self, path: &str, value: &Json) -> Vec<FieldError> {
        let mut asking = Asking { errors: Vec::new(), budget: RUNTIME_BUDGET, is_over: false };
        asking.node(&self.root, path, value, None);
        asking.errors
    }
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
