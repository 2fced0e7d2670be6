//! The default roles and bindings, read from their table (`policy.txt`, which explains its own form).

use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use std::collections::BTreeMap;

const TABLE: &str = include_str!("policy.txt");
const API_GROUP: &str = "rbac.authorization.k8s.io";
/// `false` in it keeps an object out of reconciliation.
pub(crate) const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const READ: [&str; 3] = ["get", "list", "watch"];
const EVENTS: &str = "create,patch,update | core,events.k8s.io | events";
const CONTROLLER_PREFIX: &str = "system:controller:";
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// All default roles and bindings.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    pub(crate) cluster_roles: Vec<ClusterRole>,
    pub(crate) cluster_bindings: Vec<ClusterRoleBinding>,
    pub(crate) roles: Vec<Role>,
    pub(crate) bindings: Vec<RoleBinding>,
}

/// A line that the table should not have; the table is part of the program, so it is a test that finds it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the default policy: {why}")]
pub(crate) struct PolicyError {
    line: usize,
    why: &'static str,
}

fn meta(namespace: Option<&str>, name: &str) -> ObjectMeta {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(pair("kubernetes.io/bootstrapping", "rbac-defaults")),
        annotations: Some(pair(AUTOUPDATE, "true")),
        ..ObjectMeta::default()
    }
}

fn words(text: &str) -> Option<Vec<String>> {
    let list: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    (!list.is_empty()).then_some(list)
}

fn verbs(text: &str) -> Vec<String> {
    let mut verbs = Vec::new();
    for word in text.split(',') {
        match word {
            "R" => verbs.extend(READ.map(str::to_owned)),
            "W" => verbs.extend(WRITE.map(str::to_owned)),
            verb => verbs.push(verb.to_owned()),
        }
    }
    verbs.sort();
    verbs
}

fn rule(line: &str) -> Result<PolicyRule, &'static str> {
    let line = if line == "EVENTS" { EVENTS } else { line };
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let groups =
        |text: &str| text.split(',').map(|group| if group == "core" { "" } else { group }.to_owned()).collect();
    match parts.as_slice() {
        [verbs_text, urls] => {
            Ok(PolicyRule { verbs: verbs(verbs_text), non_resource_urls: words(urls), ..PolicyRule::default() })
        }
        [verbs_text, group_list, resources, names @ ..] if names.len() < 2 => Ok(PolicyRule {
            verbs: verbs(verbs_text),
            api_groups: Some(groups(group_list)),
            resources: words(resources),
            resource_names: names.first().and_then(|names| words(names)),
            ..PolicyRule::default()
        }),
        _ => Err("a rule has two to four parts"),
    }
}

fn subject(text: &str) -> Result<Subject, &'static str> {
    let (kind, name) = text.split_once('/').ok_or("a subject is KIND/NAME")?;
    let of_group = |kind: &str| Subject {
        kind: kind.to_owned(),
        name: name.to_owned(),
        api_group: Some(API_GROUP.to_owned()),
        namespace: None,
    };
    match kind {
        "user" => Ok(of_group("User")),
        "group" => Ok(of_group("Group")),
        "account" => {
            let (namespace, name) = name.split_once('/').ok_or("an account is account/NAMESPACE/NAME")?;
            Ok(Subject {
                kind: "ServiceAccount".to_owned(),
                name: name.to_owned(),
                namespace: Some(namespace.to_owned()),
                api_group: None,
            })
        }
        _ => Err("a subject is a user, a group or an account"),
    }
}

/// `ROLE : SUBJECTS`.
fn bound(text: &str, kind: &str) -> Result<(RoleRef, Option<Vec<Subject>>), &'static str> {
    let (role, subjects) = text.split_once(" :").ok_or("a binding is NAME = ROLE : SUBJECTS")?;
    let role_ref =
        RoleRef { api_group: Some(API_GROUP.to_owned()), kind: kind.to_owned(), name: role.trim().to_owned() };
    let subjects: Vec<Subject> = subjects.split_whitespace().map(subject).collect::<Result<_, _>>()?;
    Ok((role_ref, (!subjects.is_empty()).then_some(subjects)))
}

fn label(purpose: &str) -> (String, String) {
    (format!("{API_GROUP}/aggregate-to-{purpose}"), "true".to_owned())
}

fn cluster_role(text: &str) -> Result<ClusterRole, &'static str> {
    let mut words = text.split_whitespace();
    let name = words.next().ok_or("a role has a name")?;
    let mut role = ClusterRole { metadata: meta(None, name), ..ClusterRole::default() };
    for word in words {
        match word.split_once('=') {
            Some(("aggregates", purpose)) => {
                let selector =
                    LabelSelector { match_labels: Some(BTreeMap::from([label(purpose)])), ..LabelSelector::default() };
                role.aggregation_rule = Some(AggregationRule { cluster_role_selectors: Some(vec![selector]) });
            }
            Some(("part-of", purpose)) => role.metadata.labels.get_or_insert_default().extend([label(purpose)]),
            _ => return Err("a role's words are aggregates= and part-of="),
        }
    }
    Ok(role)
}

/// The role that indented lines belong to.
#[derive(Clone, Copy)]
enum Current {
    None,
    ClusterRole,
    Role,
}

impl Policy {
    pub(crate) fn parse(table: &str) -> Result<Policy, PolicyError> {
        let mut policy = Policy::default();
        let mut current = Current::None;
        for (index, text) in table.lines().enumerate() {
            if !text.trim().is_empty() && !text.starts_with('#') {
                policy.line(text, &mut current).map_err(|why| PolicyError { line: index + 1, why })?;
            }
        }
        Ok(policy)
    }

    fn line(&mut self, text: &str, current: &mut Current) -> Result<(), &'static str> {
        if text.starts_with(' ') {
            let rule = rule(text.trim())?;
            let rules = match current {
                Current::ClusterRole => self.cluster_roles.last_mut().map(|role| &mut role.rules),
                Current::Role => self.roles.last_mut().map(|role| &mut role.rules),
                Current::None => None,
            };
            rules.ok_or("a rule without a role")?.get_or_insert_default().push(rule);
            return Ok(());
        }
        let (kind, rest) = text.split_once(' ').ok_or("a line is KIND NAME")?;
        *current = Current::None;
        match kind {
            "clusterrole" => {
                self.cluster_roles.push(cluster_role(rest)?);
                *current = Current::ClusterRole;
            }
            "controller" => {
                self.controller(rest)?;
                *current = Current::ClusterRole;
            }
            "role" => {
                let (namespace, name) = rest.split_once(' ').ok_or("a role is NAMESPACE NAME")?;
                self.roles.push(Role { metadata: meta(Some(namespace), name), rules: None });
                *current = Current::Role;
            }
            "clusterbinding" => {
                let (name, rest) = rest.split_once(" = ").ok_or("a binding is NAME = ROLE : SUBJECTS")?;
                let (role_ref, subjects) = bound(rest, "ClusterRole")?;
                self.cluster_bindings.push(ClusterRoleBinding { metadata: meta(None, name), role_ref, subjects });
            }
            "binding" => {
                let (namespace, rest) = rest.split_once(' ').ok_or("a binding is NAMESPACE NAME = ROLE")?;
                let (name, rest) = rest.split_once(" = ").ok_or("a binding is NAME = ROLE : SUBJECTS")?;
                let (role_ref, subjects) = bound(rest, "Role")?;
                self.bindings.push(RoleBinding { metadata: meta(Some(namespace), name), role_ref, subjects });
            }
            _ => return Err("a line is a clusterrole, controller, role, clusterbinding or binding"),
        }
        Ok(())
    }

    /// A role that is bound to the service account of the same name, in `kube-system`.
    fn controller(&mut self, name: &str) -> Result<(), &'static str> {
        let full = format!("{CONTROLLER_PREFIX}{name}");
        let (role_ref, subjects) = bound(&format!("{full} : account/kube-system/{name}"), "ClusterRole")?;
        self.cluster_bindings.push(ClusterRoleBinding { metadata: meta(None, &full), role_ref, subjects });
        self.cluster_roles.push(cluster_role(&full)?);
        Ok(())
    }

    /// The table's; parsed anew on each call, in well under a millisecond.
    pub(crate) fn default_policy() -> Result<Policy, PolicyError> {
        Policy::parse(TABLE)
    }
}
