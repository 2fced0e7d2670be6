//! What mutating and validating webhooks have in common.

use super::rules::{self, FAILURE_POLICIES, MATCH_POLICIES, Rule};
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::webhook::{self, PORT_DEFAULT, Service};
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, RuleWithOperations, WebhookClientConfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const TIMEOUT_SECONDS_DEFAULT: i32 = 10;
const TIMEOUT_SECONDS_MAX: i32 = 30;

/// One webhook as both of upstream's types have it.
pub(super) struct Webhook<'a> {
    pub(super) name: &'a str,
    pub(super) rules: &'a [RuleWithOperations],
    pub(super) failure_policy: Option<&'a str>,
    pub(super) match_policy: Option<&'a str>,
    pub(super) side_effects: &'a str,
    pub(super) timeout_seconds: Option<i32>,
    pub(super) namespace_selector: Option<&'a LabelSelector>,
    pub(super) object_selector: Option<&'a LabelSelector>,
    pub(super) client: &'a WebhookClientConfig,
    pub(super) conditions: &'a [MatchCondition],
    pub(super) review_versions: &'a [String],
}

/// A webhook of either type as the common form; the types have the same fields, but share no trait.
macro_rules! common {
    ($own:expr) => {
        Webhook {
            name: &$own.name,
            rules: $own.rules.as_deref().unwrap_or_default(),
            failure_policy: $own.failure_policy.as_deref(),
            match_policy: $own.match_policy.as_deref(),
            side_effects: &$own.side_effects,
            timeout_seconds: $own.timeout_seconds,
            namespace_selector: $own.namespace_selector.as_ref(),
            object_selector: $own.object_selector.as_ref(),
            client: &$own.client_config,
            conditions: $own.match_conditions.as_deref().unwrap_or_default(),
            review_versions: &$own.admission_review_versions,
        }
    };
}

/// Fills what both types' writers may leave out.
macro_rules! webhook_defaults {
    ($own:expr) => {
        $own.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        $crate::admissionregistration::rules::default_match(
            &mut $own.match_policy,
            &mut $own.namespace_selector,
            &mut $own.object_selector,
        );
        $crate::admissionregistration::rules::default_scopes(&mut $own.rules);
        $crate::admissionregistration::webhooks::default_call(&mut $own.client_config, &mut $own.timeout_seconds);
    };
}

pub(super) use {common, webhook_defaults};

pub(super) fn default_call(client: &mut WebhookClientConfig, timeout_seconds: &mut Option<i32>) {
    timeout_seconds.get_or_insert(TIMEOUT_SECONDS_DEFAULT);
    if let Some(service) = &mut client.service {
        service.port.get_or_insert(PORT_DEFAULT);
    }
}

/// All errors of the webhooks of one configuration; `more` are those of each that its type adds.
pub(super) fn errors<'a>(hooks: impl Iterator<Item = Webhook<'a>>) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let mut names: Vec<&str> = Vec::new();
    for (index, hook) in hooks.enumerate() {
        let path = FieldPath::new("webhooks").index(index);
        one(&mut errors, &path, &hook);
        if names.contains(&hook.name) && !hook.name.is_empty() {
            errors.push(FieldError::duplicate(path.child("name"), hook.name));
        }
        names.push(hook.name);
    }
    errors
}

fn one(errors: &mut Errors, path: &FieldPath, hook: &Webhook<'_>) {
    qualified_name(errors, &path.child("name"), hook.name);
    for (index, rule) in hook.rules.iter().enumerate() {
        rules::rule(errors, &path.child("rules").index(index), &Rule::from(rule));
    }
    check::supported_if_set(errors, &path.child("failurePolicy"), hook.failure_policy, FAILURE_POLICIES);
    check::supported_if_set(errors, &path.child("matchPolicy"), hook.match_policy, MATCH_POLICIES);
    match hook.side_effects {
        "" => {
            let detail = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
            errors.push(FieldError::required(path.child("sideEffects"), &detail));
        }
        other => check::supported_if_set(errors, &path.child("sideEffects"), Some(other), SIDE_EFFECTS),
    }
    if let Some(seconds) = hook.timeout_seconds.filter(|seconds| !(1..=TIMEOUT_SECONDS_MAX).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(path.child("timeoutSeconds"), &seconds, detail));
    }
    for (field, selector) in [("namespaceSelector", hook.namespace_selector), ("objectSelector", hook.object_selector)]
    {
        selector.into_iter().for_each(|selector| check::label_selector(errors, &path.child(field), selector));
    }
    let service = hook.client.service.as_ref().map(|service| Service {
        name: &service.name,
        namespace: &service.namespace,
        path: service.path.as_deref(),
        port: service.port,
    });
    webhook::client(errors, &path.child("clientConfig"), hook.client.url.as_deref(), service.as_ref());
    rules::conditions(errors, &path.child("matchConditions"), hook.conditions);
    let versions = path.child("admissionReviewVersions");
    webhook::review_versions(errors, &versions, hook.review_versions, "must specify one of v1, v1beta1");
}

fn qualified_name(errors: &mut Errors, path: &FieldPath, name: &str) {
    let complaints = labels::dns1123_subdomain(name, false);
    if name.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    } else if !complaints.is_empty() {
        errors.push(FieldError::invalid(path.clone(), name, complaints.join(",")));
    } else if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(FieldError::invalid(path.clone(), name, detail));
    }
}
