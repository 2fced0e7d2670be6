//! The question as the server is asked it: a SubjectAccessReview.

use super::super::attributes::Attributes;
use api::selector::{FieldSelector, Operator, Selector};
use api::user::User;
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SubjectAccessReviewSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldSelectorRequirement, LabelSelectorRequirement};
use serde_json::{Value, json};

/// Of the review that is sent and expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V1Beta1,
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Version> {
        match text {
            "v1" => Some(Version::V1),
            "v1beta1" => Some(Version::V1Beta1),
            _ => None,
        }
    }

    pub(super) fn review(self, spec: &SubjectAccessReviewSpec) -> serde_json::Result<Value> {
        let mut spec = serde_json::to_value(spec)?;
        let version = match self {
            Version::V1 => "authorization.k8s.io/v1",
            Version::V1Beta1 => {
                // The older version spells the groups in the singular.
                if let Some(spec) = spec.as_object_mut()
                    && let Some(groups) = spec.remove("groups")
                {
                    spec.insert("group".to_owned(), groups);
                }
                "authorization.k8s.io/v1beta1"
            }
        };
        Ok(
            json!({"apiVersion": version, "kind": "SubjectAccessReview", "metadata": {}, "spec": spec, "status": {"allowed": false}}),
        )
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn fields(text: &str) -> Option<FieldSelectorAttributes> {
    let selector = FieldSelector::parse(text).ok().filter(|selector| !selector.is_empty())?;
    let requirements = selector.requirements().iter().map(|own| FieldSelectorRequirement {
        key: own.path.clone(),
        operator: if own.equal { "In" } else { "NotIn" }.to_owned(),
        values: Some(vec![own.value.clone()]),
    });
    Some(FieldSelectorAttributes { raw_selector: None, requirements: Some(requirements.collect()) })
}

fn labels(text: &str) -> Option<LabelSelectorAttributes> {
    let selector = Selector::parse(text).ok()?;
    let requirements = selector.requirements().iter().filter_map(|own| {
        let operator = match own.operator() {
            Operator::In | Operator::Equals | Operator::DoubleEquals => "In",
            Operator::NotIn | Operator::NotEquals => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            // Reviews have no word for comparisons; what is left out asks for more, never for less.
            Operator::GreaterThan | Operator::LessThan => return None,
        };
        let values = own.values().to_vec();
        let values = Some(values).filter(|values| !values.is_empty());
        Some(LabelSelectorRequirement { key: own.key().to_owned(), operator: operator.to_owned(), values })
    });
    let requirements: Vec<_> = requirements.collect();
    (!requirements.is_empty())
        .then_some(LabelSelectorAttributes { raw_selector: None, requirements: Some(requirements) })
}

pub(super) fn of(user: &User, asked: &Attributes<'_>) -> SubjectAccessReviewSpec {
    let lists = matches!(asked.verb, "list" | "watch" | "deletecollection");
    let resource = asked.is_resource.then(|| ResourceAttributes {
        field_selector: fields(asked.field_selector).filter(|_| lists),
        label_selector: labels(asked.label_selector).filter(|_| lists),
        group: some(asked.group),
        name: some(asked.name),
        namespace: some(asked.namespace),
        resource: some(asked.resource),
        subresource: some(asked.subresource),
        verb: some(asked.verb),
        version: some(asked.version),
    });
    let path = (!asked.is_resource).then(|| NonResourceAttributes { path: some(asked.path), verb: some(asked.verb) });
    SubjectAccessReviewSpec {
        user: some(&user.name),
        uid: some(&user.uid),
        groups: Some(user.groups.clone()).filter(|groups| !groups.is_empty()),
        extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
        resource_attributes: resource,
        non_resource_attributes: path,
    }
}
