//! Says in a validating policy's status where its expressions do not suit the kinds that it is about.
//!
//! Invariants: a policy is checked once per generation; what is found does not change what the policy does. Bound:
//! `TYPES_MAX` kinds of a policy are checked, as upstream checks them.

use super::composition::Composition;
use super::environment::{Types, environment};
use super::follow::name;
use super::kind_schema::schema;
use api::{Reason, ResourceDef, Status, Subresource};
use client::{Cache, Client, PatchType};
use k8s_openapi::api::admissionregistration::v1::{
    ExpressionWarning, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec,
};
use registry::{Registry, Resource};
use serde_json::json;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

const TYPES_MAX: usize = 10;

/// Follows policies until it is dropped.
pub(super) fn start(client: &Client, registry: &Arc<Registry>) -> AbortOnDropHandle<()> {
    let checker = Checker { client: client.clone(), policies: client.cache(), registry: registry.clone() };
    AbortOnDropHandle::new(tokio::spawn(async move { checker.run().await }))
}

struct Checker {
    client: Client,
    policies: Cache<ValidatingAdmissionPolicy>,
    registry: Arc<Registry>,
}

impl Checker {
    async fn run(&self) {
        let mut changes = self.policies.changes();
        loop {
            let Some(policy) = changes.next().await.new else { continue };
            if let Err(status) = self.check(&policy).await {
                tracing::warn!(policy = name(policy.as_ref()), %status, "a policy's types were checked in vain");
            }
        }
    }

    async fn check(&self, policy: &ValidatingAdmissionPolicy) -> Result<(), Status> {
        let generation = policy.metadata.generation.unwrap_or_default();
        let observed = policy.status.as_ref().and_then(|status| status.observed_generation).unwrap_or_default();
        if generation <= observed {
            return Ok(());
        }
        let warnings = policy.spec.as_ref().map(|spec| warnings(&self.registry, spec)).unwrap_or_default();
        let warnings = (!warnings.is_empty()).then_some(warnings);
        let patch = json!({"status": {
            "observedGeneration": generation,
            "typeChecking": {"expressionWarnings": warnings},
        }});
        let status = Some(Subresource::Status);
        let written =
            self.client.patch::<ValidatingAdmissionPolicy>("", name(policy), PatchType::Merge, status, &patch).await;
        match written {
            Err(status) if status.reason == Reason::NotFound => Ok(()),
            other => other.map(drop),
        }
    }
}

fn warnings(registry: &Registry, spec: &ValidatingAdmissionPolicySpec) -> Vec<ExpressionWarning> {
    let params = spec.param_kind.as_ref().and_then(|kind| super::params::resource(registry, kind).ok());
    let params = params.and_then(|resource| schema(resource.as_ref()));
    let kinds: Vec<(String, Types)> = kinds(registry, spec)
        .iter()
        .filter_map(|resource| {
            let object = Some(schema(resource.as_ref())?);
            Some((shown(resource.def), Types { object, params: params.clone() }))
        })
        .collect();
    let mut warnings = Vec::new();
    for (index, validation) in spec.validations.iter().flatten().enumerate() {
        let message = validation.message_expression.as_deref().unwrap_or_default();
        for (field, source) in [("expression", validation.expression.as_str()), ("messageExpression", message)] {
            let found = if source.is_empty() { String::new() } else { issues(spec, &kinds, source) };
            if !found.is_empty() {
                let field_ref = format!("spec.validations[{index}].{field}");
                warnings.push(ExpressionWarning { field_ref, warning: found });
            }
        }
    }
    warnings
}

/// What is wrong with an expression, by kind.
fn issues(spec: &ValidatingAdmissionPolicySpec, kinds: &[(String, Types)], source: &str) -> String {
    let of_kind = |(kind, types): &(String, Types)| {
        let env = environment(spec.param_kind.is_some(), types);
        let composition = Composition::of(&env, spec.variables.as_deref().unwrap_or_default());
        let issues = composition.extended(&env).compile(source).err()?;
        Some(format!("{kind}: {issues}\n"))
    };
    kinds.iter().filter_map(of_kind).collect::<Vec<String>>().join("\n")
}

fn shown(def: &ResourceDef) -> String {
    format!("{}/{}, Kind={}", def.group, def.version, def.kind)
}

/// The kinds that the policy's rules name without wildcards, by group, version and name.
fn kinds(registry: &Registry, spec: &ValidatingAdmissionPolicySpec) -> Vec<Arc<Resource>> {
    let rules = spec.match_constraints.as_ref().and_then(|constraints| constraints.resource_rules.as_deref());
    let mut found: Vec<Arc<Resource>> =
        rules.unwrap_or_default().iter().flat_map(|rule| named(registry, rule)).take(TYPES_MAX).collect();
    let key = |resource: &Arc<Resource>| (resource.def.group, resource.def.version, resource.def.kind);
    found.sort_by_key(key);
    found.dedup_by_key(|resource| key(resource));
    found
}

fn named(registry: &Registry, rule: &NamedRuleWithOperations) -> Vec<Arc<Resource>> {
    let texts = |list: &Option<Vec<String>>| {
        let mut texts = list.clone().unwrap_or_default();
        texts.sort();
        texts
    };
    let (groups, versions) = (texts(&rule.api_groups), texts(&rule.api_versions));
    if groups.iter().chain(&versions).any(|text| text.contains('*')) {
        return Vec::new();
    }
    let mut resources = texts(&rule.resources);
    resources.retain(|text| !text.contains(['*', '/']));
    let all = groups.iter().flat_map(|group| {
        let resources = &resources;
        versions
            .iter()
            .flat_map(move |version| resources.iter().filter_map(move |plural| registry.find(group, version, plural)))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Kind as _;
    use k8s_openapi::api::apps::v1::Deployment;

    #[test]
    fn kinds_are_shown_as_upstream_shows_them() {
        assert_eq!(shown(&Deployment::DEF), "apps/v1, Kind=Deployment");
    }
}
