//! Roles and bindings hand out only what their writer holds, or may `escalate` or `bind`.

use super::{Plugin, Sources, is, refused};
use crate::authz::{Attributes, Authorizer};
use api::{Kind, Object, Status};
use async_trait::async_trait;
use client::Client;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef};
use registry::{Attempt, Operation};
use std::sync::Arc;

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(RbacEscalation { client: sources.client.clone(), authorizer: sources.authorizer.clone() })
}

struct RbacEscalation {
    client: Client,
    authorizer: Arc<Authorizer>,
}

/// What a write would hand out.
enum Grant<'a> {
    Nothing,
    Rules(&'a [PolicyRule]),
    /// Whatever will ever be labelled to be part of it: everything.
    Aggregation,
    Role(&'a RoleRef),
}

fn role_grant<'a>(new: &'a Option<Vec<PolicyRule>>, old: Option<&Option<Vec<PolicyRule>>>) -> Grant<'a> {
    let rules = |rules: &'a Option<Vec<PolicyRule>>| rules.as_deref().unwrap_or_default();
    let unchanged = old.is_some_and(|old| old.as_deref().unwrap_or_default() == rules(new));
    if unchanged { Grant::Nothing } else { Grant::Rules(rules(new)) }
}

fn grant<'a>(new: &'a dyn Object, old: Option<&dyn Object>) -> Grant<'a> {
    if let Some(new) = new.downcast::<Role>() {
        let old = old.and_then(|old| old.downcast::<Role>());
        return role_grant(&new.rules, old.map(|old| &old.rules));
    }
    if let Some(new) = new.downcast::<ClusterRole>() {
        let old = old.and_then(|old| old.downcast::<ClusterRole>());
        if new.aggregation_rule.is_some() && old.is_none_or(|old| old.aggregation_rule != new.aggregation_rule) {
            return Grant::Aggregation;
        }
        return role_grant(&new.rules, old.map(|old| &old.rules));
    }
    if let Some(new) = new.downcast::<RoleBinding>() {
        let old = old.and_then(|old| old.downcast::<RoleBinding>());
        let unchanged = old.is_some_and(|old| old.role_ref == new.role_ref && old.subjects == new.subjects);
        return if unchanged { Grant::Nothing } else { Grant::Role(&new.role_ref) };
    }
    if let Some(new) = new.downcast::<ClusterRoleBinding>() {
        let old = old.and_then(|old| old.downcast::<ClusterRoleBinding>());
        let unchanged = old.is_some_and(|old| old.role_ref == new.role_ref && old.subjects == new.subjects);
        return if unchanged { Grant::Nothing } else { Grant::Role(&new.role_ref) };
    }
    Grant::Nothing
}

fn everything() -> Vec<PolicyRule> {
    let all = || Some(vec!["*".to_owned()]);
    let verbs = vec!["*".to_owned()];
    vec![
        PolicyRule { verbs: verbs.clone(), api_groups: all(), resources: all(), ..PolicyRule::default() },
        PolicyRule { verbs, non_resource_urls: all(), ..PolicyRule::default() },
    ]
}

impl RbacEscalation {
    async fn may(&self, attempt: &Attempt<'_>, verb: &str, resource: &str, name: &str) -> bool {
        let asked = Attributes {
            verb,
            group: ClusterRole::DEF.group,
            version: "*",
            resource,
            namespace: attempt.namespace,
            name,
            is_resource: true,
            ..Attributes::default()
        };
        self.authorizer.may(attempt.user, &asked).await
    }

    /// By the index, or live where the index does not have the role yet: manifests bring both in one go.
    async fn rules_of(&self, namespace: &str, role: &RoleRef) -> Result<Vec<PolicyRule>, Status> {
        if let Some(rules) = self.authorizer.rules_of_role(namespace, role) {
            return Ok(rules);
        }
        let rules = match role.kind == Role::DEF.kind {
            true => self.client.get::<Role>(namespace, &role.name).await?.rules,
            false => self.client.get::<ClusterRole>("", &role.name).await?.rules,
        };
        Ok(rules.unwrap_or_default())
    }

    async fn judge(&self, attempt: &Attempt<'_>, new: &dyn Object, old: Option<&dyn Object>) -> Result<(), Status> {
        let refuse = |why: String| refused(attempt, Some(new), &why);
        let confirm =
            |rules: &[PolicyRule]| self.authorizer.confirm_no_escalation(attempt.user, attempt.namespace, rules);
        match grant(new, old) {
            Grant::Nothing => Ok(()),
            granted @ (Grant::Rules(_) | Grant::Aggregation) => {
                if self.may(attempt, "escalate", attempt.def.plural, new.name()).await {
                    return Ok(());
                }
                match granted {
                    Grant::Rules(rules) => confirm(rules).map_err(refuse),
                    _ => confirm(&everything())
                        .map_err(|_| refuse("must have cluster-admin privileges to use an aggregationRule".to_owned())),
                }
            }
            Grant::Role(role) => {
                let def = if role.kind == Role::DEF.kind { &Role::DEF } else { &ClusterRole::DEF };
                if self.may(attempt, "bind", def.plural, &role.name).await {
                    return Ok(());
                }
                confirm(&self.rules_of(attempt.namespace, role).await?).map_err(refuse)
            }
        }
    }
}

#[async_trait]
impl Plugin for RbacEscalation {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation != Operation::Delete
            && (is::<Role>(attempt)
                || is::<ClusterRole>(attempt)
                || is::<RoleBinding>(attempt)
                || is::<ClusterRoleBinding>(attempt))
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        match object {
            Some(new) => self.judge(attempt, new, old).await,
            None => Ok(()),
        }
    }
}
