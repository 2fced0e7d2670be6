//! What is wrong with a HorizontalPodAutoscaler, in upstream's words.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::quantity::Quantity;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

const STABILIZATION_SECONDS_MAX: i32 = 3600;
const PERIOD_SECONDS_MAX: i32 = 1800;
const SOURCES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
const NEEDS_RESOURCE: &str = "must set either a target raw value or a target utilization";
const NEEDS_VALUE: &str = "must set either a target value for metric or a per-pod target";

pub(super) fn errors(autoscaler: &HorizontalPodAutoscaler) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = &autoscaler.spec;
    let path = FieldPath::new("spec");
    if let Some(least) = spec.min_replicas.filter(|least| *least < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.child("minReplicas"), &least, detail));
    }
    if spec.max_replicas < 1 {
        errors.push(FieldError::invalid(path.child("maxReplicas"), &spec.max_replicas, "must be greater than 0"));
    }
    if spec.min_replicas.is_some_and(|least| spec.max_replicas < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(path.child("maxReplicas"), &spec.max_replicas, detail));
    }
    reference(&mut errors, &path.child("scaleTargetRef"), &spec.scale_target_ref);
    for (index, metric) in spec.metrics.iter().flatten().enumerate() {
        self::metric(&mut errors, &path.child("metrics").index(index), metric);
    }
    // Without pods nothing of theirs can be measured: somebody else has to say when they are wanted again.
    let lives_on = |metric: &MetricSpec| matches!(metric.type_.as_str(), "Object" | "External");
    if spec.min_replicas == Some(0) && !spec.metrics.iter().flatten().any(lives_on) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(path.child("metrics"), detail));
    }
    if let Some(behavior) = &spec.behavior {
        let path = path.child("behavior");
        for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            rules.iter().for_each(|rules| scaling(&mut errors, &path.child(name), rules));
        }
    }
    if let Some(status) = &autoscaler.status {
        let path = FieldPath::new("status");
        check::non_negative(&mut errors, path.child("currentReplicas"), status.current_replicas);
        check::non_negative(&mut errors, path.child("desiredReplicas"), Some(status.desired_replicas));
    }
    errors
}

fn reference(errors: &mut Errors, path: &FieldPath, reference: &CrossVersionObjectReference) {
    if let Some(version) = reference.api_version.as_deref().filter(|version| version.matches('/').count() > 1) {
        let detail = format!("unexpected GroupVersion string: {version}");
        errors.push(FieldError::invalid(path.child("apiVersion"), version, detail));
    }
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        check::present(errors, path.child(field), Some(value));
        check::each(errors, &path.child(field), value, labels::path_segment(value, false));
    }
}

fn metric(errors: &mut Errors, path: &FieldPath, spec: &MetricSpec) {
    if spec.type_.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric source type"));
    }
    if !SOURCES.contains(&spec.type_.as_str()) {
        errors.push(FieldError::not_supported(path.child("type"), &spec.type_, SOURCES));
    }
    let sources = [
        ("Object", "object", spec.object.is_some()),
        ("Pods", "pods", spec.pods.is_some()),
        ("Resource", "resource", spec.resource.is_some()),
        ("External", "external", spec.external.is_some()),
        ("ContainerResource", "containerResource", spec.container_resource.is_some()),
    ];
    source(errors, path, spec);
    let present = sources.iter().filter(|(_, _, present)| *present).count();
    for (name, field, is_present) in sources {
        if name == spec.type_ && !is_present {
            let detail = "must populate information for the given metric source";
            errors.push(FieldError::required(path.child(field), detail));
        }
        if name != spec.type_ && is_present && present != 1 {
            errors.push(FieldError::forbidden(path.child(field), "must populate the given metric source only"));
        }
    }
}

/// The first source that is there; more than one is an error of its own.
fn source(errors: &mut Errors, path: &FieldPath, spec: &MetricSpec) {
    if let Some(source) = &spec.object {
        let path = path.child("object");
        reference(errors, &path.child("describedObject"), &source.described_object);
        identifier(errors, &path.child("metric"), &source.metric);
        target(errors, &path.child("target"), &source.target);
        if source.target.value.is_none() && source.target.average_value.is_none() {
            errors.push(FieldError::required(path.child("target").child("averageValue"), NEEDS_VALUE));
        }
    } else if let Some(source) = &spec.external {
        let path = path.child("external");
        identifier(errors, &path.child("metric"), &source.metric);
        target(errors, &path.child("target"), &source.target);
        match (&source.target.value, &source.target.average_value) {
            (None, None) => errors.push(FieldError::required(path.child("target").child("averageValue"), NEEDS_VALUE)),
            (Some(_), Some(_)) => {
                let detail = "may not set both a target value for metric and a per-pod target";
                errors.push(FieldError::forbidden(path.child("target").child("value"), detail));
            }
            _ => {}
        }
    } else if let Some(source) = &spec.pods {
        let path = path.child("pods");
        identifier(errors, &path.child("metric"), &source.metric);
        target(errors, &path.child("target"), &source.target);
        if !source.target.average_value.as_ref().is_some_and(is_positive) {
            let detail = "must specify a positive target averageValue";
            errors.push(FieldError::required(path.child("target").child("averageValue"), detail));
        }
    } else if let Some(source) = &spec.container_resource {
        let path = path.child("containerResource");
        if source.container.is_empty() {
            errors.push(FieldError::required(path.child("container"), "must specify a container"));
        }
        resource(errors, &path, &source.name, &source.target);
    } else if let Some(source) = &spec.resource {
        resource(errors, &path.child("resource"), &source.name, &source.target);
    }
}

fn resource(errors: &mut Errors, path: &FieldPath, name: &str, target: &MetricTarget) {
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "must specify a resource name"));
    }
    let path = path.child("target");
    self::target(errors, &path, target);
    match (&target.average_utilization, &target.average_value) {
        (None, None) => errors.push(FieldError::required(path.child("averageUtilization"), NEEDS_RESOURCE)),
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(path.child("averageValue"), detail));
        }
        _ => {}
    }
}

fn identifier(errors: &mut Errors, path: &FieldPath, metric: &MetricIdentifier) {
    match metric.name.as_str() {
        "" => errors.push(FieldError::required(path.child("name"), "must specify a metric name")),
        name => check::each(errors, &path.child("name"), name, labels::path_segment(name, false)),
    }
}

fn is_positive(value: &ApiQuantity) -> bool {
    Quantity::try_from(value).is_ok_and(|value| !value.is_zero() && !value.is_negative())
}

fn target(errors: &mut Errors, path: &FieldPath, target: &MetricTarget) {
    match target.type_.as_str() {
        "" => errors.push(FieldError::required(path.child("type"), "must specify a metric target type")),
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            let detail = "must be either Utilization, Value, or AverageValue";
            errors.push(FieldError::invalid(path.child("type"), other, detail));
        }
    }
    for (field, value) in [("value", &target.value), ("averageValue", &target.average_value)] {
        if let Some(value) = value.as_ref().filter(|value| !is_positive(value)) {
            errors.push(FieldError::invalid(path.child(field), value, "must be positive"));
        }
    }
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        errors.push(FieldError::invalid(path.child("averageUtilization"), &percent, "must be greater than 0"));
    }
}

fn scaling(errors: &mut Errors, path: &FieldPath, rules: &HPAScalingRules) {
    let mut within = |path: FieldPath, seconds: i32, least: i32, least_words: &str, most: i32| {
        if seconds < least {
            errors.push(FieldError::invalid(path, &seconds, least_words));
        } else if seconds > most {
            errors.push(FieldError::invalid(path, &seconds, format!("must be less than or equal to {most}")));
        }
    };
    if let Some(seconds) = rules.stabilization_window_seconds {
        let words = "must be greater than or equal to zero";
        within(path.child("stabilizationWindowSeconds"), seconds, 0, words, STABILIZATION_SECONDS_MAX);
    }
    let policies = rules.policies.as_deref().unwrap_or_default();
    for (index, policy) in policies.iter().enumerate() {
        let path = path.child("policies").index(index);
        within(path.child("value"), policy.value, 1, "must be greater than zero", i32::MAX);
        let words = "must be greater than zero";
        within(path.child("periodSeconds"), policy.period_seconds, 1, words, PERIOD_SECONDS_MAX);
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = path.child("policies").index(index).child("type");
        check::supported_if_set(errors, &path, Some(&policy.type_), &["Percent", "Pods"]);
    }
    let select = rules.select_policy.as_deref();
    check::supported_if_set(errors, &path.child("selectPolicy"), select, &["Disabled", "Max", "Min"]);
    if policies.is_empty() {
        errors.push(FieldError::required(path.child("policies"), "must specify at least one Policy"));
    }
    let tolerance = rules.tolerance.as_ref().and_then(|tolerance| Quantity::try_from(tolerance).ok());
    if tolerance.is_some_and(Quantity::is_negative) {
        let detail = "must be greater or equal to zero";
        errors.push(FieldError::invalid(path.child("tolerance"), &rules.tolerance, detail));
    }
}
