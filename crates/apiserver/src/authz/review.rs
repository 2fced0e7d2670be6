//! The answers to SubjectAccessReviews and SelfSubjectRulesReviews.

use super::attributes::Attributes;
use super::node;
use super::{Authorizer, Verdict};
use api::user::User;
use k8s_openapi::api::authorization::v1 as authorization;

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// A field selector's requirements as a query spells them, which is how `Attributes` takes it.
fn selector(attributes: &authorization::ResourceAttributes) -> String {
    let Some(field) = &attributes.field_selector else { return String::new() };
    if let Some(raw) = &field.raw_selector {
        return raw.clone();
    }
    let equal = field.requirements.iter().flatten().filter(|term| term.operator == "In");
    let terms = equal.filter_map(|term| match term.values.as_deref().unwrap_or_default() {
        [value] => Some(format!("{}={value}", term.key)),
        _ => None,
    });
    terms.collect::<Vec<String>>().join(",")
}

/// Likewise of labels.
fn label_selector(attributes: &authorization::ResourceAttributes) -> String {
    let Some(label) = &attributes.label_selector else { return String::new() };
    if let Some(raw) = &label.raw_selector {
        return raw.clone();
    }
    let terms = label.requirements.iter().flatten().filter_map(|term| {
        let (key, values) = (&term.key, term.values.as_deref().unwrap_or_default().join(","));
        match term.operator.as_str() {
            "In" => Some(format!("{key} in ({values})")),
            "NotIn" => Some(format!("{key} notin ({values})")),
            "Exists" => Some(key.clone()),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    });
    terms.collect::<Vec<String>>().join(",")
}

impl Authorizer {
    /// Answers an access review for the user: of a self review the asker, else the one that the review names.
    pub async fn review_access(
        &self,
        user: &User,
        resource: Option<&authorization::ResourceAttributes>,
        path: Option<&authorization::NonResourceAttributes>,
    ) -> authorization::SubjectAccessReviewStatus {
        let field_selector = resource.map(selector).unwrap_or_default();
        let label_selector = resource.map(label_selector).unwrap_or_default();
        let attributes = match (resource, path) {
            (Some(asked), _) => Attributes {
                verb: text(&asked.verb),
                group: text(&asked.group),
                version: text(&asked.version),
                resource: text(&asked.resource),
                subresource: text(&asked.subresource),
                namespace: text(&asked.namespace),
                name: text(&asked.name),
                path: "",
                is_resource: true,
                field_selector: &field_selector,
                label_selector: &label_selector,
            },
            (None, Some(asked)) => {
                Attributes { verb: text(&asked.verb), path: text(&asked.path), ..Attributes::default() }
            }
            (None, None) => Attributes::default(),
        };
        match self.verdict(user, &attributes).await {
            Verdict::Allow(why) => authorization::SubjectAccessReviewStatus {
                allowed: true,
                reason: why.map(|why| why.to_string()),
                ..Default::default()
            },
            Verdict::Refuse(refusal) => authorization::SubjectAccessReviewStatus {
                allowed: false,
                denied: refusal.forbidden.then_some(true),
                reason: (!refusal.reasons.is_empty()).then(|| refusal.reasons.join("\n")),
                evaluation_error: refusal.error(),
            },
        }
    }

    /// Everything that the user may do in a namespace (and to URLs).
    pub fn review_rules(&self, user: &User, namespace: &str) -> authorization::SubjectRulesReviewStatus {
        let index = self.index.load();
        let mut status = authorization::SubjectRulesReviewStatus::default();
        for rule in index.rules_of(user, namespace).map(super::rules::Rule::policy) {
            if rule.resources.is_some() {
                status.resource_rules.push(authorization::ResourceRule {
                    verbs: rule.verbs.clone(),
                    api_groups: rule.api_groups.clone(),
                    resources: rule.resources.clone(),
                    resource_names: rule.resource_names.clone(),
                });
            }
            if rule.non_resource_urls.is_some() {
                status.non_resource_rules.push(authorization::NonResourceRule {
                    verbs: rule.verbs,
                    non_resource_urls: rule.non_resource_urls,
                });
            }
        }
        if node::identity(user).is_some() {
            status.incomplete = true;
            status.evaluation_error = Some("node authorizer does not support user rule resolution".to_owned());
        }
        if let Some(why) = index.unresolved(user, namespace) {
            status.incomplete = true;
            status.evaluation_error = Some(why);
        }
        status
    }
}
