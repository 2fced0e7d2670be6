//! `create quota`, `create poddisruptionbudget`, `create priorityclass`.

use super::make;
use crate::commands::output::{Creation, exactly_one};
use crate::context::Context;
use crate::failure::{Failure, Result};
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde_json::{Map, Value, json};

#[derive(clap::Args)]
pub(super) struct Quota {
    name: Vec<String>,
    /// RESOURCE=QUANTITY, several with commas
    #[arg(long, default_value = "", hide_default_value = true)]
    hard: String,
    /// What of it counts, several with commas
    #[arg(long, default_value = "", hide_default_value = true)]
    scopes: String,
    #[command(flatten)]
    creation: Creation,
}

/// `cpu=1,memory=2Gi` as a resource list.
pub(in crate::commands) fn resource_list(text: &str) -> Result<Map<String, Value>> {
    let mut list = Map::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let Some((name, quantity)) = pair.split_once('=').filter(|(_, quantity)| !quantity.contains('=')) else {
            return Err(Failure::message(format!("Invalid argument syntax {pair}, expected <resource>=<value>")));
        };
        let parsed = api::quantity::Quantity::parse(quantity).map_err(|error| Failure::message(error.to_string()))?;
        list.insert(name.to_owned(), parsed.to_string().into());
    }
    Ok(list)
}

impl Quota {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create quota")?;
        let mut spec = json!({});
        if !self.hard.is_empty() {
            spec["hard"] = resource_list(&self.hard)?.into();
        }
        if !self.scopes.is_empty() {
            spec["scopes"] = self.scopes.split(',').collect::<Vec<_>>().into();
        }
        let object = json!({"metadata": {"name": name}, "spec": spec, "status": {}});
        make::<ResourceQuota>(context, &self.creation, "quota", object).await
    }
}

#[derive(clap::Args)]
pub(super) struct Budget {
    name: Vec<String>,
    /// How many pods, or per cent of them, must be there
    #[arg(long, default_value = "", hide_default_value = true)]
    min_available: String,
    /// How many pods, or per cent of them, may be away
    #[arg(long, default_value = "", hide_default_value = true)]
    max_unavailable: String,
    /// The pods' labels
    #[arg(long, default_value = "", hide_default_value = true)]
    selector: String,
    #[command(flatten)]
    creation: Creation,
}

/// A number, or a text such as `50%`.
pub(in crate::commands) fn int_or_string(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
}

/// A label query as a selector object.
pub(in crate::commands) fn selector_object(query: &str) -> Result<Value> {
    let mut labels = Map::new();
    let mut expressions: Vec<Value> = Vec::new();
    api::selector::Selector::parse(query).map_err(|error| Failure::message(error.to_string()))?;
    for term in terms(query) {
        if let Some((key, value)) =
            term.split_once("==").or_else(|| term.split_once('=')).filter(|(key, _)| !key.ends_with('!'))
        {
            labels.insert(key.trim().to_owned(), value.trim().into());
        } else {
            expressions.push(expression(&term));
        }
    }
    let mut object = json!({});
    if !labels.is_empty() {
        object["matchLabels"] = labels.into();
    }
    if !expressions.is_empty() {
        object["matchExpressions"] = expressions.into();
    }
    Ok(object)
}

/// Cut at the commas that are not inside parentheses.
fn terms(query: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0_i32;
    for character in query.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(character);
        }
    }
    terms.into_iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn expression(term: &str) -> Value {
    let values = |list: &str| -> Vec<String> {
        list.trim().trim_matches(['(', ')']).split(',').map(|value| value.trim().to_owned()).collect()
    };
    if let Some((key, list)) = term.split_once(" notin ") {
        return json!({"key": key.trim(), "operator": "NotIn", "values": values(list)});
    }
    if let Some((key, list)) = term.split_once(" in ") {
        return json!({"key": key.trim(), "operator": "In", "values": values(list)});
    }
    if let Some((key, value)) = term.split_once("!=") {
        return json!({"key": key.trim(), "operator": "NotIn", "values": [value.trim()]});
    }
    match term.strip_prefix('!') {
        Some(key) => json!({"key": key.trim(), "operator": "DoesNotExist"}),
        None => json!({"key": term, "operator": "Exists"}),
    }
}

impl Budget {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create poddisruptionbudget")?;
        if self.selector.is_empty() {
            return Err(Failure::message("a selector must be specified"));
        }
        let mut spec = json!({"selector": selector_object(&self.selector)?});
        match (self.min_available.as_str(), self.max_unavailable.as_str()) {
            ("", "") => return Err(Failure::message("one of min-available or max-unavailable must be specified")),
            (least, "") => spec["minAvailable"] = int_or_string(least),
            ("", most) => spec["maxUnavailable"] = int_or_string(most),
            _ => return Err(Failure::message("min-available and max-unavailable cannot be both specified")),
        }
        let status = json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
        let object = json!({"metadata": {"name": name}, "spec": spec, "status": status});
        make::<PodDisruptionBudget>(context, &self.creation, "poddisruptionbudgets", object).await
    }
}

#[derive(clap::Args)]
pub(super) struct Priority {
    name: Vec<String>,
    /// Higher goes first
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    value: i64,
    /// Of pods that name no class
    #[arg(long)]
    global_default: bool,
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// PreemptLowerPriority or Never
    #[arg(long, default_value = "PreemptLowerPriority")]
    preemption_policy: String,
    #[command(flatten)]
    creation: Creation,
}

impl Priority {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create priorityclass")?;
        let mut object = json!({
            "metadata": {"name": name}, "value": self.value, "preemptionPolicy": self.preemption_policy,
        });
        if self.global_default {
            object["globalDefault"] = true.into();
        }
        if !self.description.is_empty() {
            object["description"] = self.description.clone().into();
        }
        make::<PriorityClass>(context, &self.creation, "priorityclass", object).await
    }
}
