//! How many pods there are, may be gone, and how important they are: autoscalers, disruption budgets, priority classes.

use super::page::{Page, items, number, or_unset, pairs, time};
use super::workloads::selector_text;
use crate::calls::{name_of, text};
use crate::print::display;
use serde_json::Value;

const UNKNOWN: &str = "<unknown>";

pub(super) fn autoscaler(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    page.pair(0, "CreationTimestamp", time(text(object, "/metadata/creationTimestamp")));
    let kind = text(object, "/spec/scaleTargetRef/kind");
    page.pair(0, "Reference", format_args!("{kind}/{}", text(object, "/spec/scaleTargetRef/name")));
    page.pair(0, "Metrics", "( current / target )");
    let current = items(object, "/status/currentMetrics");
    for (index, metric) in items(object, "/spec/metrics").iter().enumerate() {
        page.line(1, metric_line(metric, current.get(index)));
    }
    page.pair(0, "Min replicas", or_unset(object, "/spec/minReplicas"));
    page.pair(0, "Max replicas", number(object, "/spec/maxReplicas"));
    if let Some(behavior) = object.pointer("/spec/behavior").filter(|behavior| !behavior.is_null()) {
        page.line(0, "Behavior:");
        direction("Scale Up", behavior.get("scaleUp"), page);
        direction("Scale Down", behavior.get("scaleDown"), page);
    }
    let (current, desired) = (number(object, "/status/currentReplicas"), number(object, "/status/desiredReplicas"));
    page.pair(0, &format!("{kind} pods"), format_args!("{current} current / {desired} desired"));
    let conditions = items(object, "/status/conditions");
    if !conditions.is_empty() {
        page.line(0, "Conditions:");
        let row = |condition: &Value| {
            ["/type", "/status", "/reason", "/message"].map(|member| text(condition, member).to_owned()).to_vec()
        };
        page.table(1, &["Type", "Status", "Reason", "Message"], conditions.iter().map(row));
    }
}

/// What is measured, then how much it is and should be.
fn metric_line(metric: &Value, measured: Option<&Value>) -> String {
    let kind = text(metric, "/type");
    let member = match kind {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        other => return format!("<unknown metric type {other:?}>"),
    };
    let source = &metric[member];
    let current = measured.and_then(|measured| measured.get(member)).map(|measured| &measured["current"]);
    let is_average = match kind {
        "Pods" => true,
        "Object" => text(source, "/target/type") == "AverageValue",
        _ => source.pointer("/target/averageValue").is_some(),
    };
    let (name, resource) = (text(source, "/metric/name"), text(source, "/name"));
    let what = match kind {
        "External" => format!("{name:?}"),
        "Pods" => format!("{name:?} on pods"),
        "Object" => {
            let (kind, described) = (text(source, "/describedObject/kind"), text(source, "/describedObject/name"));
            format!("\"{name}\" on {kind}/{described}")
        }
        "Resource" => format!("resource {resource} on pods"),
        _ => format!("resource {resource} of container \"{}\" on pods", text(source, "/container")),
    };
    let is_resource = kind.ends_with("Resource");
    let how = match (kind, is_average) {
        ("Pods", _) => "",
        (_, true) if is_resource => "",
        (_, false) if is_resource => "  (as a percentage of request)",
        (_, true) => " (target average value)",
        (_, false) => " (target value)",
    };
    let (is, should) = amounts(&source["target"], current, is_average, is_resource);
    format!("{what}{how}:\t{is} / {should}")
}

fn amounts(target: &Value, current: Option<&Value>, is_average: bool, is_resource: bool) -> (String, String) {
    if is_average || !is_resource {
        let member = if is_average { "averageValue" } else { "value" };
        let is = current.map_or_else(|| UNKNOWN.to_owned(), |current| display(&current[member]));
        return (is, display(&target[member]));
    }
    let utilization = current.filter(|current| current["averageUtilization"].is_i64());
    let is = utilization.map_or_else(
        || UNKNOWN.to_owned(),
        |current| format!("{}% ({})", current["averageUtilization"], display(&current["averageValue"])),
    );
    let should = target.get("averageUtilization").map(|percent| format!("{percent}%"));
    (is, should.unwrap_or_else(|| "<auto>".to_owned()))
}

fn direction(title: &str, rules: Option<&Value>, page: &mut Page) {
    let Some(rules) = rules.filter(|rules| !rules.is_null()) else { return };
    page.line(1, format_args!("{title}:"));
    if let Some(seconds) = rules.get("stabilizationWindowSeconds") {
        page.line(2, format_args!("Stabilization Window: {seconds} seconds"));
    }
    let policies = items(rules, "/policies");
    if policies.is_empty() {
        return;
    }
    page.line(2, format_args!("Select Policy: {}", rules["selectPolicy"].as_str().unwrap_or("Max")));
    page.line(2, "Policies:");
    for policy in policies {
        let (kind, value) = (text(policy, "/type"), number(policy, "/value"));
        let period = number(policy, "/periodSeconds");
        page.line(3, format_args!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds"));
    }
}

pub(super) fn budget(budget: &Value, _: &[Value], page: &mut Page) {
    page.name(budget);
    let spec = &budget["spec"];
    if spec.get("minAvailable").is_some() {
        page.pair_of(0, "Min available", spec, "/minAvailable");
    } else {
        page.pair_of(0, "Max unavailable", spec, "/maxUnavailable");
    }
    let selector = spec.get("selector").map_or_else(|| "<unset>".to_owned(), selector_text);
    page.pair(0, "Selector", selector);
    page.line(0, "Status:");
    for (label, member) in [
        ("Allowed disruptions", "/status/disruptionsAllowed"),
        ("Current", "/status/currentHealthy"),
        ("Desired", "/status/desiredHealthy"),
        ("Total", "/status/expectedPods"),
    ] {
        page.pair(2, label, number(budget, member));
    }
}

pub(super) fn priority_class(class: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(class));
    page.pair(0, "Value", number(class, "/value"));
    page.pair(0, "GlobalDefault", class["globalDefault"] == true);
    page.pair(0, "PreemptionPolicy", text(class, "/preemptionPolicy"));
    page.pair(0, "Description", text(class, "/description"));
    page.pair(0, "Annotations", pairs(class.pointer("/metadata/annotations")));
}
