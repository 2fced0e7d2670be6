//! What becomes of a default role or binding that is there already.
//!
//! As upstream: what is missing is added, what users added stays, and whoever sets the `autoupdate` annotation to
//! `false` is left alone.

use super::policy::AUTOUPDATE;
use crate::authz::aggregated_rules;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// What to do about one object.
#[derive(Debug, PartialEq)]
pub(crate) enum Action<K> {
    Nothing,
    Create(K),
    Update(K),
    /// A binding's role cannot be changed: it is deleted and made anew.
    Replace(K),
}

/// A kind of the default policy.
pub(crate) trait Reconciled: api::Kind {
    /// `present` with what `wanted` has more; `None` where it cannot be updated into it.
    fn merged(present: &Self, wanted: &Self) -> Option<Self>;
}

/// Takes over labels and annotations.
fn merge_meta(present: &mut ObjectMeta, wanted: &ObjectMeta) {
    let pairs = [(&mut present.labels, &wanted.labels), (&mut present.annotations, &wanted.annotations)];
    for (present, wanted) in pairs {
        for (key, value) in wanted.iter().flatten() {
            if present.as_ref().and_then(|present| present.get(key)) != Some(value) {
                present.get_or_insert_default().insert(key.clone(), value.clone());
            }
        }
    }
}

fn merge_rules(present: &mut Option<Vec<PolicyRule>>, wanted: &Option<Vec<PolicyRule>>) {
    let missing =
        crate::authz::missing_rules(present.as_deref().unwrap_or_default(), wanted.as_deref().unwrap_or_default());
    if !missing.is_empty() {
        present.get_or_insert_default().extend(missing);
    }
}

/// The same subject, whatever defaulting did to its group.
fn same(one: &Subject, other: &Subject) -> bool {
    let namespace = |subject: &Subject| subject.namespace.clone().unwrap_or_default();
    one.kind == other.kind && one.name == other.name && namespace(one) == namespace(other)
}

fn merge_subjects(present: &mut Option<Vec<Subject>>, wanted: &Option<Vec<Subject>>) {
    for subject in wanted.iter().flatten() {
        if !present.iter().flatten().any(|own| same(own, subject)) {
            present.get_or_insert_default().push(subject.clone());
        }
    }
}

fn same_role(one: &RoleRef, other: &RoleRef) -> bool {
    one.kind == other.kind && one.name == other.name
}

impl Reconciled for ClusterRole {
    fn merged(present: &Self, wanted: &Self) -> Option<Self> {
        let mut merged = present.clone();
        merge_meta(&mut merged.metadata, &wanted.metadata);
        if wanted.aggregation_rule.is_some() {
            if merged.aggregation_rule.is_none() {
                merged.aggregation_rule = wanted.aggregation_rule.clone();
            }
        } else {
            merge_rules(&mut merged.rules, &wanted.rules);
        }
        Some(merged)
    }
}

impl Reconciled for Role {
    fn merged(present: &Self, wanted: &Self) -> Option<Self> {
        let mut merged = present.clone();
        merge_meta(&mut merged.metadata, &wanted.metadata);
        merge_rules(&mut merged.rules, &wanted.rules);
        Some(merged)
    }
}

impl Reconciled for ClusterRoleBinding {
    fn merged(present: &Self, wanted: &Self) -> Option<Self> {
        let mut merged = present.clone();
        merge_meta(&mut merged.metadata, &wanted.metadata);
        merge_subjects(&mut merged.subjects, &wanted.subjects);
        same_role(&present.role_ref, &wanted.role_ref).then_some(merged)
    }
}

impl Reconciled for RoleBinding {
    fn merged(present: &Self, wanted: &Self) -> Option<Self> {
        let mut merged = present.clone();
        merge_meta(&mut merged.metadata, &wanted.metadata);
        merge_subjects(&mut merged.subjects, &wanted.subjects);
        same_role(&present.role_ref, &wanted.role_ref).then_some(merged)
    }
}

pub(crate) fn plan<K: Reconciled>(present: Option<&K>, wanted: K) -> Action<K> {
    let Some(present) = present else { return Action::Create(wanted) };
    let annotations = present.metadata().annotations.as_ref();
    if annotations.and_then(|annotations| annotations.get(AUTOUPDATE)).is_some_and(|value| value == "false") {
        return Action::Nothing;
    }
    match K::merged(present, &wanted) {
        None => Action::Replace(wanted),
        Some(merged) if merged == *present => Action::Nothing,
        Some(merged) => Action::Update(merged),
    }
}

/// Fills in the rules of the roles that are made of others, so that a new cluster shows them from the start.
pub(crate) fn fill_aggregated(roles: &mut [ClusterRole]) {
    let by_name: BTreeMap<&str, &ClusterRole> =
        roles.iter().map(|role| (role.metadata.name.as_deref().unwrap_or_default(), role)).collect();
    let filled: Vec<Option<Vec<PolicyRule>>> = roles
        .iter()
        .map(|role| {
            role.aggregation_rule.as_ref()?;
            Some(aggregated_rules(role.metadata.name.as_deref().unwrap_or_default(), &by_name))
        })
        .collect();
    for (role, rules) in roles.iter_mut().zip(filled) {
        if rules.is_some() {
            role.rules = rules;
        }
    }
}
